# What the authors' codes of CO2-Net, DELU, CoLA and ACRNet have in common:
# no averaged weights, and proposals without the steps that are ours.
_base_ = [
    './datasets/thumos14_i3d.py', './schedules/iters.py',
    './default_runtime.py'
]

model = dict(
    type='WeakLocalizer',
    num_classes={{_base_.num_classes}},
    stream_channels={{_base_.stream_channels}},
    video_score_thr=0.2,
    proposal_generator=dict(
        type='ProposalGenerator',
        curve_power=1.,
        outer_ratio=0.25,
        video_score_rule='sum',
        video_score_weight=0.2,
        boundary_pad=0.,
        distinct=False,
        min_score=None,
        max_per_video=None))
