# Your own data, as tools/prepare/custom.py writes them; its last lines say
# what num_classes and stream_channels are. annotations.json says the rest:
# the names of the classes and how many seconds a snippet lasts.
dataset_type = 'WTALDataset'
data_root = '{{$ACTIONDIFF_CUSTOM:data/custom}}'
num_classes = 2
stream_channels = [1024, 1024]

train_pipeline = [
    dict(type='LoadSnippetFeature'),
    # longer videos are cut to a random window, in training only
    dict(type='SampleSnippets', num_snippets=500),
    dict(type='PackWTALInputs')
]
test_pipeline = [dict(type='LoadSnippetFeature'), dict(type='PackWTALInputs')]

train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='WTALSampler'),
    batch_sampler=dict(type='PairBatchSampler', num_pairs=0),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        subset='training',
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        train_dataloader['dataset'],
        subset='test',
        pipeline=test_pipeline,
        test_mode=True))
test_dataloader = val_dataloader

val_evaluator = dict(type='DetectionMAP', protocol='seconds')
test_evaluator = val_evaluator
