# CO2-Net (ACM MM 2021): 44.6 on THUMOS14 as published, the best of 25 test
# evaluations; network, losses, sampling, schedule and proposals are those of
# the authors' code.
_base_ = ['../_base_/published_thumos14.py']

model = dict(
    base_branch=dict(type='CrossModalBranch'),
    loss=dict(type='CO2NetLoss'),
    # Runs of the attention alone, scored on `attention * cas`.
    proposal_generator=dict(
        attention_thrs=[0.1 + 0.8 * i / 9 for i in range(10)],
        class_score_thrs=[],
        branch_contrast=True,
        min_length=0.,
        nms=dict(type='gaussian', sigma=0.3, end_pad=1)))

train_pipeline = [
    _base_.train_pipeline[0],
    dict(type='SampleSnippets', num_snippets=500, mode='stretch'),
    _base_.train_pipeline[-1]
]
train_dataloader = dict(batch_size=10, dataset=dict(pipeline=train_pipeline))

val_evaluator = [
    dict(type='DetectionMAP', protocol='seconds212'),
    dict(type='DetectionMAP', protocol='co2', prefix='co2')
]
test_evaluator = val_evaluator
