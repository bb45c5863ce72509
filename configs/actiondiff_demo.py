_base_ = [
    './_base_/models/actiondiff.py', './_base_/datasets/demo.py',
    './_base_/schedules/iters.py', './_base_/default_runtime.py'
]

model = dict(
    num_classes={{_base_.num_classes}},
    stream_channels={{_base_.stream_channels}},
    warmup_iters=100,
    base_branch=dict(embed_channels=64, attention_channels=32),
    condition=dict(condition_channels=32),
    diffusion_head=dict(denoiser=dict(channels=32)))

train_cfg = dict(max_iters=500, val_interval=250)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
custom_hooks = [dict(type='EMAHook', momentum=0.01)]
default_hooks = dict(checkpoint=dict(interval=250))
