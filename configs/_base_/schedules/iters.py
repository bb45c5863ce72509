# As the published methods train on THUMOS14: Adam, a constant learning rate,
# the last iteration, no averaged weights. Configs set iterations and rates.
train_cfg = dict(type='ResumableTrainLoop', max_iters=5000, val_interval=1000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='GroupedOptimWrapperConstructor',
    optimizer=dict(type='Adam', lr=5e-5, weight_decay=1e-3),
    # Adam divides small gradients by their size, but adds the decay to them
    # before: at the base's strength the denoiser learns hardly anything.
    paramwise_cfg=dict(
        custom_keys=dict(
            diffusion_head=dict(decay_mult=0.), condition=dict(
                decay_mult=0.))))
param_scheduler = []
custom_hooks = []
