"""ActionDiff: every combination works, warm-up, no hidden state."""
from __future__ import annotations

import copy
from math import exp
from pathlib import Path

import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.logging import MessageHub

from mmaction_actiondiff.models import ActionDiff
from mmaction_actiondiff.models.actiondiff.condition import MODES
from mmaction_actiondiff.models.actiondiff.mask_generator import PseudoMask

PRESET = (
    Path(__file__).parents[3] / 'configs' / '_base_' / 'models' /
    'actiondiff.py')


def total(losses):
    """What the optimizer minimises."""
    return sum(v for k, v in losses.items() if k.startswith('loss_'))


def gradients(model):
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, p in model.named_parameters()
    }


@pytest.mark.parametrize('head', ['DiffusionHead', 'SelfTrainingHead'])
def test_every_branch_and_head_trains_and_predicts(build, videos, branch,
                                                   head):
    cfg = dict(type=head, denoiser=dict(channels=16))
    for mode in MODES:
        model = build(branch, dump_snippets=True, condition=dict(mode=mode))
        # Hiding may leave nothing of the few action snippets.
        model.condition.hide_probs = (0., 0., 0.)
        model.diffusion_head = MODELS.build(
            dict(num_classes=3, condition_channels=8, **cfg))
        losses = model.train()(*videos(), mode='loss')
        assert all(v.isfinite() for v in losses.values())
        total(losses).backward()
        # (The control feeds its mask layer zeros: a gradient of zero.)
        for name, parameter in model.named_parameters():
            assert parameter.grad.isfinite().all(), name
        denoiser = model.diffusion_head.denoiser
        for parameter in (denoiser.head.weight, denoiser.condition.weight,
                          model.condition.feature.weight):
            assert parameter.grad.abs().sum() > 0
        for sample in model.eval()(*videos(), mode='predict'):
            assert len(sample.pred_instances) > 0
            score = sample.pred_snippets.score
            assert score.amin() >= 0 and score.amax() <= 1
            chosen = score[:, sample.pred_classes]
            assert (chosen.amax(0) > .1).all() and (chosen.std(0) > 0).all()
            assert sample.pred_snippets.attention.amax() > .1


def settings(module):
    """Every setting of a model's parts, by the path of its owner."""
    owners = dict(
        module.named_modules(),
        proposals=module.proposal_generator,
        masks=module.mask_generator,
        scheduler=module.diffusion_head.scheduler)
    return {
        f'{path}.{name}': repr(value)
        for path, owner in owners.items()
        for name, value in [('class', type(owner)), *vars(owner).items()]
        if name == 'nms'
        or not (isinstance(value, dict) or 'object at' in repr(value))
    }


def test_defaults_are_the_shipped_preset():
    given = dict(num_classes=4, stream_channels=(8, 8))
    cfg = dict(Config.fromfile(PRESET).model, **given)
    kept = copy.deepcopy(cfg)
    preset = MODELS.build(cfg)
    assert cfg == kept  # building leaves it as it was
    found, expected = settings(ActionDiff(**given)), settings(preset)
    assert len(found) > 150
    assert {k: v for k, v in found.items() if expected.get(k) != v} == {}
    assert found.keys() == expected.keys()
    shapes = [{
        n: p.shape
        for n, p in m.named_parameters()
    } for m in (preset, ActionDiff(**given))]
    assert shapes[0] == shapes[1]


def test_the_loss_is_a_function_of_inputs_and_weights(build, videos):
    """Nor does it move anything, nor ask who is running."""
    model = build(warmup=.2).train()
    model.begin_iteration(25, 100)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    hub = MessageHub.get_instance('another_run')
    hub.update_info('iter', 1)
    hub.update_info('max_iters', 10)
    answers = []
    for _ in range(3):
        torch.manual_seed(3)
        answers.append(model(*videos(), mode='loss'))
    for other in answers[1:]:
        for name, value in answers[0].items():
            assert torch.equal(value, other[name]), name
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_the_base_loss_knows_the_progress(build, videos):
    model = build('delu')
    losses = []
    for iteration in (40, 90):  # behind the warm-up
        model.begin_iteration(iteration, 100)
        torch.manual_seed(3)
        losses.append(model(*videos(), mode='loss'))
    changed = {k for k, v in losses[0].items() if v != losses[1][k]}
    assert changed == {'loss_progressive'}


def test_predictions_follow_the_seed_only(build, shake, videos):
    model = shake(build(dump_snippets=True))
    first = model(*videos(), mode='predict')
    torch.manual_seed(99)
    again = model(*videos(), mode='predict')
    model.seed = 1
    other = model(*videos(), mode='predict')
    for a, b, c in zip(first, again, other):
        assert torch.equal(a.pred_instances.scores, b.pred_instances.scores)
        assert not torch.equal(a.pred_snippets.denoised,
                               c.pred_snippets.denoised)


def test_weight_zero_is_the_base_alone(build, shake, videos, branch):
    full = shake(build(branch, fusion=dict(weight=0.), dump_snippets=True))
    weak = build(branch, type='WeakLocalizer', dump_snippets=True)
    weak.base_branch.load_state_dict(full.base_branch.state_dict())
    for a, b in zip(
            weak(*videos(), mode='predict'), full(*videos(), mode='predict')):
        torch.testing.assert_close(a.pred_snippets.score,
                                   b.pred_snippets.score)
        torch.testing.assert_close(a.pred_snippets.score,
                                   b.pred_snippets.base_score)
        assert torch.equal(a.pred_score, b.pred_score)
    losses = weak(*videos(), mode='loss')
    assert not {k for k in losses if 'diffusion' in k or 'fused' in k}


@pytest.mark.parametrize('length', [1, 2, 3])
@pytest.mark.parametrize('label', [(), (0, 1, 2)])
def test_degenerate_videos(build, videos, branch, length, label):
    model = build(branch).train()
    inputs, samples = videos((length, ), (label, ))
    losses = model(inputs, samples, mode='loss')
    assert all(v.isfinite() for v in losses.values())
    sample, = model.eval()(inputs, samples, mode='predict')
    assert sample.pred_instances.segments.isfinite().all()


def test_warmup_trains_the_base_then_ramps(build, videos):
    model = build(warmup=.1).train()
    assert model.warmup_ramp() == 1  # nobody says where the training stands
    model.begin_iteration(9, 100)
    losses = model(*videos(), mode='loss')
    assert losses['loss_diffusion'] == 0
    assert 'loss_mil_fused' not in losses
    total(losses).backward()
    assert all(p.grad is not None for p in model.parameters())
    ramps = []
    for step in (10, 15, 20, 99):
        model.begin_iteration(step, 100)
        ramps.append(model.warmup_ramp())
        losses = model(*videos(), mode='loss')
        assert losses['loss_diffusion'] > 0 and 'loss_mil_fused' in losses
    # exp(-5 (1 - x)^2) at x = 0, 1/2, 1
    assert ramps == pytest.approx([exp(-5), exp(-1.25), 1, 1])


def test_the_warmup_is_a_share_of_the_training(build):
    model = build()
    assert model.warmup == .15
    for length in (100, 20000):
        alone, ramp = [], []
        for percent in range(100):
            model.begin_iteration(percent * length // 100, length)
            alone.append(model.warmup_ramp() is None)
            ramp.append(model.warmup_ramp())
        assert alone == [True] * 15 + [False] * 85
        assert ramp[15] < ramp[22] < ramp[29] < 1
        assert ramp[30:] == pytest.approx([1.] * 70)
    model = build(warmup=0.)
    model.begin_iteration(0, 100)
    assert model.warmup_ramp() == 1


@pytest.mark.parametrize('warmup', [-.1, .6, 200])
def test_a_warmup_that_is_no_share_is_refused(build, warmup):
    with pytest.raises(ValueError, match=rf'\[0, 0.5\], got {warmup}'):
        build(warmup=warmup)


@pytest.mark.parametrize('loss', [
    dict(diffusion_weight=0.),
    dict(diffusion_weight=0., fused_weight=0.),
    dict(fused_weight=0.),
])
def test_no_parameter_is_without_a_gradient(build, videos, loss):
    """Distributed training would wait for it."""
    model = build(loss=loss).train()
    total(model(*videos(), mode='loss')).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_what_is_erased_teaches_the_base_alone(build, shake, videos):
    model = shake(build()).train()
    losses = model(*videos(), mode='loss')
    sum(v for k, v in losses.items() if k.endswith('_fused')).backward()
    learned = {
        n.split('.')[0]
        for n, p in model.named_parameters() if p.grad is not None
    }
    assert learned == {'base_branch'}


def test_what_is_completed_teaches_the_branch_alone(build, shake, videos):
    model = shake(build()).train()
    losses = model(*videos(), mode='loss')
    sum(v for k, v in losses.items() if k.endswith('_completed')).backward()
    learned = {
        n.split('.')[0]
        for n, p in model.named_parameters() if p.grad is not None
    }
    assert learned == {'condition', 'diffusion_head'}


def test_what_is_fused_does_not_give_the_labels_away(build, shake, videos,
                                                     monkeypatch):
    # Only the labels of the second call differ; the fused scores must not.
    model = shake(build())
    fused = []

    def spy(kind):
        fuse = getattr(model.fusion, kind)

        def call(*args):
            fused.append(fuse(*args))
            return fused[-1]

        monkeypatch.setattr(model.fusion, kind, call)

    spy('weaken')
    spy('complete')
    for labels in (((0, ), (1, )), ((2, ), (0, 2))):
        torch.manual_seed(3)
        model(*videos(labels=labels), mode='loss')
    for first, second in zip(fused[:2], fused[2:]):
        torch.testing.assert_close(first.cas, second.cas)


def test_the_branch_is_taught_without_the_dropout_of_the_base(
        build, shake, videos, branch, monkeypatch):
    """Masks, what guides, and what is completed are those of a test."""
    model = shake(build(branch))
    seen = []

    def spy(owner, name):
        call = getattr(owner, name)

        def called(*args):
            seen.extend(args)
            return call(*args)

        monkeypatch.setattr(owner, name, called)

    spy(model, 'mask_generator')
    spy(model, 'guide')
    monkeypatch.setattr(model.fusion, 'complete',
                        lambda output, *args: seen.append(output) or output)
    for training in (False, True):
        model.train(training)
        model(*videos(), mode='loss')
        assert model.base_branch.training == training
    half = len(seen) // 2
    model.base_branch.eval()  # frozen
    model(*videos(), mode='loss')
    assert not model.base_branch.training
    for test, train in zip(seen[:half], seen[half:2 * half]):
        if isinstance(test, tuple):  # an output or a mask
            test, train = test[1], train[1]
        assert torch.equal(test, train)


def test_diffusion_teaches_the_base_nothing_by_itself(build, shake, videos):
    """No gradient passes the masks, the condition or the fusion."""
    model = shake(build()).train()
    model(*videos(), mode='loss')['loss_diffusion'].backward()
    assert all(p.grad is None for p in model.base_branch.parameters())


def test_state_dict_holds_learned_tensors_only(build):
    model = build()
    assert set(model.state_dict()) == {
        'skill', *(n for n, _ in model.named_parameters())
    }
    assert all(v.dtype == torch.float32 for v in model.state_dict().values())


def test_the_logged_peak_ratios_are_those_of_base_and_fused(
        build, shake, videos):
    losses = shake(build())(*videos(), mode='loss')
    # Erasing weakens the peaks; a mean is never above its peak.
    assert 1 <= losses['peak_ratio_fused'] <= losses['peak_ratio_base']
    assert not losses['peak_ratio_base'].requires_grad


def test_the_skill_follows_what_was_logged(build):
    model = build()
    assert model.trust == 1  # nothing was measured yet
    model.end_iteration(dict(loss=torch.tensor(3.)))
    assert model.skill == 1
    model.end_iteration(dict(branch_skill=torch.tensor(-.5)))
    assert model.skill == pytest.approx(.97)
    for skill, trust in ((-.5, 0), (0, 0), (.05, .5), (.1, 1), (.6, 1)):
        model.skill.fill_(skill)
        assert model.trust == pytest.approx(trust)


def test_a_branch_without_skill_leaves_the_base_alone(build, shake, videos,
                                                      branch):
    model = shake(build(branch, dump_snippets=True))
    scores = {}
    for skill in (0., .1):
        model.skill.fill_(skill)
        scores[skill] = torch.cat([
            sample.pred_snippets.score - sample.pred_snippets.base_score
            for sample in model(*videos(), mode='predict')
        ])
        losses = model(*videos(), mode='loss')
        fused = {k: v for k, v in losses.items() if k.endswith('_fused')}
        erased = losses['peak_ratio_base'] - losses['peak_ratio_fused']
        terms = [v for k, v in fused.items() if k.startswith('loss_')]
        assert terms and all((v != 0) == (skill > 0) for v in terms)
        assert (erased != 0) == (skill > 0)
    assert not scores[0.].any() and scores[.1].any()


def planted(videos):
    """Six videos whose class has its own channel."""
    inputs, samples = videos((40, ) * 6, ((0, ), (1, ), (2, )) * 2)
    inputs *= .3
    for i, row in enumerate(inputs):
        row[[i % 3, 6 + i % 3], 5 + i:17 + i] += 3
    return inputs, samples


def train(model, inputs, samples, steps=120):
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(steps):
        model.begin_iteration(step, steps)
        optimizer.zero_grad()
        losses = model(inputs, samples, mode='loss')
        total(losses).backward()
        optimizer.step()
        model.end_iteration(losses)


def test_useless_masks_get_no_weight(build, videos):
    """Masks that are moved to a random place teach the branch nothing."""
    model = build('mil')
    honest = model.mask_generator

    def moved(score, label, valid):
        shift = int(torch.randint(score.size(-1), ()))
        return PseudoMask(*(x.roll(shift, -1)
                            for x in honest(score, label, valid)))

    model.mask_generator = moved
    train(model, *planted(videos), steps=200)
    assert model.trust == 0


def test_it_learns_where_the_actions_are(build, videos):
    """The whole method, on videos whose actions are plain."""
    inputs, samples = planted(videos)
    model = build('mil', dump_snippets=True)
    train(model, inputs, samples)
    assert model.trust == 1
    for i, sample in enumerate(model(inputs, samples, mode='predict')):
        assert int(sample.pred_score.argmax()) == i % 3
        denoised = sample.pred_snippets.denoised[:, i % 3]
        rest = torch.cat([denoised[:5 + i], denoised[17 + i:]])
        assert denoised[5 + i:17 + i].mean() > rest.mean() + .2
