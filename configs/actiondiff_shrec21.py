_base_ = [
    './_base_/models/actiondiff.py', './_base_/datasets/shrec21.py',
    './_base_/schedules/small.py', './_base_/default_runtime.py'
]

# A snippet lasts 0.1 s: three wider convolutions see about as much of an
# action as one does on snippets of 0.64 s.
model = dict(
    num_classes={{_base_.num_classes}},
    stream_channels={{_base_.stream_channels}},
    base_branch=dict(embed_channels=64, hidden_layers=3, kernel_size=5),
    condition=dict(condition_channels=64),
    diffusion_head=dict(denoiser=dict(channels=64, num_layers=3)))

train_cfg = dict(max_iters=600, val_interval=300)
default_hooks = dict(checkpoint=dict(interval=300))
