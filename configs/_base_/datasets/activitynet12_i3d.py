# ActivityNet v1.2, two-stream I3D: 16 frames at 25 fps, rgb then flow.
# Longer videos are thinned out, in the same way for training and test.
_base_ = ['./wtal.py']

data_root = '{{$ACTIONDIFF_ACTIVITYNET12:data/activitynet12}}'
num_classes = 100
stream_channels = [1024, 1024]
in_channels = 2048
seconds_per_snippet = 16 / 25

__load = dict(type='LoadSnippetFeature', in_channels=in_channels)
__sample = dict(type='SampleSnippets', num_snippets=80, mode='uniform')
__pack = dict(type='PackWTALInputs')
train_pipeline = [__load, __sample, __pack]
test_pipeline = [__load, dict(random=False, **__sample), __pack]

__data = dict(
    data_root=data_root,
    dataset_name='activitynet12',
    seconds_per_snippet=seconds_per_snippet,
    odd_segments='keep')
__workers = dict(num_workers=2, persistent_workers=True)
train_dataloader = dict(
    batch_size=64,
    batch_sampler=dict(num_pairs=3),
    dataset=dict(pipeline=train_pipeline, **__data),
    **__workers)
val_dataloader = dict(
    dataset=dict(subset='validation', pipeline=test_pipeline, **__data),
    **__workers)
test_dataloader = val_dataloader

val_evaluator = dict(protocol='anet')
test_evaluator = val_evaluator
