# DDG-Net (ICCV 2023) on DELU: 47.3 on THUMOS14 as published, the best of 100
# test evaluations, by the settings of the authors' code but for the ranks in
# DELU's curriculum (docs/method.md).
_base_ = ['./delu_thumos14.py']

model = dict(
    base_branch=dict(type='DDGBranch'),
    loss=dict(type='DDGLoss'),
    proposal_generator=dict(
        attention_thrs=[0.1 + 0.8 * i / 9 for i in range(10)]))
