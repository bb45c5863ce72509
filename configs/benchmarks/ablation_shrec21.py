# One change at a time to ActionDiff as its config has it.
_base_ = ['./shrec21.py']
base = 'actiondiff'  # what differences are taken to
ceiling = None
ablated = 'configs/actiondiff_{data}.py'

_parts = 'Parts'
entries = dict(
    _delete_=True,
    control=dict(
        config='configs/baselines/selftrain_{data}.py',
        family='control',
        block=_parts,
        label='Self-training, no diffusion'),
    base=dict(
        config='configs/baselines/base_{data}.py',
        family='wtal',
        block=_parts,
        label='Base branch'),
    base_no_ema=dict(
        config='configs/baselines/base_{data}.py',
        family='wtal',
        block=_parts,
        label='Base branch, weights not averaged',
        options={'custom_hooks': []}))
_fusion = {
    mode: (mode, {
        'model.fusion.mode': mode,
        'model.fusion.train_mode': None
    })
    for mode in ('blend', 'add', 'suppress', 'gate_feat')
}
_condition = {
    mode: (mode, {
        'model.condition.mode': mode
    })
    for mode in ('attn_input', 'attn_feat', 'topk_feat', 'class_feat', 'cas',
                 'cas_attn_feat')
}
# block, the entry whose weights to test or None to train, and
# {entry: (label, what changes)}
ablations = [(_parts, None, {
    'actiondiff': ('ActionDiff', {}),
    'actiondiff_no_ema': ('ActionDiff, weights not averaged', {
        'custom_hooks': []
    }),
    'no_mask_loss':
    ('the branch learns from the video labels alone, no masks', {
        'model.loss.diffusion_weight': 0.
    }),
    'no_fused_loss': ('the branch learns from the masks alone', {
        'model.loss.fused_weight': 0.
    })
}), ('Condition (input)', None, _condition),
             ('Fusion, in training and at test time (mixture)', None, {
                 'no_weakening': ('none: diffusion loss, no fusion', {
                     'model.fusion.mode': 'none',
                     'model.fusion.train_mode': None
                 }),
                 **_fusion, 'erase':
                 ('suppress in training, mixture at test time', {
                     'model.fusion.train_mode': 'suppress'
                 })
             }),
             ('Mask (ratio 40, averaged teacher)', None, {
                 'more_masked': ('ratio 20', {
                     'model.mask_generator.ratio': 20
                 }),
                 'less_masked': ('ratio 80', {
                     'model.mask_generator.ratio': 80
                 }),
                 'mass': ('k by mass', {
                     'model.mask_generator.k_mode': 'mass',
                     'model.mask_generator.max_ratio': 80
                 }),
                 'ignore_band': ('ignore band', {
                     'model.mask_generator.ignore_ratio': 2
                 }),
                 'own_masks': ('masks of the branch itself', {
                     'model.mask_teacher': None
                 })
             }),
             ('Sampling and post-processing (same weights)', 'actiondiff', {
                 'one_step': ('1 sampling step (8)', {
                     'model.diffusion_head.num_inference_steps': 1
                 }),
                 'samples': ('1 sample (4)', {
                     'model.diffusion_head.num_samples': 1
                 }),
                 'pad': ('no half snippet added to each side', {
                     'model.proposal_generator.boundary_pad': 0.
                 }),
                 'min_length': ('proposals of one snippet, too', {
                     'model.proposal_generator.min_length': 0.
                 }),
                 'attention_thrs': ('attention thresholds, too', {
                     'model.proposal_generator.attention_thrs':
                     None
                 })
             })]
