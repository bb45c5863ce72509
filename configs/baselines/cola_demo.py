# CoLA (CVPR 2021): 40.9 on THUMOS14 as published, 41.7 with its code.
_base_ = ['./base_demo.py']

model = dict(
    base_branch=dict(_delete_=True, type='CoLABranch', embed_channels=64),
    loss=dict(_delete_=True, type='CoLALoss'),
    proposal_generator=dict(curve='class'))

optim_wrapper = dict(optimizer=dict(lr=3e-3, weight_decay=5e-4))
train_dataloader = dict(batch_sampler=dict(num_pairs=0))
custom_hooks = []
