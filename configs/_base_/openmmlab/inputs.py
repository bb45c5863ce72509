# What MMAction2's localizers read instead of snippets: temporal_dim steps per
# video, annotation keys of ActivityNet, supervision by segments.
temporal_dim = 100
record_steps = [dict(type='LocalizerRecord')]
# The first five are for MMAction2, the others for our metrics.
meta_keys = ('video_name', 'duration_second', 'duration_frame',
             'feature_frame', 'annotations', 'segments', 'segment_labels',
             'labels', 'ambiguous', 'seconds_per_snippet')
feature_steps = [
    *record_steps,
    dict(type='ResizeFeature', length=temporal_dim),
    dict(type='GenerateLocalizationLabels'),
    dict(
        type='PackLocalizationInputs', keys=('gt_bbox', ),
        meta_keys=meta_keys),
]
