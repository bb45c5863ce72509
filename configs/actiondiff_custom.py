# Your own data: one stream of features or several. The last lines of
# tools/prepare/custom.py are the command that starts this config.
_base_ = [
    './_base_/models/actiondiff.py', './_base_/datasets/custom.py',
    './_base_/schedules/iters.py', './_base_/default_runtime.py'
]

# The plain branch takes any streams, and trains in a fifteenth of the time of
# CO2-Net's (docs/benchmark/speed.md).
model = dict(
    num_classes={{_base_.num_classes}},
    stream_channels={{_base_.stream_channels}},
    warmup_iters=200,
    base_branch=dict(_delete_=True, type='ConvBranch', embed_channels=512),
    condition=dict(condition_channels=64),
    diffusion_head=dict(denoiser=dict(channels=64)))

train_cfg = dict(max_iters=1000, val_interval=250)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False)]
custom_hooks = [dict(type='EMAHook', momentum=0.01)]
