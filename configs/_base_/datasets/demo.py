# A generated data set in THUMOS14's files; written on first use.
_base_ = ['./wtal.py']

data_root = '{{$ACTIONDIFF_DEMO:data/demo}}'
num_classes = 6
stream_channels = [32, 32]
in_channels = 64
seconds_per_snippet = 0.64

train_pipeline = [
    dict(type='LoadSnippetFeature', in_channels=in_channels),
    dict(type='SampleSnippets', num_snippets=200),
    dict(type='PackWTALInputs')
]
test_pipeline = [train_pipeline[0], train_pipeline[-1]]

__data = dict(
    type='PlantedActions',
    data_root=data_root,
    dataset_name='demo',
    seconds_per_snippet=seconds_per_snippet,
    planted=dict(num_classes=num_classes, channels=in_channels))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline, **__data))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline, **__data))
test_dataloader = val_dataloader
