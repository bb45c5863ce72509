# CoLA (CVPR 2021): 40.9 on THUMOS14 as published, 41.7 with the authors' code,
# the best of 60 test evaluations; everything here is as in that code.
_base_ = ['../_base_/published_thumos14_750.py']

model = dict(
    base_branch=dict(type='CoLABranch'),
    loss=dict(type='CoLALoss'),
    proposal_generator=dict(
        attention_thrs=[0.1 + 0.025 * i for i in range(33)],
        class_score_thrs=[0.025 * i for i in range(10)],
        mute_below_thr=True,
        upsample_factor=24,
        min_length=2 / 24,
        # ends count as inclusive, in seconds
        nms=dict(type='hard', tiou_thr=0.6, end_pad=25 / 16)))

train_cfg = dict(max_iters=6000)
optim_wrapper = dict(optimizer=dict(weight_decay=5e-4))

val_evaluator = [
    dict(type='DetectionMAP', protocol='seconds212'),
    dict(type='DetectionMAP', protocol='um210', prefix='um210')
]
test_evaluator = val_evaluator
