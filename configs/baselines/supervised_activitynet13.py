# The ceiling: the base branch trained with the segments of the videos.
_base_ = ['./base_activitynet13.py']

model = dict(
    type='SupervisedLocalizer',
    loss=dict(_delete_=True, type='SnippetSupervisionLoss'))
