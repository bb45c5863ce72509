"""The masks: how many snippets, which of them, what is ignored."""
from __future__ import annotations

import pytest
import torch

from mmaction_actiondiff.models import TopKMaskGenerator


def generate(score, label=None, length=None, **kwargs):
    """Masks of a score (N, C, T), of all classes unless told otherwise."""
    valid = torch.ones_like(score[:, :1], dtype=torch.bool)
    if length is not None:
        valid &= torch.arange(score.size(-1)) < torch.tensor(length).view(
            -1, 1, 1)
    label = torch.ones(score.shape[:2]) if label is None else label
    return TopKMaskGenerator(**kwargs)(score, label, valid)


def by_ratio(ratio, *args, **kwargs):
    return generate(*args, k_mode='ratio', ratio=ratio, **kwargs)


def bits(mask):
    return [''.join(str(int(x)) for x in row) for row in mask.flatten(0, 1)]


def test_levels_by_hand():
    # 0.45 and more are action, 0.18 and less are background
    score = torch.tensor([[[.1, .9, .3, .8, .2, .0, .46, .17]]])
    out = generate(score)
    assert bits(out.mask) == bits(out.agnostic) == ['01010010']
    assert bits(out.weight) == ['11010111']
    out = generate(score, core=.8, outside=.3)
    assert bits(out.mask) == ['01010000'] and bits(out.weight) == ['11011101']


def test_without_a_band_every_snippet_is_trusted():
    out = generate(torch.rand(2, 3, 50), core=.5, outside=.5)
    assert out.weight.all() and not out.mask.all()


def test_levels_take_all_of_a_plateau():
    score = torch.zeros(1, 1, 40)
    score[..., 5:35] = 1.
    assert torch.equal(generate(score).mask, score)
    assert generate(score).weight.all()


def test_levels_follow_class_and_video():
    score = torch.zeros(2, 2, 40)
    score[0, 0, 5:17], score[0, 1, 7] = .9, .01
    score[1, 0, 3:5], score[1, 1, :30] = 1e-4, .3
    found = generate(score).mask
    assert found.sum(-1).tolist() == [[12, 1], [2, 30]]
    # of a class's own range: its scale says nothing
    assert torch.equal(generate(score * .125).mask, found)


def test_ratio_by_hand():
    score = torch.tensor([[[.1, .9, .3, .8, .2, .0]]])
    out = by_ratio(3, score)
    assert bits(out.mask) == bits(out.agnostic) == ['010100']
    assert bits(out.weight) == ['111111']


@pytest.mark.parametrize('ratio', [1, 2, 3.5, 7, 100])
def test_exactly_k_ones_whatever_the_ties(ratio):
    lengths = torch.tensor([1, 5, 13, 20])
    for score in (torch.rand(4, 3, 20), torch.zeros(4, 3, 20),
                  torch.rand(4, 3, 20).round()):
        mask = by_ratio(ratio, score, length=lengths.tolist()).mask
        k = (lengths / ratio).floor().clamp(min=1)
        assert torch.equal(mask.sum(-1), k[:, None].expand(4, 3))
        for row, length in zip(mask, lengths):
            assert not row[:, length:].any()


@pytest.mark.parametrize(
    'score, ratio, expected',
    [
        ('111111111', 3, '000111000'),
        ('0011111110', 10 / 3, '0000111000'),
        ('0000000001', 10, '0000000001'),
        ('0111001110', 5, '0010000100'),  # the middle of each of two plateaus
        ('0111001110', 10 / 4, '0111000100'),
        ('2111111110', 5, '1000100000'),  # after the peak the plateau's middle
    ])
def test_a_saturated_plateau_gives_its_middle(score, ratio, expected):
    score = torch.tensor([[[float(x) for x in score]]])
    assert bits(by_ratio(ratio, score).mask) == [expected]
    # ... of the video, not of the padded batch
    padded = torch.nn.functional.pad(score, (0, 5), value=score.max())
    length = [score.size(-1)]
    assert bits(by_ratio(ratio, padded,
                         length=length).mask) == [expected + '00000']


def test_without_plateaus_the_order_is_that_of_the_scores():
    score = torch.rand(2, 3, 40)
    mask = by_ratio(4, score).mask
    top = torch.zeros_like(mask).scatter(-1, score.topk(10).indices, 1.)
    assert torch.equal(mask, top)


def test_absent_classes_are_empty_and_not_trusted():
    label = torch.tensor([[1., 0., 1.]])
    out = by_ratio(2, torch.rand(1, 3, 8), label)
    assert out.mask.sum(-1).tolist() == [[4, 0, 4]]
    assert out.weight.sum(-1).tolist() == [[8, 0, 8]]
    assert torch.equal(out.agnostic, out.mask.amax(1, keepdim=True))
    out = generate(torch.rand(1, 3, 8), label)
    assert not out.mask[:, 1].any() and not out.weight[:, 1].any()
    assert out.mask[:, [0, 2]].amax(-1).all()


@pytest.mark.parametrize('k_mode', ['ratio', 'level'])
def test_no_gradient_and_padding_invariance(k_mode):
    score = torch.rand(2, 3, 10, requires_grad=True)
    short = generate(score, k_mode=k_mode)
    assert not short.mask.requires_grad
    padded = generate(
        torch.cat([score, torch.full((2, 3, 50), 9.)], -1),
        length=[10, 10],
        k_mode=k_mode)
    for a, b in zip(short, padded):
        assert torch.equal(a, b[..., :10]) and not b[..., 10:].any()


@pytest.mark.parametrize('k_mode', ['ratio', 'level'])
def test_permuting_classes_commutes(k_mode):
    score, order = torch.rand(2, 4, 9), torch.tensor([2, 0, 3, 1])
    assert torch.equal(
        generate(score, k_mode=k_mode).mask[:, order],
        generate(score[:, order], k_mode=k_mode).mask)


@pytest.mark.parametrize('kwargs, match', [
    (dict(ratio=0), 'got ratio=0'),
    (dict(core=1.5), 'core=1.5'),
    (dict(outside=0), 'outside=0'),
    (dict(core=.2, outside=.5), 'outside=0.5, core=0.2'),
    (dict(k_mode='magic'), "got 'magic'"),
])
def test_refused(kwargs, match):
    with pytest.raises(ValueError, match=match):
        TopKMaskGenerator(**kwargs)
