# ACRNet (ICME 2023): 47.5 on THUMOS14 as published, the best of 20 test
# evaluations, by the settings of the authors' code but for the merging of the
# heads (docs/method.md).
_base_ = ['../_base_/published_thumos14_750.py']

model = dict(
    base_branch=dict(type='ACRBranch'),
    loss=dict(type='ACRLoss'),
    video_score_thr=0.1,
    proposal_generator=dict(
        attention_thrs=[],
        class_score_thrs=[0.1 + 0.05 * i for i in range(18)],
        upsample_factor=16,
        min_length=2 / 16,
        nms=dict(type='gaussian', sigma=0.5, tiou_thr=0.1)))

train_dataloader = dict(batch_size=32)
train_cfg = dict(max_iters=2000)
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False)]

val_evaluator = [
    dict(type='DetectionMAP', protocol='seconds212'),
    dict(type='DetectionMAP', protocol='acr', prefix='acr')
]
test_evaluator = val_evaluator
