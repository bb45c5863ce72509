# MMAction2's tcanet_2xb8-700x100; fewer samples per proposal for a CPU.
# Its predict() overwrites the scores of the proposals, of which it holds a
# view, with the index in the batch: all proposals come out with score 0, their
# ranking lost. What can be evaluated is the recall of all of them, AR@100.
model = dict(
    type='TCANet',
    se_sample_num=8,
    action_sample_num=16,
    window_size=9,
    lgte_num=2,
    soft_nms_alpha=0.4,
    soft_nms_low_threshold=0.0,
    soft_nms_high_threshold=0.0,
    post_process_top_k=100,
    feature_extraction_interval=1)
optim_wrapper = dict(
    optimizer=dict(type='Adam', lr=0.001, weight_decay=0.0001),
    clip_grad=dict(max_norm=40, norm_type=2))
train_cfg = dict(type='ResumableTrainLoop', max_iters=130, val_interval=130)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=False, milestones=[100], gamma=0.1)
]
