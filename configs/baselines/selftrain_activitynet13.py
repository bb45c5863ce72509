# The control: ActionDiff with plain self-training in place of the diffusion.
_base_ = ['../actiondiff_activitynet13.py']

model = dict(diffusion_head=dict(type='SelfTrainingHead'))
