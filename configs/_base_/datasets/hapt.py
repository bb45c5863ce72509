# HAPT smartphone recordings (Reyes-Ortiz et al., Neurocomputing 2015): motion
# sensors at the waist in clips of 40 s, six activities and six transitions.
_base_ = ['./wtal.py']

data_root = '{{$ACTIONDIFF_HAPT:data/hapt}}'
num_classes = 12
stream_channels = [48]
seconds_per_snippet = 0.5

train_pipeline = [dict(type='LoadSnippetFeature'), dict(type='PackWTALInputs')]
test_pipeline = train_pipeline

__data = dict(
    data_root=data_root,
    dataset_name='hapt',
    seconds_per_snippet=seconds_per_snippet,
    pipeline=train_pipeline)
train_dataloader = dict(dataset=__data)
val_dataloader = dict(dataset=__data)
test_dataloader = val_dataloader
