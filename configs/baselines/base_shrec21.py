# The base branch alone: what ActionDiff adds its diffusion branch to.
_base_ = ['../actiondiff_shrec21.py']

model = dict(
    _delete_=True,
    type='WeakLocalizer',
    num_classes={{_base_.num_classes}},
    stream_channels={{_base_.stream_channels}},
    base_branch={{_base_.model.base_branch}},
    loss={{_base_.model.loss.base}},
    proposal_generator={{_base_.model.proposal_generator}})
