"""The plain branch, W-TALC's loss and the loss of present classes."""
from __future__ import annotations

from math import log

import pytest
import torch
from torch.nn.functional import cross_entropy

from mmaction_actiondiff.models import (BranchOutput, ConvBranch, MILLoss,
                                        PresentClassLoss)


def small_branch():
    return ConvBranch(
        4,
        stream_channels=(6, 10),
        embed_channels=12,
        hidden_layers=2,
        kernel_size=5)


def test_parameters_by_hand():
    count = sum(p.numel() for p in small_branch().parameters())
    assert count == (16 * 12 + 12) + 2 * (5 * 12**2 + 12) + (12 * 5 + 5)


def test_the_attention_is_what_the_background_leaves():
    inputs = torch.randn(3, 16, 30)
    out = small_branch().eval()(inputs, torch.ones(3, 1, 30) > 0)
    assert out.stream_attentions == ()
    torch.testing.assert_close(out.attention, 1 - out.cas.softmax(1)[:, -1:])


def test_scores_by_hand():
    # of 160 snippets, class 0 holds two, class 1 one, the background the rest
    prob = torch.full((1, 3, 160), .01)
    prob[0, 0, [3, 4]] = torch.tensor([.9, .5])
    prob[0, 1, 20] = .8
    prob[0, 2] = 1 - prob[0, :2].sum(0)
    out = BranchOutput(prob, prob.log(), 1 - prob[:, 2:])
    valid = torch.ones(1, 1, 160) > 0
    scores = ConvBranch(2, embed_channels=2).score(out, valid)
    torch.testing.assert_close(scores.class_score, prob[:, :2])
    assert torch.equal(scores.attention, out.attention)
    # the best 160 / 80
    torch.testing.assert_close(scores.video_score,
                               torch.tensor([[1.4 / 2, .81 / 2]]))


def test_each_class_of_a_video_has_a_score_of_its_own():
    cas = torch.full((1, 4, 60), -4.)
    cas[0, 3] = 4.
    cas[0, :3, :20] = torch.tensor([[9.], [-4.], [-4.]])
    cas[0, :3, 40:] = torch.tensor([[-4.], [9.], [-4.]])
    out = BranchOutput(cas, cas, 1 - cas.softmax(1)[:, 3:])
    branch = ConvBranch(3, embed_channels=2)
    score, = branch.score(out, torch.ones(1, 1, 60) > 0).video_score
    assert score[0] == score[1] > .9
    assert score[2] < branch.video_score_thr


def test_loss_by_hand():
    cas = torch.tensor([[[2., 0.], [0., 2.], [0., 0.]]])
    out = BranchOutput(cas, cas, torch.ones(1, 1, 2))
    label, valid = torch.tensor([[1., 0.]]), torch.ones(1, 1, 2) > 0
    # the best snippet: 2, 2, 0 against class 0 and the background
    expected = -(torch.tensor([2., 2., 0.]).log_softmax(0)[[0, 2]]).mean()
    torch.testing.assert_close(
        MILLoss(2)(out, label, valid)['loss_mil'], expected)


def test_several_pooling_ratios_are_averaged():
    out = BranchOutput(
        torch.zeros(2, 1, 12), torch.randn(2, 4, 12), torch.rand(2, 1, 12))
    label, valid = torch.eye(3)[:2], torch.ones(2, 1, 12) > 0
    one, other, both = (
        MILLoss(r)(out, label, valid)['loss_mil'] for r in (2, 5, [2, 5]))
    assert one != other
    torch.testing.assert_close(both, (one + other) / 2)


PAIR = torch.tensor([[1., 1., 0.]])  # classes 0 and 1 of three


def one_snippet(*cas, attention=.5):
    cas = torch.tensor(cas).view(1, -1, 1)
    return BranchOutput(cas, cas, torch.full((1, 1, 1), attention))


def test_present_classes_compete_for_a_snippet():
    # of the two present classes, class 0 has 3/4
    out = one_snippet(log(3.), 0., 5., 1.)
    losses = PresentClassLoss()(out, PAIR, torch.ones(1, 1, 1) > 0)
    logits = torch.tensor([log(3 * 3 / 4), log(1 / 4), 5., 1.])
    target = torch.tensor([1., 1., 0., 1.]) / 3
    expected = cross_entropy(logits, target)
    torch.testing.assert_close(losses['loss_mil'], expected)
    # with the attention 1/2 half-way to the lowest logit; no background
    suppressed = (logits + logits.min()) / 2
    expected = cross_entropy(suppressed, torch.tensor([.5, .5, 0., 0.]))
    torch.testing.assert_close(losses['loss_mil_suppressed'], expected)


def test_actions_are_the_present_classes():
    cas = torch.tensor([[[log(3.), 0.], [0., 0.], [log(4.), 0.], [7., -7.]]])
    attention = torch.tensor([[[.6, .2]]], requires_grad=True)
    out = BranchOutput(cas, cas, attention)
    valid = torch.ones(1, 1, 2) > 0
    # the two present ones have (3 + 1) / 8 and 2 / 3, whatever the background
    expected = (.6 * log(2.) + .2 * log(1.5)) / .8
    loss = PresentClassLoss()(out, PAIR, valid)['loss_present']
    assert loss.item() == pytest.approx(expected)
    assert not loss.requires_grad  # none to the attention
    # each video counts the same, however much of it is action
    both = BranchOutput(*[
        torch.cat([x, x * factor])
        for x, factor in ((cas, 0), (cas, 0), (attention.detach(), .1))
    ])
    loss = PresentClassLoss()(both, PAIR.expand(2, -1),
                              valid.expand(2, -1, -1))['loss_present']
    assert loss.item() == pytest.approx((expected + log(1.5)) / 2)
    # padding is not seen
    half = torch.tensor([[[True, False]]])
    loss = PresentClassLoss()(out, PAIR, half)['loss_present']
    assert loss.item() == pytest.approx(log(2.))


def test_a_video_of_one_class_has_the_plain_cross_entropies():
    torch.manual_seed(0)
    cas, attention = torch.randn(1, 4, 60), torch.rand(1, 1, 60)
    out, valid = BranchOutput(cas, cas, attention), torch.ones(1, 1, 60) > 0
    label = torch.tensor([[0., 1., 0.]])
    losses = PresentClassLoss(mil_ratio=[3, 20])(out, label, valid)
    torch.testing.assert_close(losses['loss_mil'],
                               MILLoss([3, 20])(out, label, valid)['loss_mil'])
    # and where the action is sure, cross-entropy snippet by snippet
    expected = cross_entropy(
        cas[0, :3].T, torch.ones(60, dtype=torch.long), reduction='none')
    weight = attention[0, 0] / attention.sum()
    torch.testing.assert_close(losses['loss_present'],
                               (expected * weight).sum())


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('attention', [0., 1.])
def test_no_label_at_all_is_finite(dtype, attention):
    cas = torch.randn(2, 4, 9, dtype=dtype, requires_grad=True)
    out = BranchOutput(cas, cas, torch.full((2, 1, 9), attention, dtype=dtype))
    label = torch.tensor([[0., 0., 0.], [0., 1., 1.]], dtype=dtype)
    for labels in (label, label * 0):
        losses = PresentClassLoss()(out, labels, torch.ones(2, 1, 9) > 0)
        assert all(x.isfinite() for x in losses.values())
        sum(losses.values()).backward()
        assert cas.grad.isfinite().all()
    assert losses['loss_present'] == 0


def test_refused():
    with pytest.raises(ValueError, match='must be odd, got 4'):
        ConvBranch(4, kernel_size=4)
    with pytest.raises(ValueError, match=r'must be >= 1, got \[7, 0\]'):
        MILLoss([7, 0])
