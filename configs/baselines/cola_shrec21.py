# CoLA (CVPR 2021): 40.9 on THUMOS14 as published, 41.7 with its code.
_base_ = ['./base_shrec21.py']

model = dict(
    base_branch=dict(
        _delete_=True,
        type='CoLABranch',
        embed_channels=128,
        dropout=0.5,
        kernel_size=5,
        video_ratio=20),
    loss=dict(_delete_=True, type='CoLALoss', easy_ratio=20, hard_ratio=40),
    proposal_generator=dict(curve='class'))

custom_hooks = []

# Of 4e-3, 2e-3, 1e-3 and 5e-4 the best on validation recordings.
optim_wrapper = dict(optimizer=dict(lr=1e-3))
