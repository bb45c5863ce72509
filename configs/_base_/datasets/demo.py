# A generated data set in THUMOS14's files; written on first use.
dataset_type = 'PlantedActions'
data_root = '{{$ACTIONDIFF_DEMO:data/demo}}'
num_classes = 6
stream_channels = [32, 32]
in_channels = 64
seconds_per_snippet = 0.64
planted = dict(num_classes=num_classes, channels=in_channels)

train_pipeline = [
    dict(type='LoadSnippetFeature', in_channels=in_channels),
    dict(type='SampleSnippets', num_snippets=200),
    dict(type='PackWTALInputs')
]
test_pipeline = [
    dict(type='LoadSnippetFeature', in_channels=in_channels),
    dict(type='PackWTALInputs')
]

train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    sampler=dict(type='WTALSampler'),
    batch_sampler=dict(type='PairBatchSampler', num_pairs=0),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        dataset_name='demo',
        subset='training',
        seconds_per_snippet=seconds_per_snippet,
        planted=planted,
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        train_dataloader['dataset'],
        subset='test',
        pipeline=test_pipeline,
        test_mode=True))
test_dataloader = val_dataloader

val_evaluator = dict(type='DetectionMAP', protocol='seconds')
test_evaluator = val_evaluator
