# ACRNet (ICME 2023): 47.5 on THUMOS14 as published, the best of 20 test
# evaluations, by the settings of the authors' code but for the merging of the
# heads (docs/method.md).
_base_ = [
    '../_base_/datasets/thumos14_i3d.py', '../_base_/schedules/iters.py',
    '../_base_/default_runtime.py'
]

model = dict(
    type='WeakLocalizer',
    num_classes={{_base_.num_classes}},
    stream_channels={{_base_.stream_channels}},
    base_branch=dict(type='ACRBranch'),
    loss=dict(type='ACRLoss'),
    video_score_thr=0.1,
    # Runs of the class score, at the resolution of frames.
    proposal_generator=dict(
        type='ProposalGenerator',
        attention_thrs=[],
        class_score_thrs=[0.1 + 0.05 * i for i in range(18)],
        curve='class',
        video_score_rule='sum',
        video_score_weight=0.2,
        normalize=False,
        upsample_factor=16,
        snippet_place='start',
        boundary_pad=0.,
        min_length=2 / 16,
        distinct=False,
        nms=dict(type='gaussian', sigma=0.5, tiou_thr=0.1),
        min_score=None,
        max_per_video=None))

_sample = dict(type='SampleSnippets', num_snippets=750)
train_pipeline = [
    _base_.train_pipeline[0],
    dict(mode='stretch', **_sample), _base_.train_pipeline[-1]
]
test_pipeline = [
    _base_.test_pipeline[0],
    dict(mode='uniform', random=False, **_sample), _base_.test_pipeline[-1]
]
train_dataloader = dict(
    batch_size=32,
    batch_sampler=dict(num_pairs=0),
    dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(max_iters=2000)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False)]
custom_hooks = []

val_evaluator = [
    dict(type='DetectionMAP', protocol='seconds212'),
    dict(type='DetectionMAP', protocol='acr', prefix='acr')
]
test_evaluator = val_evaluator
