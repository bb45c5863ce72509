# THUMOS14, two-stream I3D: 16 frames at 25 fps, rgb then flow.
_base_ = ['./wtal.py']

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
test_pipeline = [train_pipeline[0], train_pipeline[-1]]

__data = dict(
    data_root=data_root,
    dataset_name='thumos14',
    seconds_per_snippet=seconds_per_snippet,
    odd_segments='keep')
__workers = dict(num_workers=2, persistent_workers=True)
train_dataloader = dict(
    batch_sampler=dict(num_pairs=3),
    dataset=dict(pipeline=train_pipeline, **__data),
    **__workers)
val_dataloader = dict(
    dataset=dict(pipeline=test_pipeline, **__data), **__workers)
test_dataloader = val_dataloader

val_evaluator = dict(protocol='seconds212')
test_evaluator = val_evaluator
