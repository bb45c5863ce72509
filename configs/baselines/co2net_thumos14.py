# CO2-Net (ACM MM 2021): 44.6 on THUMOS14 as published, the best of 25 test
# evaluations; network, losses, sampling, schedule and proposals are those of
# the authors' code.
_base_ = [
    '../_base_/datasets/thumos14_i3d.py', '../_base_/schedules/iters.py',
    '../_base_/default_runtime.py'
]

model = dict(
    type='WeakLocalizer',
    num_classes={{_base_.num_classes}},
    stream_channels={{_base_.stream_channels}},
    base_branch=dict(type='CrossModalBranch'),
    loss=dict(type='CO2NetLoss'),
    video_score_thr=0.2,
    # Runs of the attention alone, scored on `attention * cas`.
    proposal_generator=dict(
        type='ProposalGenerator',
        attention_thrs=[0.1 + 0.8 * i / 9 for i in range(10)],
        class_score_thrs=[],
        video_score_rule='sum',
        video_score_weight=0.2,
        branch_contrast=True,
        boundary_pad=0.,
        min_length=0.,
        distinct=False,
        nms=dict(type='gaussian', sigma=0.3, end_pad=1),
        min_score=None,
        max_per_video=None))

train_pipeline = [
    _base_.train_pipeline[0],
    dict(type='SampleSnippets', num_snippets=500, mode='stretch'),
    _base_.train_pipeline[-1]
]
train_dataloader = dict(batch_size=10, dataset=dict(pipeline=train_pipeline))
custom_hooks = []

val_evaluator = [
    dict(type='DetectionMAP', protocol='seconds212'),
    dict(type='DetectionMAP', protocol='co2', prefix='co2')
]
test_evaluator = val_evaluator
