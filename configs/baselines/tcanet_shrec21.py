# TCANet refines the proposals of another localizer. Write BMN's, of both
# subsets, first:
#   python tools/test.py configs/baselines/bmn_shrec21.py CHECKPOINT \
#       --dump work_dirs/bmn_shrec21/proposals.npz \
#       --cfg-options test_dataloader.dataset.subset="[training,test]"
_base_ = [
    '../_base_/openmmlab/tcanet.py', '../_base_/openmmlab/localizer_shrec21.py'
]

# Fewer proposals per video in training (20) than the authors' 64.
model = dict(feat_dim=_base_.in_channels, temporal_dim=_base_.temporal_dim)
proposals = dict(
    type='LoadLocalizerProposals',
    proposals_file='{{$ACTIONDIFF_BMN:work_dirs/bmn_shrec21}}/proposals.npz')
pipeline = [
    _base_.load, _base_.train_record, _base_.resize,
    dict(top_k=20, **proposals), _base_.proposal_input
]
test_pipeline = [
    _base_.load, _base_.test_record, _base_.resize,
    dict(top_k=100, **proposals), _base_.proposal_input
]
train_dataloader = dict(dataset=dict(pipeline=pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = [dict(type='ProposalRecall')]
test_evaluator = val_evaluator
