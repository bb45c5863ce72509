"""The objective of the diffusion branch, against numbers by hand."""
from __future__ import annotations

from math import log

import pytest
import torch

from mmaction_actiondiff.models import ActionDiffLoss, BranchOutput
from mmaction_actiondiff.models.actiondiff.diffusion_head import DenoisedOutput
from mmaction_actiondiff.models.actiondiff.loss import (branch_skill,
                                                        diffusion_loss)
from mmaction_actiondiff.models.actiondiff.mask_generator import PseudoMask


def ones(*shape):
    return torch.ones(*shape, dtype=torch.bool)


def pseudo(mask, weight):
    return PseudoMask(mask, weight, mask.amax(1, keepdim=True))


def test_cross_entropy_over_classes_and_background():
    # softmax of (log 2, log 1, 0): 1/2, 1/4, background 1/4
    logits = torch.tensor([[[log(2.)] * 3, [0.] * 3]])
    mask = torch.tensor([[[1., 1., 0.], [0., 1., 0.]]])
    weight, label, valid = torch.ones(1, 2, 3), torch.ones(1, 2), ones(1, 1, 3)
    out = diffusion_loss(logits, pseudo(mask, weight), label, valid)
    shared = (log(2.) + log(4.)) / 2
    assert out.item() == pytest.approx((log(2.) + shared + log(4.)) / 3)
    # class 1 ignores two snippets: the one of class 0 is learned as such,
    # the one of no class teaches nothing
    mask[0, 1, 1] = 0
    weight[0, 1, 1:] = 0
    out = diffusion_loss(logits, pseudo(mask, weight), label, valid)
    assert out.item() == pytest.approx(log(2.))


def test_absent_classes_are_background_and_padding_is_not_seen():
    logits = torch.zeros(1, 3, 4)  # all of 4 answers at 1/4
    mask, label = torch.zeros(1, 3, 4), torch.tensor([[1., 0., 0.]])
    mask[0, 0, 0] = 1
    weight = mask.clone()
    weight[0, 0, :2] = 1  # the rest: ignored, and padding
    valid = torch.tensor([[[True, True, True, False]]])
    logits[0, 1, 2] = logits[0, :, 3] = 99.
    out = diffusion_loss(logits, pseudo(mask, weight), label, valid)
    assert out.item() == pytest.approx(log(4.))
    # an absent class teaches where the present one is sure of its mask
    logits[0, 1, 0] = log(5.)
    out = diffusion_loss(logits, pseudo(mask, weight), label, valid)
    assert out.item() == pytest.approx((log(8.) + log(4.)) / 2)
    none = diffusion_loss(logits, pseudo(mask * 0, mask * 0), label, valid)
    assert none == 0


def test_diffusion_loss_learns_the_mask():
    # Its optimum is the mask itself, also with very many absent classes.
    logits = torch.zeros(1, 200, 10, requires_grad=True)
    mask = torch.zeros(1, 200, 10)
    mask[0, 3, 2:5] = 1
    label = torch.zeros(1, 200)
    label[0, 3] = 1
    target = pseudo(mask, label.unsqueeze(-1).expand(-1, -1, 10))
    optimiser = torch.optim.Adam([logits], lr=.5)
    for _ in range(60):
        optimiser.zero_grad()
        diffusion_loss(logits, target, label, ones(1, 1, 10)).backward()
        optimiser.step()
    assert torch.equal((logits > 0).float(), mask)


def test_skill_is_what_is_known_beyond_how_much():
    mask = torch.zeros(1, 3, 8)
    mask[0, 0, 2:4] = 1  # a quarter of the time; the classes 1, 2 are absent
    label, valid = torch.tensor([[1., 0., 0.]]), ones(1, 1, 8)
    target = pseudo(mask, label.unsqueeze(-1).repeat(1, 1, 8))
    right = torch.where(mask > 0, 20., -20.)
    assert branch_skill(right, target, label, valid) == pytest.approx(1)
    # to know how much, 1/4 against 3/4 of background, but not when: nothing
    amount = torch.full((1, 3, 8), log(1 / 3))
    amount[:, 1:] = 50.  # which classes: not asked
    assert branch_skill(amount, target, label, valid) == pytest.approx(
        0, abs=1e-6)
    # to answer 1/2: 1 - log 2 / H(1/4)
    half = torch.zeros(1, 3, 8)
    entropy = log(4.) / 4 + .75 * log(4 / 3)
    expected = 1 - log(2.) / entropy
    assert branch_skill(half, target, label, valid) == pytest.approx(expected)
    assert branch_skill(-right, target, label, valid) == -1
    # what is ignored or padded does not count
    target.weight[0, 0, 6] = 0
    valid[..., 7] = False
    target.weight[..., 7] = right[0, 0, 6] = 0
    right[..., 7] = 9.
    assert branch_skill(right, target, label, valid) == pytest.approx(1)
    none = pseudo(mask * 0, mask * 0)
    assert branch_skill(half, none, label * 0, valid).isfinite()


def batch(length=6, num_videos=2, labels=True):

    def output():
        attention = torch.rand(num_videos, 1, length)
        return BranchOutput(
            torch.randn(num_videos, 5, length),
            torch.randn(num_videos, 4, length), attention,
            (attention * .9, attention * .8))

    label = torch.zeros(num_videos, 3)
    label[:, 0] = float(labels)
    mask = torch.zeros(num_videos, 3, length)
    mask[:, 0, 0] = float(labels)

    def denoise():
        logits = torch.randn(num_videos, 3, length)
        return DenoisedOutput(logits, logits.sigmoid() / 3, logits)

    return dict(
        output=output(),
        label=label,
        valid=ones(num_videos, 1, length),
        progress=.5,
        pseudo=pseudo(mask,
                      label.unsqueeze(-1) + mask * 0),
        denoised=denoise(),
        generated=denoise(),
        weakened=output(),
        completed=output())


def test_skill_where_many_classes_share_every_snippet():
    """The sum of their shares may be a little more than 1."""
    masks = [torch.ones(1, number, 3) for number in range(2, 300)]
    assert any((mask / mask.shape[1]).sum(1).max() > 1 for mask in masks)
    for mask in masks:
        out = branch_skill(
            torch.zeros_like(mask), pseudo(mask, mask), mask[..., 0],
            ones(1, 1, 3))
        assert out.isfinite()


def test_both_passes_learn_the_mask():
    given = batch()
    found = ActionDiffLoss()(**given)['loss_diffusion']
    terms = [
        diffusion_loss(given[name].logits, given['pseudo'], given['label'],
                       given['valid']) for name in ('denoised', 'generated')
    ]
    torch.testing.assert_close(found, sum(terms) / 2)


TERMS = dict(
    diffusion_weight=['loss_diffusion'],
    fused_weight=[
        'loss_mil_fused', 'loss_mil_suppressed_fused', 'loss_present_fused'
    ],
    completed_weight=[
        'loss_mil_completed', 'loss_mil_suppressed_completed',
        'loss_present_completed'
    ])


@pytest.mark.parametrize('name', TERMS)
def test_each_weight_scales_its_own_terms(name):
    given, every = batch(), dict.fromkeys(TERMS, 1.)
    one = ActionDiffLoss(**every)(**given)
    three = ActionDiffLoss(**{**every, name: 3.})(**given)
    without = ActionDiffLoss(**{**every, name: 0.})(**given)
    base = ActionDiffLoss(**every).base(given['output'], given['label'],
                                        given['valid'])
    assert set(one) == {*base, *sum(TERMS.values(), [])}
    for key, value in one.items():
        factor = 3 if key in TERMS[name] else 1
        torch.testing.assert_close(three[key], factor * value)
        assert value.isfinite() and value.ndim == 0
    assert set(without) == set(one) - set(TERMS[name])
    torch.testing.assert_close({k: one[k] for k in base}, base)


def test_the_part_scales_what_comes_after_the_fusion():
    given, loss = batch(), ActionDiffLoss()
    full, half = loss(**given), loss(**given, part=.5)
    for key, value in full.items():
        factor = .5 if key.endswith(('_fused', '_completed')) else 1
        torch.testing.assert_close(half[key], value * factor)


@pytest.mark.parametrize('length', [1, 2])
@pytest.mark.parametrize('labels', [True, False])
def test_degenerate_batches_give_finite_losses(length, labels):
    given = batch(length, num_videos=1, labels=labels)
    for value in ActionDiffLoss()(**given).values():
        assert value.isfinite()


@pytest.mark.parametrize('base', ['ActionDiffLoss', 'SnippetSupervisionLoss'])
def test_only_the_loss_of_a_branch_is_a_base(base):
    with pytest.raises(ValueError, match=f'models/wtal, got {base}'):
        ActionDiffLoss(base=dict(type=base))
