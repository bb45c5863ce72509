_base_ = [
    './_base_/models/actiondiff.py', './_base_/datasets/thumos14_i3d.py',
    './_base_/schedules/iters.py', './_base_/default_runtime.py'
]

# Three quarters of the paper's width: with the diffusion, a training step
# takes no longer than the paper's without (docs/benchmark/speed.md).
model = dict(
    num_classes={{_base_.num_classes}},
    stream_channels={{_base_.stream_channels}},
    warmup_iters=1000,
    video_score_thr=0.2,
    diffusion_head=dict(num_samples=1),
    base_branch=dict(embed_channels=1536))
