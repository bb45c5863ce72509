# DELU (ECCV 2022) on CO2-Net's branch: 46.4 on THUMOS14 as published, the best
# of 100 test evaluations, by the settings of the authors' code but for the
# ranks in its curriculum (docs/method.md).
_base_ = ['./co2net_thumos14.py']

model = dict(
    loss=dict(_delete_=True, type='DELULoss'),
    proposal_generator=dict(
        attention_thrs=[0.1 + 0.8 * i / 19 for i in range(20)]))

train_pipeline = [
    _base_.train_pipeline[0],
    dict(type='SampleSnippets', num_snippets=320, mode='stretch'),
    _base_.train_pipeline[-1]
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
