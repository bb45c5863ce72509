default_scope = 'mmaction'
custom_imports = dict(
    imports=['mmaction_actiondiff'], allow_failed_imports=False)

# MMEngine adds its other hooks: progress, times, learning rate, sampler.
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    # Two are kept: a run killed while it writes one goes on from the other.
    checkpoint=dict(
        type='WTALCheckpointHook',
        by_epoch=False,
        interval=500,
        max_keep_ckpts=2),
    plain_checkpoint=dict(type='PlainCheckpointHook'),
    iteration_seed=dict(type='IterationSeedHook'),
    training_progress=dict(type='TrainingProgressHook'),
    check_fit=dict(type='CheckFitHook'),
    non_finite=dict(type='StopAtNonFiniteHook'),
    config_schedule=dict(type='ConfigScheduleHook'))

log_processor = dict(by_epoch=False)
visualizer = dict(
    type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])

# The tools fill in the batch size that the config's learning rate is for.
auto_scale_lr = dict(enable=False)
randomness = dict(seed=0)
