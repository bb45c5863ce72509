# Your own data, as tools/prepare/custom.py writes them; its last lines say
# what num_classes and stream_channels are. annotations.json says the rest:
# the names of the classes and how many seconds a snippet lasts.
_base_ = ['./wtal.py']

data_root = '{{$ACTIONDIFF_CUSTOM:data/custom}}'
num_classes = 2
stream_channels = [1024, 1024]

__load = dict(type='LoadSnippetFeature')
__pack = dict(type='PackWTALInputs')
__workers = dict(num_workers=2, persistent_workers=True)
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        # longer videos are cut to a random window, in training only
        pipeline=[
            __load,
            dict(type='SampleSnippets', num_snippets=500), __pack
        ]),
    **__workers)
val_dataloader = dict(
    batch_size=1,
    dataset=dict(data_root=data_root, pipeline=[__load, __pack]),
    **__workers)
test_dataloader = val_dataloader
