# A third of the training time of the paper's base branch, and less
# (docs/benchmark/speed.md).
_base_ = ['./actiondiff_thumos14.py']

model = dict(
    base_branch=dict(
        embed_channels=512, attention_channels=256, gate_kernel_size=1),
    condition=dict(condition_channels=64),
    diffusion_head=dict(denoiser=dict(channels=64)))
