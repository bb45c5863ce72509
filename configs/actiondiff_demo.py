_base_ = [
    './_base_/models/actiondiff.py', './_base_/datasets/demo.py',
    './_base_/schedules/small.py', './_base_/default_runtime.py'
]

model = dict(
    num_classes={{_base_.num_classes}},
    stream_channels={{_base_.stream_channels}},
    base_branch=dict(embed_channels=64),
    condition=dict(condition_channels=64),
    diffusion_head=dict(denoiser=dict(channels=64)))

train_cfg = dict(max_iters=300, val_interval=150)
default_hooks = dict(checkpoint=dict(interval=150))
