_base_ = [
    './_base_/models/actiondiff.py', './_base_/datasets/thumos14_i3d.py',
    './_base_/schedules/iters.py', './_base_/default_runtime.py'
]

model = dict(
    num_classes={{_base_.num_classes}},
    stream_channels={{_base_.stream_channels}},
    warmup_iters=1000)
