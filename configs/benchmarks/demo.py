_base_ = ['./shrec21.py']
data = 'demo'
# The branch around another base, and that without diffusion: beside `acr`.
__acr = dict(config='configs/actiondiff_{data}_acr.py')
entries = dict(
    actiondiff_acr=dict(family='ours', label='ActionDiff on ACRNet', **__acr),
    control_acr=dict(
        family='control',
        label='Self-training on ACRNet, no diffusion',
        options={'model.diffusion_head.type': 'SelfTrainingHead'},
        **__acr))
compare = _base_.compare + [('actiondiff_acr', 'acr'),
                            ('actiondiff_acr', 'control_acr')]
