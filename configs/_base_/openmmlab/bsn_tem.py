# MMAction2's bsn_tem_400x100, its hidden layer narrowed to a CPU. Testing
# evaluates nothing: it writes the boundary scores that the next stage reads.
model = dict(
    type='TEM',
    boundary_ratio=0.1,
    tem_hidden_dim=128,
    tem_match_threshold=0.5)
optim_wrapper = dict(
    optimizer=dict(type='Adam', lr=0.001, weight_decay=0.0001),
    clip_grad=dict(max_norm=40, norm_type=2))
train_cfg = dict(type='ResumableTrainLoop', max_iters=300)
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=False, milestones=[105, 210], gamma=0.1)
]
