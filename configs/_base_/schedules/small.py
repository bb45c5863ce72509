# For networks of a width of 64, which train on a CPU in minutes: a large
# learning rate that starts with 30 small steps and ends at 0, and averaged
# weights whose average forgets the first steps.
_base_ = ['./iters.py']

train_cfg = dict(max_iters=600, val_interval=300)
optim_wrapper = dict(optimizer=dict(lr=4e-3, weight_decay=1e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, begin=0, end=30, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=30, eta_min=0, by_epoch=False)
]
custom_hooks = [
    dict(
        type='EMAHook',
        ema_type='MomentumAnnealingEMA',
        momentum=0.01,
        gamma=5)
]
