# ActionDiff on CO2-Net's branch. Every setting that is not here has its one
# value where the part is defined (mmaction_actiondiff/models); num_classes and
# stream_channels come from the dataset file.
model = dict(
    type='ActionDiff',
    base_branch=dict(type='CrossModalBranch'),
    mask_generator=dict(type='TopKMaskGenerator'),
    condition=dict(type='ActionCondition'),
    diffusion_head=dict(
        type='DiffusionHead',
        denoiser=dict(type='ConvDenoiser'),
        scheduler=dict(type='ActionDiffDDIM')),
    fusion=dict(type='ActionDiffFusion'),
    loss=dict(type='ActionDiffLoss', base=dict(type='CO2NetLoss')),
    proposal_generator=dict(type='ProposalGenerator'))
