"""CO2-Net's branch and every term of its loss."""
from __future__ import annotations

from math import log

import pytest
import torch

from mmaction_actiondiff.models import (BranchOutput, CO2NetLoss,
                                        CrossModalBranch)
from mmaction_actiondiff.models.wtal import co2net as L


def small_branch(**kwargs):
    return CrossModalBranch(
        num_classes=4,
        stream_channels=(6, 10),
        embed_channels=12,
        attention_channels=8,
        **kwargs).eval()


def row(*values):
    return torch.tensor([[values]], dtype=torch.float32)


def ones(*shape):
    return torch.ones(*shape, dtype=torch.bool)


def test_parameter_count_of_the_published_width():
    # CO2-Net uses 34.1 M; the gate of the pooled stream needs a third of its
    # convolution: 2 x 2 x 1024^2 weights less.
    count = sum(p.numel() for p in CrossModalBranch(20).parameters())
    assert count == pytest.approx(34.1e6 - 4 * 1024**2, rel=2e-3)


def test_gate_by_hand():
    gate = small_branch().rgb_gate
    main, support = torch.randn(1, 6, 5), torch.randn(1, 10, 5)
    channel = gate.channel(main.mean(-1, keepdim=True))
    local = torch.nn.functional.conv1d(
        support, gate.local.weight, gate.local.bias, padding=1)
    torch.testing.assert_close(
        gate(main, support, ones(1, 1, 5)), (channel * local).sigmoid() * main)


def test_scores_by_hand():
    cas = torch.tensor([[[2., 0.], [0., 1.]]])  # one class, background
    out = BranchOutput(cas, cas, row(.5, .1))
    branch = CrossModalBranch(1, embed_channels=2, video_ratio=2)
    scores = branch.score(out, ones(1, 1, 2))
    torch.testing.assert_close(scores.class_score, cas.softmax(1)[:, :1])
    # suppressed: 1, 0 and 0, .1
    assert scores.video_score.item() == pytest.approx(
        torch.tensor([1., .1]).softmax(0)[0])


@pytest.mark.parametrize('kwargs, match', [
    (dict(stream_channels=(8, )), r'two streams, got stream_channels=\(8,\)'),
    (dict(pool_kernel=4), 'pool_kernel must be odd, got 4'),
    (dict(kernel_size=2), 'kernel_size must be odd, got 2'),
])
def test_refused(kwargs, match):
    with pytest.raises(ValueError, match=match):
        CrossModalBranch(4, **kwargs)


def test_norm_loss():
    valid = torch.tensor([[[True, True, False]]])
    assert L.norm_loss(row(.2, .4, 9.), valid).item() == pytest.approx(.3)


def test_guide_loss():
    cas = torch.tensor([[[0., 0.], [log(3.), 0.]]])  # background .75 and .5
    out = L.guide_loss(row(.5, .9), cas, ones(1, 1, 2))
    assert out.item() == pytest.approx((.25 + .4) / 2)


def test_mutual_loss():
    first = row(.2, .8).requires_grad_()
    second = row(.6, .8)
    out = L.mutual_loss(first, second, ones(1, 1, 2))
    assert out.item() == pytest.approx(.16 / 2)
    out.backward()  # only through the half where the first is not the target
    assert first.grad.flatten().tolist() == pytest.approx([-.2, 0.])


def test_co_activity_loss():
    # T = 2, the CAS so sharp that H is snippet 0 and L snippet 1.
    feature = torch.tensor([[[1., 0.], [0., 1.]], [[0., 1.], [1., 0.]]])
    cas = torch.tensor([[50., 0.]]).repeat(2, 2, 1)
    label, valid = torch.ones(2, 1), ones(2, 1, 2)
    # H0 = e0, L0 = e1, H1 = e1, L1 = e0: d(H,H) = 1, d(H0,L1) = 0 = d(L0,H1)
    out = L.co_activity_loss(feature, cas, label, valid, margin=.5)
    assert out.item() == pytest.approx(1.5)
    alike = torch.stack([feature[0], feature[0]])
    assert L.co_activity_loss(alike, cas, label, valid).item() == 0
    cas3 = torch.randn(2, 3, 2)  # no class in common, or none at all
    assert L.co_activity_loss(feature, cas3, torch.eye(2), valid) == 0
    assert L.co_activity_loss(feature, cas3, torch.zeros(2, 2), valid) == 0


TERMS = dict(
    suppressed_weight='loss_mil_suppressed',
    norm_weight='loss_norm',
    guide_weight='loss_guide',
    mutual_weight='loss_mutual',
    co_activity_weight='loss_co_activity')


@pytest.mark.parametrize('name', TERMS)
def test_each_weight_scales_its_own_term(name):
    attention = torch.rand(2, 1, 9)
    output = BranchOutput(
        torch.randn(2, 5, 9), torch.randn(2, 4, 9), attention,
        (attention * .9, attention * .8))
    label = torch.tensor([[1., 0, 0], [1, 0, 1]])
    one, three, without = (
        CO2NetLoss(mil_ratio=3, **{name: weight})(output, label, ones(2, 1, 9))
        for weight in (1., 3., 0.))
    assert set(one) == {'loss_mil', *TERMS.values()}
    for key, value in one.items():
        factor = 3 if key == TERMS[name] else 1
        torch.testing.assert_close(three[key], factor * value)
        assert value > 0 and value.ndim == 0
    assert set(without) == set(one) - {TERMS[name]}
