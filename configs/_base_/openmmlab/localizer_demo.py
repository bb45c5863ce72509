# The demo set for MMAction2's localizers: a step covers 0.4 to 1.9 s.
_base_ = ['../datasets/demo.py', './inputs.py', '../default_runtime.py']

train_dataloader = _base_.train_inputs
val_dataloader = _base_.test_inputs
test_dataloader = val_dataloader
val_evaluator = [_base_.recall, dict(_base_.pairing, protocol='seconds')]
test_evaluator = val_evaluator
default_hooks = _base_.hooks
