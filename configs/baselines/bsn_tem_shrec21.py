# First stage of BSN; benchmarks/bsn.py runs all three.
_base_ = [
    '../_base_/openmmlab/bsn_tem.py',
    '../_base_/openmmlab/localizer_shrec21.py'
]

model = dict(tem_feat_dim=_base_.in_channels, temporal_dim=_base_.temporal_dim)
train_dataloader = dict(batch_size=16)
val_dataloader = None
val_evaluator = None
test_dataloader = dict(dataset=dict(subset=['training', 'test']))
test_evaluator = _base_.boundaries
