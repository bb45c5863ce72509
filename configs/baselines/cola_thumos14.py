# CoLA (CVPR 2021): 40.9 on THUMOS14 as published, 41.7 with its code.
_base_ = ['./base_thumos14.py']

model = dict(
    base_branch=dict(_delete_=True, type='CoLABranch'),
    loss=dict(_delete_=True, type='CoLALoss'))

train_cfg = dict(max_iters=6000)
optim_wrapper = dict(optimizer=dict(lr=1e-4, weight_decay=5e-4))
