# ACRNet (ICME 2023): 47.5 on THUMOS14 as published (best test result).
_base_ = ['./base_demo.py']

model = dict(
    base_branch=dict(_delete_=True, type='ACRBranch', attention_channels=32),
    loss=dict(_delete_=True, type='ACRLoss'),
    # the class score holds the attention already
    proposal_generator=dict(curve='class'))

custom_hooks = []
