_base_ = [
    './_base_/models/actiondiff.py', './_base_/datasets/thumos14_i3d.py',
    './_base_/schedules/iters_ema.py', './_base_/default_runtime.py'
]

# The base is CO2-Net's network with its losses, at the published width.
model = dict(
    num_classes={{_base_.num_classes}},
    stream_channels={{_base_.stream_channels}},
    base_branch=dict(_delete_=True, type='CrossModalBranch'),
    loss=dict(base=dict(_delete_=True, type='CO2NetLoss')))
