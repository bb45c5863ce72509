# ActionDiff on ACRNet, see actiondiff_demo_acr.py: ACRNet's rate, and its 320
# epochs in batches of 16.
_base_ = ['./actiondiff_thumos14.py']

model = dict(
    base_branch=dict(_delete_=True, type='ACRBranch'),
    loss=dict(base=dict(_delete_=True, type='ACRLoss')),
    proposal_generator=dict(curve='class'))

train_cfg = dict(max_iters=4000)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
train_dataloader = dict(batch_sampler=dict(num_pairs=0))
