# CoLA (CVPR 2021): 40.9 on THUMOS14 as published, 41.7 with the authors' code,
# the best of 60 test evaluations; everything here is as in that code.
_base_ = [
    '../_base_/datasets/thumos14_i3d.py', '../_base_/schedules/iters.py',
    '../_base_/default_runtime.py'
]

model = dict(
    type='WeakLocalizer',
    num_classes={{_base_.num_classes}},
    stream_channels={{_base_.stream_channels}},
    base_branch=dict(type='CoLABranch'),
    loss=dict(type='CoLALoss'),
    video_score_thr=0.2,
    proposal_generator=dict(
        type='ProposalGenerator',
        attention_thrs=[0.1 + 0.025 * i for i in range(33)],
        class_score_thrs=[0.025 * i for i in range(10)],
        curve='class',
        video_score_rule='sum',
        video_score_weight=0.2,
        normalize=False,
        mute_below_thr=True,
        upsample_factor=24,
        snippet_place='start',
        boundary_pad=0.,
        min_length=2 / 24,
        distinct=False,
        # ends count as inclusive, in seconds
        nms=dict(type='hard', tiou_thr=0.6, end_pad=25 / 16),
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
    batch_sampler=dict(num_pairs=0), dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(max_iters=6000)
optim_wrapper = dict(optimizer=dict(lr=1e-4, weight_decay=5e-4))
custom_hooks = []

val_evaluator = [
    dict(type='DetectionMAP', protocol='seconds212'),
    dict(type='DetectionMAP', protocol='um210', prefix='um210')
]
test_evaluator = val_evaluator
