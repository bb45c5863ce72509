# MMAction2's bsn_pem and bsn_pgm.
model = dict(
    type='PEM',
    pem_feat_dim=32,
    pem_hidden_dim=256,
    pem_u_ratio_m=1,
    pem_u_ratio_l=2,
    pem_high_temporal_iou_threshold=0.6,
    pem_low_temporal_iou_threshold=0.2,
    soft_nms_alpha=0.75,
    soft_nms_low_threshold=0.65,
    soft_nms_high_threshold=0.9,
    post_process_top_k=100,
    feature_extraction_interval=1)
# Arguments of MMAction2's generate_candidate_proposals and
# generate_bsp_feature for benchmarks/bsn.py.
pgm_proposals_cfg = dict(peak_threshold=0.5)
pgm_features_cfg = dict(
    top_k=1000,
    num_sample_start=8,
    num_sample_end=8,
    num_sample_action=16,
    num_sample_interp=3,
    bsp_boundary_ratio=0.2)
optim_wrapper = dict(
    optimizer=dict(type='Adam', lr=0.01, weight_decay=0.00001),
    clip_grad=dict(max_norm=40, norm_type=2))
train_cfg = dict(type='ResumableTrainLoop', max_iters=500, val_interval=500)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=False, milestones=[250], gamma=0.1)
]
