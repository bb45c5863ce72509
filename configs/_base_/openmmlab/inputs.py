# What MMAction2's localizers read instead of snippets: temporal_dim steps per
# video, annotation keys of ActivityNet, supervision by segments.
temporal_dim = 100
load = dict(type='LoadSnippetFeature')
resize = dict(type='ResizeLocalizerFeature', length=temporal_dim)
train_record = dict(type='LocalizerRecord')
test_record = dict(type='LocalizerRecord', require_segments=False)
# The first five are for MMAction2, the others for our metrics.
meta_keys = ('video_name', 'duration_second', 'duration_frame',
             'feature_frame', 'annotations', 'segments', 'segment_labels',
             'labels', 'ambiguous', 'seconds_per_snippet', 'snippet_offset')
pack = dict(type='PackLocalizationInputs', meta_keys=meta_keys)
label_steps = [
    resize,
    dict(type='GenerateLocalizationLabels'),
    dict(pack, keys=('gt_bbox', ))
]
# The localizers predict the first video of a batch only.
pipeline = [load, train_record, *label_steps]
train_inputs = dict(
    batch_size=8,
    batch_sampler=dict(num_pairs=0),
    dataset=dict(pipeline=pipeline))
test_inputs = dict(
    batch_size=1, dataset=dict(pipeline=[load, test_record, *label_steps]))

# BSN's last stage reads what benchmarks/bsn.py writes.
bsn_dir = '{{$ACTIONDIFF_BSN:work_dirs/bsn}}'
boundaries = dict(
    _delete_=True,
    type='ANetMetric',
    metric_type='TEM',
    dump_config=dict(out=f'{bsn_dir}/tem_results', output_format='csv'))
load_pgm = dict(
    type='LoadProposals',
    pgm_proposals_dir=f'{bsn_dir}/pgm_proposals',
    pgm_features_dir=f'{bsn_dir}/pgm_features')
pem_train = dict(
    batch_size=16,
    dataset=dict(pipeline=[
        dict(load_pgm, top_k=500),
        dict(
            type='PackLocalizationInputs',
            keys=('reference_temporal_iou', 'bsp_feature'),
            meta_keys=())
    ]))
pem_test = dict(
    dataset=dict(pipeline=[
        load, test_record,
        dict(load_pgm, top_k=1000),
        dict(
            pack,
            keys=('tmin', 'tmax', 'tmin_score', 'tmax_score', 'bsp_feature'))
    ]))

# TCANet refines the proposals of another localizer. Write BMN's, of both
# subsets, first; ACTIONDIFF_BMN names their folder:
#   python tools/test.py configs/baselines/bmn_demo.py CHECKPOINT \
#       --dump work_dirs/bmn/proposals.npz \
#       --cfg-options test_dataloader.dataset.subset="[training,test]"
proposals = dict(
    type='LoadLocalizerProposals',
    proposals_file='{{$ACTIONDIFF_BMN:work_dirs/bmn}}/proposals.npz')
proposal_input = dict(pack, keys=('gt_bbox', 'proposals'))
# Fewer proposals per video in training than the authors' 64.
tcanet_train = dict(
    dataset=dict(pipeline=[
        load, train_record, resize,
        dict(proposals, top_k=20), proposal_input
    ]))
tcanet_test = dict(
    dataset=dict(pipeline=[
        load, test_record, resize,
        dict(proposals, top_k=100), proposal_input
    ]))

recall = dict(type='ProposalRecall')
# The oracle pairs proposals with the annotated classes. Pair them with a
# classifier's instead: --cfg-options test_evaluator.1.video_scores=DUMP.npz
# where tools/test.py --dump wrote DUMP.npz for one of our localizers.
pairing = dict(type='PairedDetectionMAP', video_scores='ground_truth')
hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=100, save_best=None))
