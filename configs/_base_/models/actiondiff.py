# num_classes and stream_channels come from the dataset file.
model = dict(
    type='ActionDiff',
    base_branch=dict(type='CrossModalBranch'),
    # How much of a video its actions take differs from video to video, so k
    # follows the scores. Up to half of the snippets may be action: what the
    # mask leaves of that half is not taught as background.
    mask_generator=dict(
        type='TopKMaskGenerator', k_mode='mass', ignore_ratio=2),
    condition=dict(type='ActionCondition', mode='attn_input'),
    diffusion_head=dict(
        type='DiffusionHead',
        denoiser=dict(
            type='ConvDenoiser', channels=128, num_layers=2, kernel_size=5),
        # The classes and the background share a snippet; sampling starts at
        # the noisiest steps, which the min-SNR weight would leave unlearned.
        x_0_activation='softmax',
        min_snr_gamma=None,
        snr_scale=0.5,
        scheduler=dict(type='DDIMScheduler', num_train_timesteps=1000),
        num_inference_steps=8,
        step_cfg=dict(eta=0.0)),
    # In training the diffusion erases what it has found, at test time its
    # scores and the base's are averaged.
    fusion=dict(
        type='Fusion', mode='mixture', train_mode='suppress', weight=0.5),
    loss=dict(
        type='ActionDiffLoss',
        mil_ratio=7,
        diffusion_kind='ce',
        num_negatives=None,
        diffusion_weight=1.,
        smooth_weight=0.,
        consistency_weight=0.),
    # A threshold is crossed at the centres of snippets: half a snippet on each
    # side is part of the action, and one snippet alone is none.
    proposal_generator=dict(
        type='ProposalGenerator',
        video_score_thr=0.2,
        boundary_pad=0.5,
        min_length=2))
