# The control: ActionDiff with plain self-training in place of the diffusion.
_base_ = ['../actiondiff_demo.py']

model = dict(
    diffusion_head=dict(
        _delete_=True,
        type='SelfTrainingHead',
        denoiser={{_base_.model.diffusion_head.denoiser}}))
