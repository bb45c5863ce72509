# One change at a time to ActionDiff as its config has it.
_base_ = ['./shrec21.py']
data = 'demo'
base = 'actiondiff'  # what differences are taken to
ceiling = None
ablated = 'configs/actiondiff_{data}.py'

entries = dict(
    _delete_=True,
    control={{_base_.entries.control}},
    base={{_base_.entries.base}})
__mask = 'model.mask_generator.'
__decay = 'optim_wrapper.paramwise_cfg.custom_keys.'
# heading, the entry whose weights to test or None to train, and rows of the
# name of an entry, its label, and what it changes
ablations = [
    (None, None, [
        ('actiondiff', 'ActionDiff'),
        ('no_ema', 'weights not averaged', 'custom_hooks=[]'),
        ('no_mask_loss', 'the branch learns no masks',
         'model.loss.diffusion_weight=0.'),
        ('no_fused_loss', 'no losses on the weakened output',
         'model.loss.fused_weight=0.'),
        ('no_completed_loss', 'no losses on the completed output',
         'model.loss.completed_weight=0.'),
        ('no_weakening', 'training erases nothing',
         'model.fusion.weakens=False'),
        ('decay', "the branch's weights decay as the base's",
         f'{__decay}diffusion_head.decay_mult=1.',
         f'{__decay}condition.decay_mult=1.'),
    ]),
    ('Condition (attn_input)', None, [
        ('input', 'input', 'model.condition.mode="input"'),
        ('topk_feat', 'topk_feat', 'model.condition.mode="topk_feat"'),
    ]),
    ('Mask (levels 0.5 and 0.2 of the highest score)', None, [
        ('ratio_4', 'k = T / 4', f'{__mask}k_mode="ratio"',
         f'{__mask}ratio=4'),
        ('ratio_7', 'k = T / 7', f'{__mask}k_mode="ratio"',
         f'{__mask}ratio=7'),
        ('no_ignore_band', 'level 0.5 alone, no ignore band',
         f'{__mask}outside=0.5'),
    ]),
    ('Same weights', 'actiondiff', [
        ('test_base', 'the base alone makes the proposals',
         'model.fusion.weight=0.'),
        ('test_diffusion', 'the diffusion alone makes the proposals',
         'model.fusion.weight=1.'),
        ('steps', '8 sampling steps (1)',
         'model.diffusion_head.num_inference_steps=8'),
        ('one_sample', '1 sample (4)', 'model.diffusion_head.num_samples=1'),
        ('samples', '16 samples (4)', 'model.diffusion_head.num_samples=16'),
        ('pad', 'no half snippet added to each side',
         'model.proposal_generator.boundary_pad=0.'),
        ('min_length', 'proposals of one snippet, too',
         'model.proposal_generator.min_length=0.'),
    ]),
]
