"""The plain branch and W-TALC's loss."""
from __future__ import annotations

import pytest
import torch

from mmaction_actiondiff.models import BranchOutput, ConvBranch, MILLoss


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
    cas = torch.tensor([[[3., 0.], [0., 0.]]])  # one class, background
    out = BranchOutput(torch.zeros(1, 1, 2), cas, torch.ones(1, 1, 2))
    branch = ConvBranch(1, embed_channels=2, video_ratio=2)
    scores = branch.score(out, torch.ones(1, 1, 2) > 0)
    log_prob = cas.log_softmax(1)
    torch.testing.assert_close(scores.class_score, log_prob.exp()[:, :1])
    best = torch.stack([log_prob[0, 0, 0], log_prob[0, 1, 1]])
    assert scores.video_score.item() == pytest.approx(best.softmax(0)[0])


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


def test_refused():
    with pytest.raises(ValueError, match='must be odd, got 4'):
        ConvBranch(4, kernel_size=4)
    with pytest.raises(ValueError, match=r'must be >= 1, got \[7, 0\]'):
        MILLoss([7, 0])
