_base_ = [
    '../_base_/openmmlab/tcanet.py', '../_base_/openmmlab/localizer_demo.py'
]

model = dict(feat_dim=_base_.in_channels, temporal_dim=_base_.temporal_dim)
train_dataloader = _base_.tcanet_train
val_dataloader = _base_.tcanet_test
test_dataloader = val_dataloader
val_evaluator = [_base_.recall]
test_evaluator = val_evaluator
