# CoLA and ACRNet: 750 snippets of every video, in batches without pairs.
_base_ = ['./published_thumos14.py']

# Runs of the class score, between the snippets, too.
model = dict(
    proposal_generator=dict(
        curve='class', normalize=False, snippet_place='start'))

__sample = dict(type='SampleSnippets', num_snippets=750)
train_pipeline = [
    _base_.train_pipeline[0],
    dict(mode='stretch', **__sample), _base_.train_pipeline[-1]
]
test_pipeline = [
    _base_.test_pipeline[0],
    dict(mode='uniform', random=False, **__sample), _base_.test_pipeline[-1]
]
train_dataloader = dict(
    batch_sampler=dict(num_pairs=0), dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

optim_wrapper = dict(optimizer=dict(lr=1e-4))
