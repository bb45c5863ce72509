"""DELU: its two evidential terms by hand."""
from __future__ import annotations

from math import e, log, tanh

import pytest
import torch

from mmaction_actiondiff.models import BranchOutput, CO2NetLoss
from mmaction_actiondiff.models.wtal import delu as L


def row(*values):
    return torch.tensor([[values]], dtype=torch.float32)


def whole(x):
    return torch.ones_like(x[:, :1], dtype=torch.bool)


def branch_output(*shape):
    streams = torch.rand(2, shape[0], 1, shape[2])
    return BranchOutput(
        torch.randn(shape[0], 6, shape[2]), torch.randn(*shape),
        streams.mean(0), tuple(streams))


def test_evidence_is_clipped():
    logits = torch.tensor([0., 1., 99., -99.])
    assert L.evidence(logits).log().tolist() == pytest.approx([0, 1, 10, -10])


def test_evidential_loss_by_hand():
    logits = torch.tensor([[log(3.), 0.]])  # alpha 4 and 2, S = 6, u = 1/3
    one = L.evidential_loss(logits, torch.tensor([[1., 0.]]))
    assert one.item() == pytest.approx(2 / 3 * log(6 / 4))
    # two labels share 2 (1 - u): 1/3 for alpha 4, 2/3 for alpha 2
    two = L.evidential_loss(logits, torch.tensor([[1., 1.]]))
    assert two.item() == pytest.approx(4 / 3 *
                                       (log(6 / 4) / 3 + log(6 / 2) * 2 / 3))
    none = L.evidential_loss(logits, torch.zeros(1, 2))
    assert none == 0


def test_more_evidence_for_the_label_is_better():
    logits = torch.zeros(1, 3, requires_grad=True)
    L.evidential_loss(logits, torch.tensor([[1., 0., 0.]])).backward()
    assert logits.grad[0, 0] < 0 < logits.grad[0, 1:].min()


def test_snippet_uncertainty():
    logits = torch.tensor([[[0., 1.], [0., -10.]]])
    assert L.snippet_uncertainty(logits).flatten().tolist() == pytest.approx(
        [2 / 4, 2 / (e + 2)], rel=1e-4)


def test_curriculum_weight():
    uncertainty = row(.9, .1, .5, .3, 0.)
    valid = torch.tensor([[[True, True, True, True, False]]])
    start = L.curriculum_weight(uncertainty, valid, 0., .7)[0, 0]
    # ranks 3, 0, 2, 1 of four: phi = .75, -.75, .25, -.25
    assert start[:4].tolist() == pytest.approx([
        1 - .7 * tanh(.75), 1 + .7 * tanh(.75), 1 - .7 * tanh(.25),
        1 + .7 * tanh(.25)
    ])
    end = L.curriculum_weight(uncertainty, valid, 1., .7)[0, 0]
    torch.testing.assert_close(start[:4] + end[:4], torch.full((4, ), 2.))
    assert start[:4].mean().item() == pytest.approx(1)
    middle = L.curriculum_weight(uncertainty, valid, .5, .7)
    assert (middle == 1).all()


def test_pool_by_attention():
    x, attention = row(1, 2, 3, 4, 100), row(.2, .9, .1, .8, 0)
    valid = torch.tensor([[[True, True, True, True, False]]])
    assert L.pool_by_attention(x, attention, valid, 2).item() == 3
    assert L.pool_by_attention(x, attention, valid, 9).item() == 2


def test_co2_terms_and_two_more():
    out = branch_output(2, 4, 12)
    label, valid = torch.tensor([[1., 0, 0], [1, 0, 1]]), whole(out.cas)
    plain = CO2NetLoss(guide_weight=.4)(out, label, valid)
    losses = L.DELULoss()(out, label, valid)
    assert set(losses) - set(plain) == {'loss_evidential', 'loss_progressive'}
    torch.testing.assert_close({k: losses[k] for k in plain}, plain)
    # half way, with equal weights, the new guide term is the old one
    torch.testing.assert_close(losses['loss_progressive'],
                               losses['loss_guide'])
    late = L.DELULoss()(out, label, valid, progress=.9)
    changed = {k for k, v in late.items() if v != losses[k]}
    assert changed == {'loss_progressive'}
