# Your own data: one stream of features or several. The last lines of
# tools/prepare/custom.py are the command that starts this config.
_base_ = [
    './_base_/models/actiondiff.py', './_base_/datasets/custom.py',
    './_base_/schedules/small.py', './_base_/default_runtime.py'
]

# As for HAPT's sensor features: the base sees nine snippets at a time.
model = dict(
    num_classes={{_base_.num_classes}},
    stream_channels={{_base_.stream_channels}},
    base_branch=dict(embed_channels=64, hidden_layers=2, kernel_size=5),
    condition=dict(condition_channels=64),
    diffusion_head=dict(denoiser=dict(channels=64)))

train_cfg = dict(max_iters=1000, val_interval=200)
default_hooks = dict(checkpoint=dict(interval=200))
