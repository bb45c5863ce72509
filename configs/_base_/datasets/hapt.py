# HAPT smartphone recordings (Reyes-Ortiz et al., Neurocomputing 2015): motion
# sensors at the waist in clips of 40 s, six activities and six transitions.
dataset_type = 'WTALDataset'
data_root = '{{$ACTIONDIFF_HAPT:data/hapt}}'
num_classes = 12
stream_channels = [48]
in_channels = 48
seconds_per_snippet = 0.5

train_pipeline = [dict(type='LoadSnippetFeature'), dict(type='PackWTALInputs')]
test_pipeline = train_pipeline

train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    sampler=dict(type='WTALSampler'),
    batch_sampler=dict(type='PairBatchSampler', num_pairs=0),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        dataset_name='hapt',
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
