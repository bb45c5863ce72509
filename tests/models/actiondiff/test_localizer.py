"""The localizers: contracts, warm-up, teacher, and that they learn."""
import copy

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.logging import MessageHub

import mmaction_actiondiff  # noqa: F401

FUSION_MODES = ('mixture', 'blend', 'add', 'suppress', 'gate_feat', 'none')
CONDITION_MODES = ('attn_feat', 'topk_feat', 'class_feat', 'cas',
                   'cas_attn_feat', 'input', 'attn_input')


def config(**kwargs):
    cfg = dict(
        type='ActionDiff',
        num_classes=3,
        stream_channels=[6, 6],
        base_branch=dict(
            type='CrossModalBranch', embed_channels=16, attention_channels=8),
        mask_generator=dict(type='TopKMaskGenerator', ratio=4),
        condition=dict(type='ActionCondition'),
        diffusion_head=dict(
            type='DiffusionHead',
            num_inference_steps=3,
            denoiser=dict(type='TemporalDenoiser', channels=16, num_layers=2)),
        fusion=dict(type='Fusion'),
        loss=dict(type='ActionDiffLoss', mil_ratio=4),
        proposal_generator=dict(type='ProposalGenerator'))
    cfg.update(kwargs)
    return cfg


def build(**kwargs):
    torch.manual_seed(0)
    return MODELS.build(config(**kwargs)).eval()


def shake(model):
    """Move away from the zero-initialised outputs, or nothing would show."""
    torch.manual_seed(5)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * .1)
    return model


def samples(lengths=(20, 31), labels=((0, ), (0, 2))):
    out = []
    for i, (length, label) in enumerate(zip(lengths, labels)):
        sample = ActionDataSample(
            metainfo=dict(
                video_name=f'video_{i}',
                num_snippets=length,
                seconds_per_snippet=.5,
                duration=length * .5))
        sample.set_gt_label(np.array(label, dtype=np.int64))
        out.append(sample)
    return out


def features(lengths=(20, 31)):
    torch.manual_seed(1)
    inputs = torch.zeros(len(lengths), 12, max(lengths))
    for x, length in zip(inputs, lengths):
        x[:, :length] = torch.randn(12, length)
    return inputs


@pytest.mark.parametrize('fusion', FUSION_MODES)
@pytest.mark.parametrize('condition', CONDITION_MODES)
def test_every_fusion_and_condition_steps_and_predicts(fusion, condition):
    model = build(
        fusion=dict(type='Fusion', mode=fusion, train_mode=None),
        condition=dict(type='ActionCondition', mode=condition))
    model.train()
    losses = model(features(), samples(), mode='loss')
    total = sum(v for k, v in losses.items() if k.startswith('loss_'))
    assert total.isfinite()
    total.backward()
    grads = {
        n: p.grad
        for n, p in model.named_parameters() if p.grad is not None
    }
    assert all(g.isfinite().all() for g in grads.values())
    assert any(n.startswith('diffusion_head') for n in grads)
    model.eval()
    for sample in model(features(), samples(), mode='predict'):
        found = sample.pred_instances
        assert len(found) > 0 and found.segments.shape[1] == 2
        assert (found.segments[:, 0] < found.segments[:, 1]).all()
        assert found.segments.max() <= sample.duration
        assert (found.scores[:-1] >= found.scores[1:]).all()
        assert sample.pred_score.shape == (3, )


@pytest.mark.parametrize('mode', FUSION_MODES)
@pytest.mark.parametrize('attention_weight', [0., 0.3])
def test_a_pass_without_gradient_changes_no_gradient(mode, attention_weight,
                                                     monkeypatch):
    """What is generated has one only where a loss learns from it."""
    model = shake(
        build(
            fusion=dict(
                type='Fusion',
                mode=mode,
                train_mode=None,
                attention_weight=attention_weight)))

    def gradients():
        model.zero_grad()
        torch.manual_seed(3)
        losses = model(features(), samples(), mode='loss')
        sum(v for k, v in losses.items() if k.startswith('loss_')).backward()
        return {
            name: torch.zeros_like(p) if p.grad is None else p.grad
            for name, p in model.named_parameters()
        }

    found = gradients()
    monkeypatch.setattr(type(model.fusion), 'teaches', True)
    for name, expected in gradients().items():
        torch.testing.assert_close(found[name], expected, msg=name)


def test_erasing_alone_teaches_nothing():
    build_fusion = type(build().fusion)
    assert not build_fusion(train_mode='suppress').teaches
    assert not build_fusion(train_mode='none').teaches
    assert build_fusion(train_mode='suppress', attention_weight=0.3).teaches
    assert build_fusion(train_mode='mixture').teaches


def predictions(model, inputs, data_samples):
    with torch.no_grad():
        return model(inputs, data_samples, mode='predict')


@pytest.mark.parametrize('fusion', ['blend', 'gate_feat'])
def test_a_video_does_not_depend_on_its_batch(fusion):
    model = shake(
        build(fusion=dict(type='Fusion', mode=fusion, train_mode=None)))
    model.dump_snippets = True
    lengths, labels = (20, 31, 7), ((0, ), (1, ), (2, ))
    inputs = features(lengths)
    together = predictions(model, inputs, samples(lengths, labels))
    order = [2, 0, 1]
    shuffled = predictions(model, inputs[order],
                           [samples(lengths, labels)[i] for i in order])
    for i, length in enumerate(lengths):
        alone = predictions(model, inputs[i:i + 1, :, :length],
                            samples(lengths, labels)[i:i + 1])[0]
        for other in (together[i], shuffled[order.index(i)]):
            for name in ('score', 'attention', 'denoised', 'mask'):
                torch.testing.assert_close(
                    alone.pred_snippets[name],
                    other.pred_snippets[name],
                    atol=1e-5,
                    rtol=1e-4)
            torch.testing.assert_close(
                alone.pred_score, other.pred_score, atol=1e-5, rtol=1e-4)


def test_predictions_follow_the_seed_only():
    model = shake(build())
    model.dump_snippets = True
    first, again = (
        predictions(model, features(), samples()) for _ in range(2))
    torch.manual_seed(99)
    third = predictions(model, features(), samples())
    model.seed = 1
    other = predictions(model, features(), samples())
    for a, b, c, d in zip(first, again, third, other):
        assert torch.equal(a.pred_instances.scores, b.pred_instances.scores)
        assert torch.equal(a.pred_instances.scores, c.pred_instances.scores)
        assert not torch.equal(a.pred_snippets.denoised,
                               d.pred_snippets.denoised)


def test_untrained_diffusion_leaves_the_base_alone():
    # The denoiser starts at zero: adding its logits changes nothing.
    plain = dict(type='Fusion', mode='none')
    add = dict(type='Fusion', mode='add', attention_weight=0.)
    base = predictions(build(fusion=plain), features(), samples())
    fused = predictions(build(fusion=add), features(), samples())
    for a, b in zip(base, fused):
        assert torch.equal(a.pred_instances.segments,
                           b.pred_instances.segments)


@pytest.mark.parametrize('mode', ['mixture', 'suppress'])
def test_the_base_names_the_classes(mode):
    fused = shake(build(fusion=dict(type='Fusion', mode=mode)))
    base = shake(build(fusion=dict(type='Fusion', mode='none')))
    for a, b in zip(
            predictions(fused, features(), samples()),
            predictions(base, features(), samples())):
        assert torch.equal(a.pred_score, b.pred_score)


def test_weak_localizer_is_the_base_alone():
    cfg = config(type='WeakLocalizer')
    for part in ('condition', 'diffusion_head', 'fusion', 'mask_generator'):
        cfg.pop(part)
    torch.manual_seed(0)
    weak = MODELS.build(cfg).eval()
    full = build(fusion=dict(type='Fusion', mode='none', train_mode=None))
    full.base_branch.load_state_dict(weak.base_branch.state_dict())
    for a, b in zip(
            predictions(weak, features(), samples()),
            predictions(full, features(), samples())):
        assert torch.equal(a.pred_instances.scores, b.pred_instances.scores)
    losses = weak(features(), samples(), mode='loss')
    assert not {k for k in losses if 'diffusion' in k or 'fused' in k}


@pytest.mark.parametrize('length', [1, 2, 3])
@pytest.mark.parametrize('label', [(), (0, 1, 2)])
def test_degenerate_videos(length, label):
    model = build().train()
    data = samples((length, ), (label, ))
    losses = model(features((length, )), data, mode='loss')
    assert all(v.isfinite() for v in losses.values())
    model.eval()
    found = predictions(model, features((length, )), data)[0].pred_instances
    assert found.segments.isfinite().all()


@pytest.fixture
def iteration():
    """Pretend that a runner is at this iteration."""
    hub = MessageHub.get_current_instance()

    def set_iteration(value):
        hub.update_info('iter', value)

    yield set_iteration
    hub.runtime_info.pop('iter', None)


def test_warmup_trains_the_base_then_ramps(iteration):
    model = build(warmup_iters=10).train()
    iteration(9)
    losses = model(features(), samples(), mode='loss')
    assert losses['loss_diffusion'] == 0
    assert 'loss_mil_fused' not in losses
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    assert all(p.grad is not None for p in model.parameters())
    ramps = []
    for step in (10, 15, 20, 99):
        iteration(step)
        ramps.append(model.warmup_ramp())
        losses = model(features(), samples(), mode='loss')
        assert losses['loss_diffusion'] > 0 and 'loss_mil_fused' in losses
    assert ramps == sorted(ramps) and 0 < ramps[0] < .01
    assert ramps[2:] == [1, 1]


def test_without_a_runner_the_warmup_counts_as_over():
    assert build(warmup_iters=10).warmup_ramp() == 1


def test_every_parameter_gets_a_gradient():
    fusion = dict(
        type='Fusion', mode='gate_feat', train_mode=None, attention_weight=0.3)
    model = shake(build(fusion=fusion)).train()
    losses = model(features(), samples(), mode='loss')
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_what_is_fused_does_not_give_the_labels_away():
    # Only the labels of the second call differ; the fused scores must not.
    model = shake(build(condition=dict(type='ActionCondition'))).train()
    fused = []
    model.fusion.register_forward_hook(lambda *args: fused.append(args[2]))
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.
    for labels in (((0, ), (1, )), ((2, ), (0, 2))):
        torch.manual_seed(3)
        model(features(), samples(labels=labels), mode='loss')
    torch.testing.assert_close(fused[0].cas, fused[1].cas)


def test_teacher_averages_the_base_and_never_trains():
    model = build(mask_teacher=dict(momentum=.25)).train()
    student = model.base_branch.classifier.bias
    teacher = model.teacher.module.classifier.bias
    model(features(), samples(), mode='loss')  # the first call copies
    before = teacher.clone()
    assert torch.equal(before, student)
    with torch.no_grad():
        student.add_(1.)
    losses = model(features(), samples(), mode='loss')
    torch.testing.assert_close(teacher, before + .25)
    assert not model.teacher.training and not teacher.requires_grad
    assert losses['loss_consistency'] > 0
    assert any(k.startswith('teacher.') for k in model.state_dict())


def test_state_dict_holds_learned_tensors_only():
    names = {n for n, _ in build().named_parameters()}
    state = build().state_dict()
    assert set(state) == names
    assert all(v.dtype == torch.float32 for v in state.values())


def test_loss_leaves_no_gradient_through_masks_and_condition():
    model = shake(
        build(
            fusion=dict(type='Fusion', mode='none', train_mode=None),
            loss=dict(
                type='ActionDiffLoss',
                mil_weight=0.,
                norm_weight=0.,
                guide_weight=0.,
                mutual_weight=0.,
                co_activity_weight=0.,
                consistency_weight=0.))).train()
    losses = model(features(), samples(), mode='loss')
    (losses['loss_diffusion'] + losses['loss_smooth']).backward()
    assert all(p.grad is None for p in model.base_branch.parameters())


def test_tensor_mode_and_wrong_modes():
    model = build()
    out = model(features())
    assert out.cas.shape == (2, 4, 31) and out.attention.shape == (2, 1, 31)
    with pytest.raises(ValueError, match="got 'magic'"):
        model(features(), samples(), mode='magic')
    with pytest.raises(ValueError, match='needs data_samples'):
        model(features(), mode='loss')


def test_dumped_snippets_have_one_row_each():
    model = build()
    model.dump_snippets = True
    dumped = predictions(model, features(), samples())[1].pred_snippets
    assert len(dumped) == 31
    assert {
        k: tuple(dumped[k].shape)
        for k in dumped.keys()
    } == dict(
        score=(31, 3),
        attention=(31, ),
        base_score=(31, 3),
        base_attention=(31, ),
        mask=(31, 3),
        denoised=(31, 3))


def test_building_leaves_the_config_as_it_was():
    cfg = config()
    kept = copy.deepcopy(cfg)
    MODELS.build(cfg)
    assert cfg == kept


def test_shared_snippets_need_shared_probabilities():
    loss = dict(
        type='ActionDiffLoss',
        mil_ratio=4,
        diffusion_kind='ce',
        num_negatives=None)
    head = config()['diffusion_head']
    build(loss=loss, diffusion_head=dict(head, x_0_activation='softmax'))
    with pytest.raises(ValueError, match="x_0_activation='softmax', got 'sig"):
        build(loss=loss)
