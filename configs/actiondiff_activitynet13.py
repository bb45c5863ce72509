_base_ = [
    './_base_/models/actiondiff.py', './_base_/datasets/activitynet13_i3d.py',
    './_base_/schedules/iters.py', './_base_/default_runtime.py'
]

# One class per video, long actions: a larger part of the video is action, and
# proposals hardly overlap (method: CO2-Net, HAM-Net, ACM-Net).
model = dict(
    num_classes={{_base_.num_classes}},
    stream_channels={{_base_.stream_channels}},
    warmup_iters=4000,
    video_score_thr=0.1,
    base_branch=dict(embed_channels=1536, pool_kernel=13),
    mask_generator=dict(k_mode='ratio', ratio=3),
    diffusion_head=dict(num_samples=1, denoiser=dict(num_layers=3)),
    loss=dict(base=dict(mil_ratio=10)),
    proposal_generator=dict(nms=dict(type='hard', tiou_thr=0.9)))

default_hooks = dict(
    checkpoint=dict(interval=2000, save_best='det/mAP@0.50:0.95'))
train_cfg = dict(max_iters=30000, val_interval=2000)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
