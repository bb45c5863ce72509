# ACRNet (ICME 2023): 47.5 on THUMOS14 as published (best test result).
_base_ = ['./base_shrec21.py']

model = dict(
    base_branch=dict(
        _delete_=True,
        type='ACRBranch',
        num_heads=2,
        attention_channels=64,
        kernel_size=5),
    loss=dict(_delete_=True, type='ACRLoss'),
    # the class score holds the attention already
    proposal_generator=dict(curve='class'))

custom_hooks = []

# Better on validation recordings than 4e-3.
optim_wrapper = dict(optimizer=dict(lr=1e-3))
