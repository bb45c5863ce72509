# What the abstract says and nothing beyond: binary masks, action snippets as
# condition, features that weaken features; width and post-processing are
# CO2-Net's.
_base_ = ['./actiondiff_thumos14.py']

model = dict(
    base_branch=dict(embed_channels=2048),
    condition=dict(mode='topk_feat'),
    fusion=dict(mode='gate_feat', attention_weight=0.3),
    loss=dict(consistency_weight=0.),
    proposal_generator=dict(boundary_pad=0., min_length=0.))
