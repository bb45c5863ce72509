# TCANet refines the proposals of another localizer. Write BMN's, of both
# subsets, first:
#   python tools/test.py configs/baselines/bmn_thumos14.py CHECKPOINT \
#       --dump work_dirs/bmn_thumos14/proposals.npz \
#       --cfg-options test_dataloader.dataset.subset="[training,test]"
_base_ = [
    '../_base_/openmmlab/tcanet.py',
    '../_base_/openmmlab/localizer_thumos14.py'
]

# Samples as in MMAction2's config, proposals as the authors train: for a GPU.
model = dict(
    feat_dim=_base_.in_channels,
    temporal_dim=_base_.temporal_dim,
    se_sample_num=32,
    action_sample_num=64)
proposals = dict(
    type='LoadLocalizerProposals',
    proposals_file='{{$ACTIONDIFF_BMN:work_dirs/bmn_thumos14}}/proposals.npz')
pipeline = [
    _base_.load, _base_.train_record, _base_.resize,
    dict(top_k=64, **proposals), _base_.proposal_input
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
