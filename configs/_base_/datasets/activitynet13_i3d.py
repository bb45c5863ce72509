# ActivityNet v1.3, as version 1.2 but for longer samples.
_base_ = ['./activitynet12_i3d.py']

data_root = '{{$ACTIONDIFF_ACTIVITYNET13:data/activitynet13}}'
num_classes = 200

train_pipeline = [
    _base_.train_pipeline[0],
    dict(_base_.train_pipeline[1], num_snippets=100), _base_.train_pipeline[2]
]
test_pipeline = [
    _base_.test_pipeline[0],
    dict(_base_.test_pipeline[1], num_snippets=100), _base_.test_pipeline[2]
]

train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        dataset_name='activitynet13',
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        dataset_name='activitynet13',
        pipeline=test_pipeline))
test_dataloader = val_dataloader
