_base_ = ['./ablation_shrec21.py']
data = 'demo'

_config = 'configs/actiondiff_{data}.py'
_decay = 'optim_wrapper.paramwise_cfg.custom_keys.'
_parts, _condition = 'Parts', 'Condition (attn_input)'
_mask = 'Mask (k by mass, ignore band)'
_training, _testing = 'Fusion in training (suppress)', 'Same weights'
# name: block, label, what changes
_trained = dict(
    actiondiff=(_parts, 'ActionDiff', {}),
    actiondiff_no_ema=(_parts, 'ActionDiff, weights not averaged', {
        'custom_hooks': []
    }),
    no_mask_loss=(_parts, 'the branch learns nothing', {
        'model.loss.diffusion_weight': 0.
    }),
    no_fused_loss=(_parts, 'no losses on the erased scores', {
        'model.loss.fused_weight': 0.
    }),
    decay=(_parts, "the branch's weights decay as the base's", {
        f'{_decay}diffusion_head.decay_mult': 1.,
        f'{_decay}condition.decay_mult': 1.
    }),
    min_snr=(_parts, 'min-SNR weight of the noise levels', {
        'model.diffusion_head.min_snr_gamma': 5.
    }),
    temporal=(_parts, 'TemporalDenoiser', {
        'model.diffusion_head.denoiser':
        dict(
            _delete_=True, type='TemporalDenoiser', channels=64, num_layers=3)
    }),
    **{
        mode: (_condition, mode, {
            'model.condition.mode': mode
        })
        for mode in ('input', 'attn_feat', 'topk_feat', 'class_feat', 'cas')
    },
    no_weakening=(_training, 'none', {
        'model.fusion.train_mode': 'none'
    }),
    mixture=(_training, 'mixture', {
        'model.fusion.train_mode': 'mixture'
    }),
    gate_feat=(_training, 'gate_feat, at test time, too', {
        'model.fusion.mode': 'gate_feat',
        'model.fusion.train_mode': 'gate_feat'
    }),
    binary=(_mask, 'k = T / 4, no ignore band', {
        'model.mask_generator.k_mode': 'ratio',
        'model.mask_generator.ratio': 4,
        'model.mask_generator.ignore_ratio': None
    }),
    fixed=(_mask, 'k = T / 4', {
        'model.mask_generator.k_mode': 'ratio',
        'model.mask_generator.ratio': 4
    }),
    fixed_less=(_mask, 'k = T / 7', {
        'model.mask_generator.k_mode': 'ratio',
        'model.mask_generator.ratio': 7
    }),
    no_ignore_band=(_mask, 'no ignore band', {
        'model.mask_generator.ignore_ratio': None
    }),
    mask_teacher=(_mask, 'masks of an averaged teacher', {
        'model.mask_teacher': dict(momentum=0.02)
    }))
_judged = dict(
    test_none=('the base alone makes the proposals', {
        'model.fusion.mode': 'none'
    }),
    test_suppress=('erased at test time, too', {
        'model.fusion.mode': 'suppress'
    }),
    test_diffusion=('the diffusion alone makes the proposals', {
        'model.fusion.weight': 1.
    }),
    one_step=('1 sampling step (8)', {
        'model.diffusion_head.num_inference_steps': 1
    }),
    one_sample=('1 sample (4)', {
        'model.diffusion_head.num_samples': 1
    }),
    samples=('16 samples (4)', {
        'model.diffusion_head.num_samples': 16
    }),
    pad=('no half snippet added to each side', {
        'model.proposal_generator.boundary_pad': 0.
    }),
    min_length=('proposals of one snippet, too', {
        'model.proposal_generator.min_length': 0.
    }))
entries = dict(
    _delete_=True,
    control={{_base_.entries.control}},
    base={{_base_.entries.base}},
    **{
        name:
        dict(
            config=_config,
            family='ours',
            block=block,
            label=label,
            options=options)
        for name, (block, label, options) in _trained.items()
    },
    **{
        name:
        dict(
            config=_config,
            family='ours',
            block=_testing,
            label=label,
            options=options,
            weights='actiondiff')
        for name, (label, options) in _judged.items()
    })
