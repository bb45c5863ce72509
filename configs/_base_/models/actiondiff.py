# ActionDiff, the preset for every data set: each setting that is not here has
# its one value where the part is defined (docs/configs.md lists them).
# num_classes and stream_channels come from the dataset file; a config of a
# data set adds widths, receptive fields and iterations.
model = dict(
    type='ActionDiff',
    base_branch=dict(type='ConvBranch'),
    mask_generator=dict(type='TopKMaskGenerator'),
    condition=dict(type='ActionCondition'),
    diffusion_head=dict(
        type='DiffusionHead', denoiser=dict(type='ConvDenoiser')),
    fusion=dict(type='ActionDiffFusion'),
    loss=dict(type='ActionDiffLoss', base=dict(type='PresentClassLoss')),
    proposal_generator=dict(type='ProposalGenerator'))
