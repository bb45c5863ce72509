# What the abstract says and nothing beyond: binary top-k masks and action
# snippets as condition; post-processing is CO2-Net's.
_base_ = ['./actiondiff_thumos14.py']

model = dict(
    mask_generator=dict(k_mode='ratio'),
    condition=dict(mode='topk_feat'),
    proposal_generator=dict(
        curve_power=1., outer_ratio=0.25, boundary_pad=0., min_length=0.))
