# What MMAction2's localizers read instead of snippets: temporal_dim steps per
# video, annotation keys of ActivityNet, supervision by segments.
temporal_dim = 100
resize = dict(type='ResizeLocalizerFeature', length=temporal_dim)
train_record = dict(type='LocalizerRecord')
test_record = dict(type='LocalizerRecord', require_segments=False)
# The first five are for MMAction2, the others for our metrics.
meta_keys = ('video_name', 'duration_second', 'duration_frame',
             'feature_frame', 'annotations', 'segments', 'segment_labels',
             'labels', 'ambiguous', 'seconds_per_snippet', 'snippet_offset')
label_steps = [
    resize,
    dict(type='GenerateLocalizationLabels'),
    dict(
        type='PackLocalizationInputs', keys=('gt_bbox', ), meta_keys=meta_keys)
]
# BSN's last stage reads what benchmarks/bsn.py writes, TCANet the proposals of
# another localizer.
pem_input = dict(
    type='PackLocalizationInputs',
    keys=('reference_temporal_iou', 'bsp_feature'),
    meta_keys=())
pem_test_input = dict(
    type='PackLocalizationInputs',
    keys=('tmin', 'tmax', 'tmin_score', 'tmax_score', 'bsp_feature'),
    meta_keys=meta_keys)
proposal_input = dict(
    type='PackLocalizationInputs',
    keys=('gt_bbox', 'proposals'),
    meta_keys=meta_keys)
