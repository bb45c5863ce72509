# What all data sets share. Their own files add where the data lie, what they
# are, and how a video is read. (MMEngine leaves names like __data out.)
train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    sampler=dict(type='WTALSampler'),
    batch_sampler=dict(type='PairBatchSampler', num_pairs=0),
    dataset=dict(type='WTALDataset', subset='training'))
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='WTALDataset', subset='test', test_mode=True))
test_dataloader = val_dataloader

val_evaluator = dict(type='DetectionMAP', protocol='seconds')
test_evaluator = val_evaluator
