_base_ = ['./ablation_shrec21.py']
data = 'demo'
entries = dict(base_no_ema=None)

_decay = 'optim_wrapper.paramwise_cfg.custom_keys.'
_condition = {
    mode: (mode, {
        'model.condition.mode': mode
    })
    for mode in ('input', 'attn_feat', 'topk_feat', 'class_feat', 'cas')
}
ablations = [('Parts', None, {
    'actiondiff': ('ActionDiff', {}),
    'actiondiff_no_ema': ('ActionDiff, weights not averaged', {
        'custom_hooks': []
    }),
    'no_mask_loss': ('the branch learns nothing', {
        'model.loss.diffusion_weight': 0.
    }),
    'no_fused_loss': ('no losses on the erased scores', {
        'model.loss.fused_weight': 0.
    }),
    'decay': ("the branch's weights decay as the base's", {
        f'{_decay}diffusion_head.decay_mult': 1.,
        f'{_decay}condition.decay_mult': 1.
    }),
    'min_snr': ('min-SNR weight of the noise levels', {
        'model.diffusion_head.min_snr_gamma': 5.
    }),
    'temporal': ('TemporalDenoiser', {
        'model.diffusion_head.denoiser':
        dict(
            _delete_=True, type='TemporalDenoiser', channels=64, num_layers=3)
    })
}), ('Condition (attn_input)', None, _condition),
             ('Fusion in training (suppress)', None, {
                 'no_weakening': ('none', {
                     'model.fusion.train_mode': 'none'
                 }),
                 'mixture': ('mixture', {
                     'model.fusion.train_mode': 'mixture'
                 }),
                 'gate_feat': ('gate_feat, at test time, too', {
                     'model.fusion.mode': 'gate_feat',
                     'model.fusion.train_mode': 'gate_feat'
                 })
             }),
             ('Mask (k by mass, ignore band)', None, {
                 'binary': ('k = T / 4, no ignore band', {
                     'model.mask_generator.k_mode': 'ratio',
                     'model.mask_generator.ratio': 4,
                     'model.mask_generator.ignore_ratio': None
                 }),
                 'fixed': ('k = T / 4', {
                     'model.mask_generator.k_mode': 'ratio',
                     'model.mask_generator.ratio': 4
                 }),
                 'fixed_less': ('k = T / 7', {
                     'model.mask_generator.k_mode': 'ratio',
                     'model.mask_generator.ratio': 7
                 }),
                 'no_ignore_band': ('no ignore band', {
                     'model.mask_generator.ignore_ratio': None
                 }),
                 'mask_teacher': ('masks of an averaged teacher', {
                     'model.mask_teacher': dict(momentum=0.02)
                 })
             }),
             ('Same weights', 'actiondiff', {
                 'test_none': ('the base alone makes the proposals', {
                     'model.fusion.mode': 'none'
                 }),
                 'test_suppress': ('erased at test time, too', {
                     'model.fusion.mode': 'suppress'
                 }),
                 'test_diffusion':
                 ('the diffusion alone makes the proposals', {
                     'model.fusion.weight': 1.
                 }),
                 'one_step': ('1 sampling step (8)', {
                     'model.diffusion_head.num_inference_steps': 1
                 }),
                 'one_sample': ('1 sample (4)', {
                     'model.diffusion_head.num_samples': 1
                 }),
                 'samples': ('16 samples (4)', {
                     'model.diffusion_head.num_samples': 16
                 }),
                 'pad': ('no half snippet added to each side', {
                     'model.proposal_generator.boundary_pad': 0.
                 }),
                 'min_length': ('proposals of one snippet, too', {
                     'model.proposal_generator.min_length': 0.
                 })
             })]
