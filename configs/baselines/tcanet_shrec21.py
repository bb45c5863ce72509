_base_ = [
    '../_base_/openmmlab/tcanet.py', '../_base_/openmmlab/localizer_shrec21.py'
]

# Fewer proposals per video in training (20) than the authors' 64.
model = dict(feat_dim=_base_.in_channels, temporal_dim=_base_.temporal_dim)
train_dataloader = dict(
    dataset=dict(pipeline=[
        _base_.load, _base_.train_record, _base_.resize,
        dict(_base_.proposals, top_k=20), _base_.proposal_input
    ]))
val_dataloader = _base_.tcanet_test
test_dataloader = val_dataloader
val_evaluator = [_base_.recall]
test_evaluator = val_evaluator
