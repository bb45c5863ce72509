_base_ = ['./ablation_shrec21.py']
data = 'demo'
_block = 'Mask (ratio 7)'
entries = dict(
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
    mask_teacher=dict(
        block=_block, options={'model.mask_teacher': dict(momentum=0.01)}),
    attention_thrs=dict(
        label='no attention thresholds',
        options={'model.proposal_generator.attention_thrs': []}))
