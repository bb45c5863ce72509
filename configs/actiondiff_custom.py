# Your own data: one stream of features or several. The last lines of
# tools/prepare/custom.py are the command that starts this config.
_base_ = [
    './_base_/models/actiondiff.py', './_base_/datasets/custom.py',
    './_base_/schedules/small.py', './_base_/default_runtime.py'
]

# For features of some hundred channels, and actions of up to ten snippets or
# so: the tutorial says what longer ones need.
model = dict(
    num_classes={{_base_.num_classes}},
    stream_channels={{_base_.stream_channels}},
    base_branch=dict(embed_channels=256),
    condition=dict(condition_channels=64),
    diffusion_head=dict(denoiser=dict(channels=64)))

train_cfg = dict(max_iters=600, val_interval=200)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
default_hooks = dict(checkpoint=dict(interval=200))
