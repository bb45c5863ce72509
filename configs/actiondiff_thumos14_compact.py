# The plain branch and its loss: on a CPU about a fourteenth of the training
# time of CO2-Net's.
_base_ = ['./actiondiff_thumos14.py']

model = dict(
    base_branch=dict(_delete_=True, type='ConvBranch'),
    loss=dict(base=dict(_delete_=True, type='PresentClassLoss')),
    condition=dict(condition_channels=64),
    diffusion_head=dict(denoiser=dict(channels=64)))

train_dataloader = dict(batch_sampler=dict(num_pairs=0))
optim_wrapper = dict(optimizer=dict(lr=1e-3, weight_decay=1e-4))
