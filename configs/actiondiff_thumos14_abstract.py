# Binary top-k masks and action snippets as the condition, as the abstract has
# them; proposals as short and as peaked as they come. The rest is the preset.
_base_ = ['./actiondiff_thumos14.py']

model = dict(
    mask_generator=dict(k_mode='ratio'),
    condition=dict(mode='topk_feat'),
    proposal_generator=dict(
        curve_power=1., outer_ratio=0.25, boundary_pad=0., min_length=0.))
