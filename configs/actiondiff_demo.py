_base_ = [
    './_base_/models/actiondiff.py', './_base_/datasets/demo.py',
    './_base_/schedules/iters.py', './_base_/default_runtime.py'
]

model = dict(
    num_classes={{_base_.num_classes}},
    stream_channels={{_base_.stream_channels}},
    warmup_iters=80,
    video_score_thr=0.1,
    base_branch=dict(
        embed_channels=64,
        attention_channels=32,
        dropout=0.3,
        attention_dropout=0.2),
    condition=dict(condition_channels=64),
    loss=dict(base=dict(norm_weight=0.1)),
    proposal_generator=dict(outer_ratio=0.5))

train_cfg = dict(max_iters=300, val_interval=150)
optim_wrapper = dict(optimizer=dict(lr=3e-3))
param_scheduler = [dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False)]
custom_hooks = [dict(type='EMAHook', momentum=0.01)]
default_hooks = dict(checkpoint=dict(interval=150))
