# CO2-Net (ACM MM 2021; 44.6 on THUMOS14 as published) with its losses.
_base_ = ['../actiondiff_shrec21_co2net.py']

model = dict(
    _delete_=True,
    type='WeakLocalizer',
    num_classes={{_base_.num_classes}},
    stream_channels={{_base_.stream_channels}},
    base_branch={{_base_.model.base_branch}},
    loss={{_base_.model.loss.base}},
    video_score_thr={{_base_.model.video_score_thr}},
    proposal_generator={{_base_.model.proposal_generator}})

custom_hooks = []
