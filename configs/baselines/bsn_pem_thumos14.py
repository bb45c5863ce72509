# Last stage of BSN; tools/bsn.py runs all three.
_base_ = [
    '../_base_/openmmlab/bsn_pem.py',
    '../_base_/openmmlab/localizer_thumos14.py'
]

bsn_dir = '{{$ACTIONDIFF_BSN:work_dirs/bsn_thumos14}}'
proposals = dict(
    type='LoadProposals',
    pgm_proposals_dir=f'{bsn_dir}/pgm_proposals',
    pgm_features_dir=f'{bsn_dir}/pgm_features')
train_pipeline = [
    dict(top_k=500, **proposals),
    dict(
        type='PackLocalizationInputs',
        keys=('reference_temporal_iou', 'bsp_feature'),
        meta_keys=())
]
test_pipeline = [
    _base_.load, *_base_.record_steps,
    dict(top_k=1000, **proposals),
    dict(
        type='PackLocalizationInputs',
        keys=('tmin', 'tmax', 'tmin_score', 'tmax_score', 'bsp_feature'),
        meta_keys=_base_.meta_keys)
]
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=500, save_best=None))
