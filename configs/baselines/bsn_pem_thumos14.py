# Last stage of BSN; benchmarks/bsn.py runs all three.
_base_ = [
    '../_base_/openmmlab/bsn_pem.py',
    '../_base_/openmmlab/localizer_thumos14.py'
]

train_dataloader = _base_.pem_train
val_dataloader = _base_.pem_test
test_dataloader = val_dataloader
