# The demo set for MMAction2's localizers: a step covers 0.4 to 1.9 s.
_base_ = ['../datasets/demo.py', './inputs.py', '../default_runtime.py']

load = dict(type='LoadSnippetFeature', in_channels=_base_.in_channels)
pipeline = [load, _base_.train_record, *_base_.label_steps]
test_pipeline = [load, _base_.test_record, *_base_.label_steps]
train_dataloader = dict(
    batch_size=8,
    batch_sampler=dict(num_pairs=0),
    dataset=dict(pipeline=pipeline))
# The localizers predict the first video of a batch only.
val_dataloader = dict(batch_size=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
# The oracle pairs proposals with the annotated classes. Pair them with a
# classifier's instead: --cfg-options test_evaluator.1.video_scores=DUMP.npz
# where tools/test.py --dump wrote DUMP.npz for one of our localizers.
val_evaluator = [
    dict(type='ProposalRecall'),
    dict(
        type='PairedDetectionMAP',
        video_scores='ground_truth',
        top_classes=2,
        protocol='seconds')
]
test_evaluator = val_evaluator
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=100, save_best=None))
