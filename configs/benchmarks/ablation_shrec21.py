# One change at a time to ActionDiff as its config has it.
_base_ = ['./shrec21.py']
base = 'actiondiff'  # what differences are taken to
ceiling = None

_config = 'configs/actiondiff_{data}.py'
_same = 'Sampling and post-processing (same weights)'
entries = dict(
    _delete_=True,
    actiondiff=dict(
        config=_config, family='ours', block='Parts', label='ActionDiff'),
    actiondiff_no_ema=dict(
        config=_config,
        family='ours',
        block='Parts',
        label='ActionDiff, weights not averaged',
        options={'custom_hooks': []}),
    control=dict(
        config='configs/baselines/selftrain_{data}.py',
        family='control',
        block='Parts',
        label='Self-training, no diffusion'),
    base=dict(
        config='configs/baselines/base_{data}.py',
        family='wtal',
        block='Parts',
        label='Base branch'),
    base_no_ema=dict(
        config='configs/baselines/base_{data}.py',
        family='wtal',
        block='Parts',
        label='Base branch, weights not averaged',
        options={'custom_hooks': []}),
    no_mask_loss=dict(
        config=_config,
        family='ours',
        block='Parts',
        label='the branch learns from the video labels alone, no masks',
        options={'model.loss.diffusion_weight': 0.}),
    no_fused_loss=dict(
        config=_config,
        family='ours',
        block='Parts',
        label='the branch learns from the masks alone',
        options={'model.loss.fused_weight': 0.}),
    attn_feat=dict(
        config=_config,
        family='ours',
        block='Condition (input)',
        label='attn_feat',
        options={'model.condition.mode': 'attn_feat'}),
    topk_feat=dict(
        config=_config,
        family='ours',
        block='Condition (input)',
        label='topk_feat',
        options={'model.condition.mode': 'topk_feat'}),
    class_feat=dict(
        config=_config,
        family='ours',
        block='Condition (input)',
        label='class_feat',
        options={'model.condition.mode': 'class_feat'}),
    cas=dict(
        config=_config,
        family='ours',
        block='Condition (input)',
        label='cas',
        options={'model.condition.mode': 'cas'}),
    cas_attn_feat=dict(
        config=_config,
        family='ours',
        block='Condition (input)',
        label='cas_attn_feat',
        options={'model.condition.mode': 'cas_attn_feat'}),
    no_weakening=dict(
        config=_config,
        family='ours',
        block='Fusion (mixture)',
        label='none: diffusion loss, no weakening',
        options={
            'model.fusion.mode': 'none',
            'model.fusion.train_mode': None
        }),
    blend=dict(
        config=_config,
        family='ours',
        block='Fusion (mixture)',
        label='blend',
        options={
            'model.fusion.mode': 'blend',
            'model.fusion.train_mode': None
        }),
    add=dict(
        config=_config,
        family='ours',
        block='Fusion (mixture)',
        label='add',
        options={
            'model.fusion.mode': 'add',
            'model.fusion.train_mode': None
        }),
    suppress=dict(
        config=_config,
        family='ours',
        block='Fusion (mixture)',
        label='suppress',
        options={
            'model.fusion.mode': 'suppress',
            'model.fusion.train_mode': None
        }),
    gate_feat=dict(
        config=_config,
        family='ours',
        block='Fusion (mixture)',
        label='gate_feat',
        options={
            'model.fusion.mode': 'gate_feat',
            'model.fusion.train_mode': None
        }),
    more_masked=dict(
        config=_config,
        family='ours',
        block='Mask (ratio 40, averaged teacher)',
        label='ratio 20',
        options={'model.mask_generator.ratio': 20}),
    less_masked=dict(
        config=_config,
        family='ours',
        block='Mask (ratio 40, averaged teacher)',
        label='ratio 80',
        options={'model.mask_generator.ratio': 80}),
    voted=dict(
        config=_config,
        family='ours',
        block='Mask (ratio 40, averaged teacher)',
        label='ratios 20, 40, 80 vote',
        options={'model.mask_generator.ratio': [20, 40, 80]}),
    mass=dict(
        config=_config,
        family='ours',
        block='Mask (ratio 40, averaged teacher)',
        label='k by mass',
        options={
            'model.mask_generator.k_mode': 'mass',
            'model.mask_generator.max_ratio': 80
        }),
    ignore_band=dict(
        config=_config,
        family='ours',
        block='Mask (ratio 40, averaged teacher)',
        label='ignore band',
        options={'model.mask_generator.ignore_band': True}),
    own_masks=dict(
        config=_config,
        family='ours',
        block='Mask (ratio 40, averaged teacher)',
        label='masks of the branch itself',
        options={'model.mask_teacher': None}),
    one_step=dict(
        config=_config,
        family='ours',
        block=_same,
        label='1 sampling step (8)',
        weights='actiondiff',
        options={'model.diffusion_head.num_inference_steps': 1}),
    samples=dict(
        config=_config,
        family='ours',
        block=_same,
        label='1 sample (4)',
        weights='actiondiff',
        options={'model.diffusion_head.num_samples': 1}),
    pad=dict(
        config=_config,
        family='ours',
        block=_same,
        label='no half snippet added to each side',
        weights='actiondiff',
        options={'model.proposal_generator.boundary_pad': 0.}),
    min_length=dict(
        config=_config,
        family='ours',
        block=_same,
        label='proposals of one snippet, too',
        weights='actiondiff',
        options={'model.proposal_generator.min_length': 0.}),
    attention_thrs=dict(
        config=_config,
        family='ours',
        block=_same,
        label='attention thresholds, too',
        weights='actiondiff',
        options={'model.proposal_generator.attention_thrs': None}))
