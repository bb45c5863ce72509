# One change at a time to ActionDiff as its config has it.
_base_ = ['./shrec21.py']
base = 'actiondiff'  # what differences are taken to
ceiling = None
ablated = 'configs/actiondiff_{data}.py'

entries = dict(
    _delete_=True,
    control={{_base_.entries.control}},
    base={{_base_.entries.base}},
    base_no_ema=dict(
        config='configs/baselines/base_{data}.py',
        family='wtal',
        label='Base branch, weights not averaged',
        options={'custom_hooks': []}))
_mask = 'model.mask_generator.'
parts = {
    'actiondiff': ('ActionDiff', {}),
    'actiondiff_no_ema': ('ActionDiff, weights not averaged', {
        'custom_hooks': []
    }),
    'no_mask_loss': ('the branch learns no masks', {
        'model.loss.diffusion_weight': 0.
    }),
    'no_fused_loss': ('no losses on the weakened output', {
        'model.loss.fused_weight': 0.
    })
}
testing = {
    'test_base': ('the base alone makes the proposals', {
        'model.fusion.weight': 0.,
        'model.fusion.attention_weight': 0.
    }),
    'test_diffusion': ('the diffusion alone makes the proposals', {
        'model.fusion.weight': 1.
    }),
    'one_step': ('1 sampling step (8)', {
        'model.diffusion_head.num_inference_steps': 1
    }),
    'one_sample': ('1 sample (4)', {
        'model.diffusion_head.num_samples': 1
    }),
    'samples': ('16 samples (4)', {
        'model.diffusion_head.num_samples': 16
    }),
    'pad': ('no half snippet added to each side', {
        'model.proposal_generator.boundary_pad': 0.
    }),
    'min_length': ('proposals of one snippet, too', {
        'model.proposal_generator.min_length': 0.
    })
}
# heading, the entry whose weights to test or None to train, and
# {entry: (label, what changes)}
ablations = [
    (None, None, parts),
    ('Condition (input)', None, {
        mode: (mode, {
            'model.condition.mode': mode
        })
        for mode in ('attn_input', 'topk_feat')
    }),
    ('Fusion in training (mixture)', None, {
        mode: (mode, {
            'model.fusion.train_mode': mode
        })
        for mode in ('suppress', 'none')
    }),
    ('Mask (ratio 40, averaged teacher)', None, {
        'more_masked': ('ratio 20', {
            f'{_mask}ratio': 20
        }),
        'less_masked': ('ratio 80', {
            f'{_mask}ratio': 80
        }),
        'mass': ('k by mass', {
            f'{_mask}k_mode': 'mass',
            f'{_mask}max_ratio': 80
        }),
        'ignore_band': ('ignore band', {
            f'{_mask}ignore_ratio': 2
        }),
        'own_masks': ('masks of the branch itself', {
            'model.mask_teacher': None
        })
    }),
    ('Same weights', 'actiondiff', testing),
]
