# ACRNet (ICME 2023): 47.5 on THUMOS14 as published (best test result).
_base_ = ['./base_demo.py']

model = dict(
    base_branch=dict(_delete_=True, type='ACRBranch', attention_channels=32),
    loss=dict(_delete_=True, type='ACRLoss'),
    # the class score holds the attention already
    proposal_generator=dict(curve='class'))

# Its clusters start from chance and feed on themselves. With a smaller rate or
# fewer iterations some seeds hardly learn; this is 320 epochs, the authors'
# number.
train_cfg = dict(max_iters=2000, val_interval=500)
optim_wrapper = dict(optimizer=dict(lr=2e-2, weight_decay=1e-3))
train_dataloader = dict(batch_sampler=dict(num_pairs=0))
custom_hooks = []
