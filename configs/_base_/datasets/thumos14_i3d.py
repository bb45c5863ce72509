# THUMOS14, two-stream I3D: 16 frames at 25 fps, rgb then flow.
dataset_type = 'WTALDataset'
data_root = '{{$ACTIONDIFF_THUMOS14:data/thumos14}}'
num_classes = 20
stream_channels = [1024, 1024]
in_channels = 2048
seconds_per_snippet = 16 / 25

train_pipeline = [
    dict(type='LoadSnippetFeature', in_channels=in_channels),
    dict(type='SampleSnippets', num_snippets=560),
    dict(type='PackWTALInputs')
]
test_pipeline = [
    dict(type='LoadSnippetFeature', in_channels=in_channels),
    dict(type='PackWTALInputs')
]

train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='WTALSampler'),
    batch_sampler=dict(type='PairBatchSampler', num_pairs=3),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        dataset_name='thumos14',
        subset='training',
        seconds_per_snippet=seconds_per_snippet,
        odd_segments='keep',
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

val_evaluator = dict(type='DetectionMAP', protocol='seconds212')
test_evaluator = val_evaluator
