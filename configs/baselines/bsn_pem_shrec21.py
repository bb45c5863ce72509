# Last stage of BSN; benchmarks/bsn.py runs all three.
_base_ = [
    '../_base_/openmmlab/bsn_pem.py',
    '../_base_/openmmlab/localizer_shrec21.py'
]

bsn_dir = '{{$ACTIONDIFF_BSN:work_dirs/bsn_shrec21}}'
proposals = dict(
    type='LoadProposals',
    pgm_proposals_dir=f'{bsn_dir}/pgm_proposals',
    pgm_features_dir=f'{bsn_dir}/pgm_features')
pipeline = [dict(top_k=500, **proposals), _base_.pem_input]
test_pipeline = [
    _base_.load, _base_.test_record,
    dict(top_k=1000, **proposals), _base_.pem_test_input
]
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
