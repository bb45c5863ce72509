_base_ = [
    './_base_/models/actiondiff.py', './_base_/datasets/shrec21.py',
    './_base_/schedules/iters.py', './_base_/default_runtime.py'
]

# A snippet lasts 0.1 s: three wider convolutions see about as much of an
# action as one does on snippets of 0.64 s. Gestures last from 0.2 to 4 s,
# hence two pooling ratios. Recordings hold several classes, so that boundaries
# from the class-agnostic attention alone would be the same for all of them.
# With 108 recordings, the plain branch learns more than one with gates and
# attentions of its own (baselines/co2net_shrec21.py).
model = dict(
    num_classes={{_base_.num_classes}},
    stream_channels={{_base_.stream_channels}},
    warmup_iters=50,
    video_score_thr=0.02,
    base_branch=dict(
        _delete_=True,
        type='ConvBranch',
        embed_channels=64,
        hidden_layers=3,
        kernel_size=5,
        dropout=0.3,
        video_ratio=20),
    mask_generator=dict(k_mode='ratio', ratio=40, ignore_ratio=None),
    mask_teacher=dict(momentum=0.02),
    condition=dict(mode='input', condition_channels=64),
    diffusion_head=dict(denoiser=dict(channels=64, num_layers=3)),
    # The same in training: here the denoiser is a second network that the
    # losses on the fused scores have to teach.
    fusion=dict(train_mode='mixture', attention_weight=0.5),
    loss=dict(
        # Early and twice: on validation recordings, the losses on the fused
        # scores bring most of what the diffusion branch brings.
        fused_weight=2.,
        consistency_weight=0.1,
        base=dict(_delete_=True, type='MILLoss', mil_ratio=[20, 80])),
    proposal_generator=dict(attention_thrs=[], outer_ratio=0.5))

train_dataloader = dict(batch_sampler=dict(num_pairs=0))
train_cfg = dict(max_iters=600, val_interval=300)
# A hundred recordings: all of the network decays, and little.
optim_wrapper = dict(
    optimizer=dict(lr=4e-3, weight_decay=1e-4), paramwise_cfg=None)
# Without the first 30 iterations of small steps the branch ends 5 points
# lower on validation recordings.
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, begin=0, end=30, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=30, eta_min=0, by_epoch=False)
]
custom_hooks = [dict(type='EMAHook', momentum=0.01)]
default_hooks = dict(checkpoint=dict(interval=300))
