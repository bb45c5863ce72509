# CO2-Net (ACM MM 2021; 44.6 on THUMOS14 as published) with its losses.
_base_ = ['./base_demo.py']

model = dict(
    base_branch=dict(
        _delete_=True,
        type='CrossModalBranch',
        embed_channels=64,
        attention_channels=32,
        dropout=0.3,
        attention_dropout=0.2),
    loss=dict(_delete_=True, type='CO2NetLoss', norm_weight=0.1))

train_dataloader = dict(batch_sampler=dict(num_pairs=3))
optim_wrapper = dict(optimizer=dict(lr=3e-3, weight_decay=1e-3))
custom_hooks = []
