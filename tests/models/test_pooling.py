"""Averages, orders and convolutions that do not see the padding."""
from __future__ import annotations

from math import log

import pytest
import torch

from mmaction_actiondiff.models.branch import MaskedConv, append_background
from mmaction_actiondiff.models.objective import mil_loss, with_background
from mmaction_actiondiff.models.pooling import (masked_avg_pool, masked_mean,
                                                snippet_rank,
                                                suppress_background, topk_pool)


def test_masked_means_by_hand():
    x = torch.tensor([[[1., 3., 8.]]])
    valid = torch.tensor([[[True, True, False]]])
    assert masked_mean(x, valid).item() == 2
    assert masked_mean(x, valid & False).item() == 0
    # what lies outside counts as zeros, as in the published codes
    torch.testing.assert_close(
        masked_avg_pool(x, valid, 3), torch.tensor([[[4 / 3, 4 / 3, 0]]]))
    assert masked_avg_pool(x, valid, 1) is x


def test_topk_pool():
    x = torch.tensor([[[1., 4., 2., 3., 9., 9.]], [[1., 4., 2., 3., 8., 6.]]])
    valid = torch.arange(6) < torch.tensor([[[4]], [[6]]])
    # k = 2 of four valid snippets: (4 + 3) / 2; k = 3 of six: 18 / 3
    assert topk_pool(x, valid, 2).tolist() == [[3.5], [6.]]
    # a ratio beyond T pools the single best snippet
    assert topk_pool(x, valid, 100).tolist() == [[4.], [8.]]
    # among two, each gets half as many
    assert topk_pool(x, valid, 1, torch.tensor([[2.], [2.]])).tolist() \
        == topk_pool(x, valid, 2).tolist()


def test_rank_puts_ties_in_order_and_padding_last():
    score = torch.tensor([[[.1, .9, .5, .9, 7.]]])
    valid = torch.tensor([[[True, True, True, True, False]]])
    assert snippet_rank(score, valid).tolist() == [[[3, 0, 2, 1, 4]]]


def test_suppress_background():
    cas = torch.tensor([[[4.], [-2.], [0.]]])
    out = suppress_background(cas, torch.tensor([[[.5]]]))
    assert out.flatten().tolist() == [1., -2., -1.]


def test_appended_background_is_what_the_attention_leaves():
    cas, attention = torch.randn(2, 3, 9), torch.rand(2, 1, 9)
    prob = append_background(cas, attention).softmax(1)
    torch.testing.assert_close(
        prob, torch.cat([attention * cas.softmax(1), 1 - attention], 1))


def test_mil_loss():
    logits = torch.tensor([[log(2.), log(1.), log(1.)]])
    target = with_background(torch.tensor([[1., 1.]]), 0.)
    assert target.tolist() == [[1, 1, 0]]
    expected = -(log(.5) + log(.25)) / 2
    assert mil_loss(logits, target).item() == pytest.approx(expected)
    assert mil_loss(logits, torch.zeros(1, 3)) == 0


def test_masked_conv_is_a_convolution_that_ends_with_the_video():
    conv = MaskedConv(2, 3, 5)
    x, valid = torch.randn(1, 2, 9), torch.arange(12).view(1, 1, -1) < 9
    short = conv(x, valid[..., :9])
    torch.testing.assert_close(
        short,
        torch.nn.functional.conv1d(x, conv.weight, conv.bias, padding=2))
    long = conv(torch.nn.functional.pad(x, (0, 3)), valid)
    torch.testing.assert_close(long[..., :9], short)
    assert not long[..., 9:].any()
    with pytest.raises(ValueError, match='must be odd, got 4'):
        MaskedConv(2, 3, 4)
