"""CoLA: its scores, its mining and its contrast by hand."""
from __future__ import annotations

from math import exp, log

import pytest
import torch

from mmaction_actiondiff.models import BranchOutput, CoLABranch
from mmaction_actiondiff.models.branch import append_background
from mmaction_actiondiff.models.wtal import cola as L


def flags(text):
    return torch.tensor([[[c == '1' for c in text]]])


def text(x):
    return ''.join('01'[int(v)] for v in x.flatten())


def row(*values):
    return torch.tensor([[values]], dtype=torch.float32)


def whole(x):
    return torch.ones_like(x[:, :1], dtype=torch.bool)


def test_size_of_the_published_network():
    branch = CoLABranch(20)
    # conv3 2048 -> 2048 with bias, conv1 2048 -> 20 without
    count = 3 * 2048**2 + 2048 + 2048 * 20
    assert sum(p.numel() for p in branch.parameters()) == count
    assert count == pytest.approx(12.6e6, rel=3e-3)
    # every weight is used once per snippet: 9.5 GMAC at 750 snippets
    assert 750 * (count - 2048) == pytest.approx(9.5e9, rel=4e-3)


def test_scores_by_hand():
    cas = torch.tensor([[[0., 2., 4., 2.], [0., 0., 1., 1.]]])
    attention = L.normalise(cas.sum(1, keepdim=True), whole(cas))
    assert attention.flatten().tolist() == pytest.approx([0, .4, 1, .6])
    out = BranchOutput(cas, append_background(cas, attention), attention)
    branch = CoLABranch(2, embed_channels=2, video_ratio=2)
    scores = branch.score(out, whole(cas))
    assert scores.class_score.tolist() == [[[0, .5, 1, .5], [0, 0, 1, 1]]]
    # the best two of four: 3 and 1
    assert scores.video_score[0, 0].item() == pytest.approx(
        exp(3) / (exp(3) + exp(1)))


def test_normalise_knows_the_padding():
    valid = flags('1100')
    assert L.normalise(row(3, 1, 0, 0), valid).tolist() == [[[1, 0, 0, 0]]]
    assert L.normalise(row(2, 2, 0, 0), valid).tolist() == [[[1, 1, 0, 0]]]


def test_dilation_and_erosion():
    x = flags('0001100000')
    assert text(L.dilate(x, 3)) == '0011110000'
    assert text(L.dilate(x, 6)) == '1111111000'
    x = flags('1111111011')
    assert text(L.erode(x, 3)) == '0111110000'
    # a window of 6 reaches 3 to the left and 2 to the right
    assert text(L.erode(x, 6)) == '0001100000'


def test_hard_regions():
    #                 active: the six above the median
    a = row(0, 0, 0, 0, 5, 6, 7, 8, 9, 7, 0, 0)
    a = a + .01 * torch.arange(12)  # median between snippets 3 and 11
    action, background = L.hard_regions(a, whole(a), 3, 5)
    assert text(action) == '000001001000'  # one in, not two in
    assert text(background) == '001000000001'  # two out, not one out
    padded = torch.nn.functional.pad(a, (0, 7))
    valid = torch.arange(19).view(1, 1, -1) < 12
    again = L.hard_regions(padded, valid, 3, 5)
    assert text(again[0])[:12] == text(action)
    assert text(again[1]) == text(background) + 7 * '0'


def test_choose_top():
    score = row(5, 1, 4, 3)
    k = torch.tensor([[[2.]]])
    assert text(L.choose_top(score, flags('1111'), k)) == '1010'
    assert text(L.choose_top(score, flags('0111'), k)) == '0011'
    assert text(L.choose_top(score, flags('0100'), k)) == '0100'


def test_contrast():
    feature = torch.tensor([[[1., 2., 0., 0.], [0., 0., 3., -1.]]])
    #  query e0, key e0, negatives e1 and -e1: similarities 1, 0, 0
    out = L.contrast(feature, flags('1000'), flags('0100'), flags('0011'), .5)
    assert out.item() == pytest.approx(log(exp(2) + 2) - 2)
    # key: the mean of e0 and 3 e1
    out = L.contrast(feature, flags('1000'), flags('1010'), flags('0001'), 1.)
    near = 1 / 10**.5
    assert out.item() == pytest.approx(log(exp(near) + 1) - near)
    assert L.contrast(feature, flags('0000'), flags('1100'), flags('0011'),
                      1.) == 0


def test_classification_by_hand():
    cas = torch.tensor([[[2., 0.], [0., 0.]]])
    out = BranchOutput(
        torch.zeros(1, 3, 2), append_background(cas, row(.5, .5)), row(.5, .5))
    losses = L.CoLALoss(easy_ratio=2)(out, torch.tensor([[1., 0.]]),
                                      whole(cas))
    assert losses['loss_action'].item() == pytest.approx(log(1 + exp(-2)))


def test_mining_dropout_hides_snippets():
    a = row(*range(100))
    easy, _ = L.CoLALoss(mining_dropout=.6).mine(a, whole(a))[0]
    assert easy.sum() == 20 and text(easy)[-20:] != 20 * '1'
    easy, _ = L.CoLALoss(mining_dropout=0).mine(a, whole(a))[0]
    assert text(easy) == 80 * '0' + 20 * '1'


def test_bad_arguments():
    with pytest.raises(ValueError, match='inner=6, outer=3'):
        L.CoLALoss(inner=6, outer=3)
    with pytest.raises(ValueError, match='easy_ratio=0.5'):
        L.CoLALoss(easy_ratio=.5)
