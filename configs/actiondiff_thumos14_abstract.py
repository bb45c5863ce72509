# What the abstract says and nothing beyond: binary masks, action snippets as
# condition, features that weaken features; width and post-processing are
# CO2-Net's.
_base_ = ['./actiondiff_thumos14.py']

model = dict(
    base_branch=dict(embed_channels=2048),
    mask_generator=dict(k_mode='ratio', ratio=7, ignore_ratio=None),
    condition=dict(mode='topk_feat'),
    proposal_generator=dict(boundary_pad=0., min_length=0.))
