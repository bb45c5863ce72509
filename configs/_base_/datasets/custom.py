# Your own data, as tools/prepare/custom.py writes them; its last lines say
# what num_classes and stream_channels are. annotations.json says the rest:
# the names of the classes and how many seconds a snippet lasts.
_base_ = ['./wtal.py']

data_root = '{{$ACTIONDIFF_CUSTOM:data/custom}}'
num_classes = 2
stream_channels = [1024, 1024]

train_pipeline = [
    dict(type='LoadSnippetFeature'),
    # longer videos are cut to a random window, in training only
    dict(type='SampleSnippets', num_snippets=500),
    dict(type='PackWTALInputs')
]
test_pipeline = [train_pipeline[0], train_pipeline[-1]]

__workers = dict(num_workers=2, persistent_workers=True)
train_dataloader = dict(
    dataset=dict(data_root=data_root, pipeline=train_pipeline), **__workers)
val_dataloader = dict(
    dataset=dict(data_root=data_root, pipeline=test_pipeline), **__workers)
test_dataloader = val_dataloader
