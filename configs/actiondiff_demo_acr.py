# ActionDiff on ACRNet: the branch of the preset around ACRNet's network and
# loss, with ACRNet's rate and length; the branch keeps the preset's rate.
_base_ = ['./actiondiff_demo.py']

model = dict(
    base_branch=dict(_delete_=True, type='ACRBranch', attention_channels=32),
    loss=dict(base=dict(_delete_=True, type='ACRLoss')),
    # the class score holds the attention already
    proposal_generator=dict(curve='class'))

train_cfg = dict(max_iters=2000, val_interval=500)
optim_wrapper = dict(
    optimizer=dict(lr=2e-2, weight_decay=1e-3),
    paramwise_cfg=dict(
        custom_keys=dict(
            diffusion_head=dict(lr_mult=0.2), condition=dict(lr_mult=0.2))))
train_dataloader = dict(batch_sampler=dict(num_pairs=0))
