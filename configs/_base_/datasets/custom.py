# Your own data, as tools/prepare/custom.py writes them: the annotations say
# what the classes are and how many seconds a snippet covers, the features how
# many channels they have. tools/new_config.py sets the two numbers below.
dataset_type = 'WTALDataset'
data_root = '{{$ACTIONDIFF_CUSTOM:data/custom}}'
num_classes = 2
stream_channels = [2048]

train_pipeline = [
    dict(type='LoadSnippetFeature'),
    dict(type='SampleSnippets', num_snippets=560),
    dict(type='PackWTALInputs')
]
test_pipeline = [dict(type='LoadSnippetFeature'), dict(type='PackWTALInputs')]

train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='WTALSampler'),
    batch_sampler=dict(type='PairBatchSampler', num_pairs=3),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        subset='training',
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='LengthSampler'),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        subset='test',
        pipeline=test_pipeline,
        test_mode=True))
test_dataloader = val_dataloader

val_evaluator = dict(type='DetectionMAP', protocol='seconds')
test_evaluator = val_evaluator
