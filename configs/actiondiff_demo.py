_base_ = [
    './_base_/models/actiondiff.py', './_base_/datasets/demo.py',
    './_base_/schedules/small.py', './_base_/default_runtime.py'
]

# Two streams, as THUMOS14's: the base is CO2-Net's network with its losses, at
# a small width.
model = dict(
    num_classes={{_base_.num_classes}},
    stream_channels={{_base_.stream_channels}},
    base_branch=dict(
        _delete_=True,
        type='CrossModalBranch',
        embed_channels=64,
        attention_channels=32,
        dropout=0.3,
        attention_dropout=0.2),
    condition=dict(condition_channels=64),
    diffusion_head=dict(denoiser=dict(channels=64)),
    loss=dict(base=dict(_delete_=True, type='CO2NetLoss', norm_weight=0.1)))

train_dataloader = dict(batch_sampler=dict(num_pairs=3))
train_cfg = dict(max_iters=300, val_interval=150)
default_hooks = dict(checkpoint=dict(interval=150))
