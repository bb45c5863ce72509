_base_ = ['./ablation_shrec21.py']
data = 'demo'
_config = 'configs/actiondiff_{data}.py'
_block = 'Mask (ratio 7)'
_condition, _fusion = 'Condition (attn_feat)', 'Fusion (suppress)'
entries = dict(
    attn_feat=None,
    input=dict(
        config=_config,
        family='ours',
        block=_condition,
        label='input',
        options={'model.condition.mode': 'input'}),
    topk_feat=dict(block=_condition),
    class_feat=dict(block=_condition),
    cas=dict(block=_condition),
    cas_attn_feat=dict(block=_condition),
    no_weakening=dict(block=_fusion),
    blend=dict(block=_fusion),
    add=dict(block=_fusion),
    suppress=None,
    mixture=dict(
        config=_config,
        family='ours',
        block=_fusion,
        label='mixture',
        options={'model.fusion.mode': 'mixture'}),
    gate_feat=dict(block=_fusion),
    more_masked=dict(
        block=_block,
        label='ratio 4',
        options={'model.mask_generator.ratio': 4}),
    less_masked=dict(
        block=_block,
        label='ratio 14',
        options={'model.mask_generator.ratio': 14}),
    voted=dict(
        block=_block,
        label='ratios 4, 7, 14 vote',
        options={'model.mask_generator.ratio': [4, 7, 14]}),
    mass=dict(block=_block, options={'model.mask_generator.max_ratio': 16}),
    ignore_band=dict(block=_block),
    own_masks=None,
    mask_teacher=dict(
        config=_config,
        family='ours',
        block=_block,
        label='masks of an averaged teacher',
        options={'model.mask_teacher': dict(momentum=0.01)}),
    samples=dict(
        label='4 samples (1)', options={'model.diffusion_head.num_samples':
                                        4}),
    attention_thrs=dict(
        label='no attention thresholds',
        options={'model.proposal_generator.attention_thrs': []}))
