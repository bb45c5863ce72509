# TCANet refines the proposals of another localizer. Write BMN's, of both
# subsets, first:
#   python tools/test.py configs/baselines/bmn_shrec21.py CHECKPOINT \
#       --dump work_dirs/bmn_shrec21/proposals.pkl \
#       --cfg-options test_dataloader.dataset.subset="[training,test]"
_base_ = [
    '../_base_/openmmlab/tcanet.py', '../_base_/openmmlab/localizer_shrec21.py'
]

# Fewer proposals per video in training (20) than the authors' 64.
model = dict(feat_dim=_base_.in_channels, temporal_dim=_base_.temporal_dim)
bmn_dir = '{{$ACTIONDIFF_BMN:work_dirs/bmn_shrec21}}'
resize = dict(type='ResizeFeature', length=_base_.temporal_dim)
proposals = dict(
    type='LoadLocalizerProposals', proposals_file=f'{bmn_dir}/proposals.pkl')
pack = dict(
    type='PackLocalizationInputs',
    keys=('gt_bbox', 'proposals'),
    meta_keys=_base_.meta_keys)
train_pipeline = [
    _base_.load, *_base_.record_steps, resize,
    dict(top_k=20, **proposals), pack
]
test_pipeline = [
    _base_.load, *_base_.record_steps, resize,
    dict(top_k=100, **proposals), pack
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
val_evaluator = [dict(type='ProposalRecall')]
test_evaluator = val_evaluator
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=130, save_best=None))
