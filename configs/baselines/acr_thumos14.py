# ACRNet (ICME 2023): 47.5 on THUMOS14 as published (best test result).
_base_ = ['./base_thumos14.py']

model = dict(
    base_branch=dict(_delete_=True, type='ACRBranch'),
    loss=dict(_delete_=True, type='ACRLoss'))

train_dataloader = dict(batch_size=32)
train_cfg = dict(max_iters=2000)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=2000, by_epoch=False, end=2000)
]
