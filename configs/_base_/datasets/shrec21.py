# SHREC 2021 hand-gesture recordings (Leap Motion): pose, then motion.
# No recording is cut: a cut could lose a gesture that its labels name.
dataset_type = 'WTALDataset'
data_root = '{{$ACTIONDIFF_SHREC21:data/shrec21}}'
num_classes = 17
stream_channels = [122, 122]
in_channels = 244
seconds_per_snippet = 0.1

train_pipeline = [
    dict(type='LoadSnippetFeature', in_channels=in_channels),
    dict(type='PackWTALInputs')
]
test_pipeline = train_pipeline

train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    sampler=dict(type='WTALSampler'),
    batch_sampler=dict(type='PairBatchSampler', num_pairs=0),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        dataset_name='shrec21',
        subset='training',
        seconds_per_snippet=seconds_per_snippet,
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
