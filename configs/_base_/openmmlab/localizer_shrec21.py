# SHREC'21 for MMAction2's localizers: a step covers 0.16 to 0.48 s. Training
# recordings hold up to 5 classes.
_base_ = ['../datasets/shrec21.py', './inputs.py', '../default_runtime.py']

train_dataloader = _base_.train_inputs
val_dataloader = _base_.test_inputs
test_dataloader = val_dataloader
val_evaluator = [
    _base_.recall,
    dict(_base_.pairing, top_classes=5, protocol='seconds')
]
test_evaluator = val_evaluator
default_hooks = _base_.hooks
