_base_ = ['./ablation_shrec21.py']
data = 'demo'
entries = dict(base_no_ema=None)

_mask = 'model.mask_generator.'
_decay = 'optim_wrapper.paramwise_cfg.custom_keys.'
ablations = [
    (None, None, {{_base_.parts}}),
    (None, None, {
        'decay': ("the branch's weights decay as the base's", {
            f'{_decay}diffusion_head.decay_mult': 1.,
            f'{_decay}condition.decay_mult': 1.
        })
    }),
    ('Condition (attn_input)', None, {
        mode: (mode, {
            'model.condition.mode': mode
        })
        for mode in ('input', 'topk_feat')
    }),
    ('Fusion in training (suppress)', None, {
        mode: (mode, {
            'model.fusion.train_mode': mode
        })
        for mode in ('none', 'mixture')
    }),
    ('Mask (k by mass, ignore band)', None, {
        'binary': ('k = T / 4, no ignore band', {
            f'{_mask}k_mode': 'ratio',
            f'{_mask}ratio': 4,
            f'{_mask}ignore_ratio': None
        }),
        'fixed': ('k = T / 4', {
            f'{_mask}k_mode': 'ratio',
            f'{_mask}ratio': 4
        }),
        'fixed_less': ('k = T / 7', {
            f'{_mask}k_mode': 'ratio',
            f'{_mask}ratio': 7
        }),
        'no_ignore_band': ('no ignore band', {
            f'{_mask}ignore_ratio': None
        }),
        'mask_teacher': ('masks of an averaged teacher', {
            'model.mask_teacher': dict(momentum=0.02)
        })
    }),
    ('Same weights', 'actiondiff', {{_base_.testing}}),
]
