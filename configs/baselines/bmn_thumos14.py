_base_ = [
    '../_base_/openmmlab/bmn.py', '../_base_/openmmlab/localizer_thumos14.py'
]

# The widths of MMAction2's bmn_400x100: made for a GPU, half a minute per
# iteration on two CPU cores.
model = dict(
    feat_dim=_base_.in_channels,
    temporal_dim=_base_.temporal_dim,
    num_samples=32,
    hidden_dim_1d=256,
    hidden_dim_2d=128,
    hidden_dim_3d=512)
train_cfg = dict(max_iters=900, val_interval=900)
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=False, milestones=[700], gamma=0.1)
]
