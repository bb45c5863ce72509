_base_ = [
    '../_base_/openmmlab/bmn.py', '../_base_/openmmlab/localizer_demo.py'
]

model = dict(feat_dim=_base_.in_channels, temporal_dim=_base_.temporal_dim)
