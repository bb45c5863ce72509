"""The masks: how many snippets, which of them, what is ignored."""
from __future__ import annotations

import pytest
import torch

from mmaction_actiondiff.models import TopKMaskGenerator


def generate(score, label=None, length=None, **kwargs):
    """Masks of a score (N, C, T), of all classes unless told otherwise."""
    kwargs = dict(dict(k_mode='ratio', ignore_ratio=None), **kwargs)
    valid = torch.ones_like(score[:, :1], dtype=torch.bool)
    if length is not None:
        valid &= torch.arange(score.size(-1)) < torch.tensor(length).view(
            -1, 1, 1)
    label = torch.ones(score.shape[:2]) if label is None else label
    return TopKMaskGenerator(**kwargs)(score, label, valid)


def bits(mask):
    return [''.join(str(int(x)) for x in row) for row in mask.flatten(0, 1)]


def test_hand_made_mask():
    score = torch.tensor([[[.1, .9, .3, .8, .2, .0]]])
    out = generate(score, ratio=3)
    assert bits(out.mask) == bits(out.agnostic) == ['010100']
    assert bits(out.weight) == ['111111']


def test_ignore_band_is_what_only_the_wider_mask_chooses():
    score = torch.tensor([[[.1, .9, .3, .8, .2, .0]]])
    out = generate(score, ratio=6, ignore_ratio=2)
    assert bits(out.mask) == ['010000'] and bits(out.weight) == ['110011']


@pytest.mark.parametrize('ratio', [1, 2, 3.5, 7, 100])
def test_exactly_k_ones_whatever_the_ties(ratio):
    lengths = torch.tensor([1, 5, 13, 20])
    for score in (torch.rand(4, 3, 20), torch.zeros(4, 3, 20),
                  torch.rand(4, 3, 20).round()):
        mask = generate(score, length=lengths.tolist(), ratio=ratio).mask
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
    assert bits(generate(score, ratio=ratio).mask) == [expected]
    # ... of the video, not of the padded batch
    padded = torch.nn.functional.pad(score, (0, 5), value=score.max())
    length = [score.size(-1)]
    assert bits(generate(padded, ratio=ratio,
                         length=length).mask) == [expected + '00000']


def test_without_plateaus_the_order_is_that_of_the_scores():
    score = torch.rand(2, 3, 40)
    mask = generate(score, ratio=4).mask
    top = torch.zeros_like(mask).scatter(-1, score.topk(10).indices, 1.)
    assert torch.equal(mask, top)


def test_absent_classes_are_empty_and_not_trusted():
    label = torch.tensor([[1., 0., 1.]])
    out = generate(torch.rand(1, 3, 8), label, ratio=2)
    assert out.mask.sum(-1).tolist() == [[4, 0, 4]]
    assert out.weight.sum(-1).tolist() == [[8, 0, 8]]
    assert torch.equal(out.agnostic, out.mask.amax(1, keepdim=True))


@pytest.mark.parametrize('k_mode', ['ratio', 'mass'])
def test_no_gradient_and_padding_invariance(k_mode):
    score = torch.rand(2, 3, 10, requires_grad=True)
    kwargs = dict(k_mode=k_mode, ratio=5, ignore_ratio=2)
    short = generate(score, **kwargs)
    assert not short.mask.requires_grad
    padded = generate(
        torch.cat([score, torch.full((2, 3, 50), 9.)], -1),
        length=[10, 10],
        **kwargs)
    for a, b in zip(short, padded):
        assert torch.equal(a, b[..., :10]) and not b[..., 10:].any()


def test_permuting_classes_commutes():
    score, order = torch.rand(2, 4, 9), torch.tensor([2, 0, 3, 1])
    assert torch.equal(
        generate(score, ratio=3).mask[:, order],
        generate(score[:, order], ratio=3).mask)


def test_mass_follows_class_and_video():
    flat = torch.zeros(1, 1, 40)
    flat[..., 5:17] = 1.  # 12 snippets carry the score
    peaky = torch.zeros(1, 1, 40)
    peaky[..., 7] = 1.
    score = torch.cat([flat, peaky], 1)
    for bounds, expected in (((2, 20), [12, 2]), ((8, 40), [5, 1])):
        out = generate(
            score, k_mode='mass', min_ratio=bounds[0], max_ratio=bounds[1])
        assert out.mask.sum(-1).tolist() == [expected]


@pytest.mark.parametrize('kwargs, match', [
    (dict(ratio=0), 'got ratio=0'),
    (dict(min_ratio=.5), 'min_ratio=0.5'),
    (dict(min_ratio=8, max_ratio=4), 'min_ratio=8, max_ratio=4'),
    (dict(ignore_ratio=.5), r'\[1, 16\).*got 0.5'),
    (dict(ignore_ratio=0), 'got 0'),
    (dict(ignore_ratio=16), 'n / 16 snippets, got 16'),
    (dict(k_mode='ratio', ratio=2, ignore_ratio=7), r'\[1, 2\).*got 7'),
    (dict(k_mode='magic'), 'got magic'),
])
def test_refused(kwargs, match):
    with pytest.raises(ValueError, match=match):
        TopKMaskGenerator(**kwargs)
