# THUMOS14 for MMAction2's localizers: a step covers 1.6 s in a video of median
# length and 17 s in the longest one. The papers cut windows instead.
_base_ = [
    '../datasets/thumos14_i3d.py', './inputs.py', '../default_runtime.py'
]

train_dataloader = _base_.train_inputs
val_dataloader = _base_.test_inputs
test_dataloader = val_dataloader
val_evaluator = [_base_.recall, dict(_base_.pairing, protocol='seconds212')]
test_evaluator = val_evaluator
default_hooks = _base_.hooks
