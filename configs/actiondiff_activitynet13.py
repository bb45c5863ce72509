# ActionDiff on ActivityNet v1.3, as on v1.2 but for longer samples.
_base_ = ['./actiondiff_activitynet12.py']

data_root = '{{$ACTIONDIFF_ACTIVITYNET13:data/activitynet13}}'
num_classes = 200

model = dict(num_classes=num_classes, loss=dict(base=dict(mil_ratio=10)))

__load, __sample, __pack = _base_.train_pipeline
__sample = dict(__sample, num_snippets=100)
train_pipeline = [__load, __sample, __pack]
test_pipeline = [__load, dict(__sample, random=False), __pack]
__data = dict(data_root=data_root, dataset_name='activitynet13')
train_dataloader = dict(dataset=dict(pipeline=train_pipeline, **__data))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline, **__data))
test_dataloader = val_dataloader

train_cfg = dict(max_iters=30000)
optim_wrapper = dict(optimizer=dict(lr=1e-4, weight_decay=1e-3))
