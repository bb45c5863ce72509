# The plain branch, as on SHREC'21: a fifteenth of the training time of
# CO2-Net's (docs/benchmark/speed.md). On the data that run on a CPU it is as
# good or better (docs/benchmark/experiments.md).
_base_ = ['./actiondiff_thumos14.py']

model = dict(
    base_branch=dict(_delete_=True, type='ConvBranch', embed_channels=512),
    condition=dict(condition_channels=64),
    diffusion_head=dict(denoiser=dict(channels=64)))
