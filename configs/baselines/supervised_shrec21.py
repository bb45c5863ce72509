# The ceiling: the base branch trained with the segments of the recordings.
_base_ = ['./base_shrec21.py']

model = dict(
    type='SupervisedLocalizer',
    loss=dict(
        _delete_=True,
        type='SupervisedLoss',
        attention_weight=0.,
        mil_weight=0.))
