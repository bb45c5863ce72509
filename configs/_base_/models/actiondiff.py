# num_classes and stream_channels come from the dataset file.
model = dict(
    type='ActionDiff',
    base_branch=dict(type='CrossModalBranch'),
    mask_generator=dict(type='TopKMaskGenerator', ratio=7),
    condition=dict(type='ActionCondition', mode='attn_feat'),
    diffusion_head=dict(
        type='DiffusionHead',
        snr_scale=0.5,
        scheduler=dict(type='DDIMScheduler', num_train_timesteps=1000),
        num_inference_steps=8,
        step_cfg=dict(eta=0.0)),
    fusion=dict(
        type='Fusion', mode='suppress', weight=0.5, attention_weight=0.3),
    loss=dict(type='ActionDiffLoss', mil_ratio=7),
    # A threshold is crossed at the centres of snippets: half a snippet on each
    # side is part of the action, and one snippet alone is none.
    proposal_generator=dict(
        type='ProposalGenerator',
        video_score_thr=0.2,
        boundary_pad=0.5,
        min_length=2))
