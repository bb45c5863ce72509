_base_ = [
    './_base_/models/actiondiff.py', './_base_/datasets/shrec21.py',
    './_base_/schedules/iters.py', './_base_/default_runtime.py'
]

# A snippet lasts 0.1 s: three wider convolutions see about as much of an
# action as one does on snippets of 0.64 s, and gestures are short (a fortieth
# of a recording). Recordings hold several classes, so that boundaries from
# the class-agnostic attention alone would be the same for all of them.
model = dict(
    num_classes={{_base_.num_classes}},
    stream_channels={{_base_.stream_channels}},
    warmup_iters=150,
    base_branch=dict(
        embed_channels=64,
        attention_channels=32,
        hidden_layers=3,
        kernel_size=5,
        dropout=0.5,
        attention_dropout=0.2),
    mask_generator=dict(ratio=40),
    condition=dict(condition_channels=64),
    fusion=dict(attention_weight=0.),
    diffusion_head=dict(denoiser=dict(channels=32, num_layers=3)),
    loss=dict(mil_ratio=40, norm_weight=0.1, co_activity_weight=0.),
    video_ratio=20,
    proposal_generator=dict(
        video_score_thr=0.02, attention_thrs=[], outer_ratio=0.5))

train_dataloader = dict(sampler=dict(num_pairs=0))
train_cfg = dict(max_iters=600, val_interval=300)
optim_wrapper = dict(optimizer=dict(lr=5e-3))
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=600, eta_min=0, by_epoch=False)
]
custom_hooks = [dict(type='EMAHook', momentum=0.01)]
default_hooks = dict(checkpoint=dict(interval=300))
