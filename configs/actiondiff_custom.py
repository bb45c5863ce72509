# ActionDiff on your own data; tools/new_config.py derives yours from this one.
_base_ = [
    './_base_/models/actiondiff.py', './_base_/datasets/custom.py',
    './_base_/schedules/iters.py', './_base_/default_runtime.py'
]

# The plain branch takes any number of streams and trains on a CPU
# (actiondiff_thumos14_compact.py).
model = dict(
    num_classes={{_base_.num_classes}},
    stream_channels={{_base_.stream_channels}},
    warmup_iters=100,
    video_score_thr=0.1,
    base_branch=dict(
        _delete_=True, type='ConvBranch', embed_channels=256, dropout=0.3),
    condition=dict(condition_channels=64),
    diffusion_head=dict(denoiser=dict(channels=64)),
    loss=dict(base=dict(_delete_=True, type='MILLoss', mil_ratio=[7, 20])))

train_cfg = dict(max_iters=1000, val_interval=250)
optim_wrapper = dict(optimizer=dict(lr=1e-3, weight_decay=1e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, begin=0, end=50, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        T_max=950,
        begin=50,
        end=1000,
        eta_min=0,
        by_epoch=False)
]
custom_hooks = [dict(type='EMAHook', momentum=0.01)]
default_hooks = dict(checkpoint=dict(interval=250))
