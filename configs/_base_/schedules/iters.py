# Every run is evaluated at its last iteration, with averaged weights. Configs
# set the iterations, the warm-up and the learning rate of their data set.
train_cfg = dict(type='ResumableTrainLoop', max_iters=5000, val_interval=500)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=5e-5, weight_decay=1e-3),
    # Adam divides small gradients by their size, but adds the decay to them
    # before: at the base's strength the denoiser learns hardly anything.
    paramwise_cfg=dict(
        custom_keys=dict(
            diffusion_head=dict(decay_mult=0.), condition=dict(
                decay_mult=0.))))
param_scheduler = []
custom_hooks = [
    dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.001)
]
