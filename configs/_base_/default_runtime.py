default_scope = 'mmaction'
custom_imports = dict(
    imports=['mmaction_actiondiff'], allow_failed_imports=False)

default_hooks = dict(
    runtime_info=dict(type='RuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # Two are kept: a run killed while it writes one goes on from the other.
    checkpoint=dict(
        type='WTALCheckpointHook',
        by_epoch=False,
        interval=500,
        max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    plain_checkpoint=dict(type='PlainCheckpointHook'),
    iteration_seed=dict(type='IterationSeedHook'),
    training_progress=dict(type='TrainingProgressHook'),
    check_fit=dict(type='CheckFitHook'),
    non_finite=dict(type='StopAtNonFiniteHook'),
    config_schedule=dict(type='ConfigScheduleHook'))

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))

log_processor = dict(by_epoch=False)
log_level = 'INFO'
visualizer = dict(
    type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])

# The tools fill in the batch size that the config's learning rate is for.
auto_scale_lr = dict(enable=False)
randomness = dict(seed=0)
load_from = None
resume = False
