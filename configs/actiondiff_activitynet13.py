_base_ = [
    './_base_/models/actiondiff.py', './_base_/datasets/activitynet13_i3d.py',
    './_base_/schedules/iters_ema.py', './_base_/default_runtime.py'
]

# The base is CO2-Net's network with its losses, at the published width; one
# class per video and long actions (CO2-Net's settings for ActivityNet), whose
# proposals hardly overlap (ACM-Net).
model = dict(
    num_classes={{_base_.num_classes}},
    stream_channels={{_base_.stream_channels}},
    base_branch=dict(_delete_=True, type='CrossModalBranch', pool_kernel=13),
    loss=dict(base=dict(_delete_=True, type='CO2NetLoss', mil_ratio=10)),
    proposal_generator=dict(nms=dict(type='hard', tiou_thr=0.9)))

train_cfg = dict(max_iters=30000, val_interval=2000)
default_hooks = dict(checkpoint=dict(interval=2000))
optim_wrapper = dict(optimizer=dict(lr=1e-4))
