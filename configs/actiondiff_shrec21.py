_base_ = [
    './_base_/models/actiondiff.py', './_base_/datasets/shrec21.py',
    './_base_/schedules/iters.py', './_base_/default_runtime.py'
]

# A snippet lasts 0.1 s: three wider convolutions see about as much of an
# action as one does on snippets of 0.64 s.
model = dict(
    num_classes={{_base_.num_classes}},
    stream_channels={{_base_.stream_channels}},
    warmup_iters=150,
    base_branch=dict(
        embed_channels=128,
        attention_channels=64,
        hidden_layers=3,
        kernel_size=5,
        dropout=0.5),
    mask_generator=dict(ratio=20),
    condition=dict(condition_channels=64),
    diffusion_head=dict(denoiser=dict(channels=64)),
    loss=dict(mil_ratio=20, co_activity_weight=0.),
    video_ratio=20,
    proposal_generator=dict(video_score_thr=0.05, attention_thrs=[]))

train_dataloader = dict(sampler=dict(num_pairs=0))
train_cfg = dict(max_iters=600, val_interval=300)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
custom_hooks = [dict(type='EMAHook', momentum=0.005)]
default_hooks = dict(checkpoint=dict(interval=300))
