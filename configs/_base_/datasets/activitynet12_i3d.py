# ActivityNet v1.2, two-stream I3D: 16 frames at 25 fps, rgb then flow.
# Longer videos are thinned out, in the same way for training and test.
dataset_type = 'WTALDataset'
data_root = '{{$ACTIONDIFF_ACTIVITYNET12:data/activitynet12}}'
num_classes = 100
stream_channels = [1024, 1024]
in_channels = 2048
seconds_per_snippet = 16 / 25

train_pipeline = [
    dict(type='LoadSnippetFeature', in_channels=in_channels),
    dict(type='SampleSnippets', num_snippets=80, mode='uniform'),
    dict(type='PackWTALInputs')
]
test_pipeline = [
    dict(type='LoadSnippetFeature', in_channels=in_channels),
    dict(type='SampleSnippets', num_snippets=80, mode='uniform', random=False),
    dict(type='PackWTALInputs')
]

train_dataloader = dict(
    batch_size=64,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='WTALSampler'),
    batch_sampler=dict(type='PairBatchSampler', num_pairs=3),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        dataset_name='activitynet12',
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
        subset='validation',
        pipeline=test_pipeline,
        test_mode=True))
test_dataloader = val_dataloader

val_evaluator = dict(type='DetectionMAP', protocol='anet')
test_evaluator = val_evaluator
