# SHREC 2021 hand-gesture recordings (Leap Motion): pose, then motion.
# No recording is cut: a cut could lose a gesture that its labels name.
_base_ = ['./wtal.py']

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

__data = dict(
    data_root=data_root,
    dataset_name='shrec21',
    seconds_per_snippet=seconds_per_snippet,
    pipeline=train_pipeline)
train_dataloader = dict(dataset=__data)
val_dataloader = dict(dataset=__data)
test_dataloader = val_dataloader
