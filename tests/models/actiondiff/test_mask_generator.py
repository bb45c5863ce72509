import pytest
import torch

from mmaction_actiondiff.models.mask_generator import TopKMaskGenerator


def test_hand_made_mask():
    score = torch.tensor([[[.1, .9, .3, .8, .2, .0]]])
    out = TopKMaskGenerator(ratio=3)(score)
    assert out.mask.tolist() == [[[0, 1, 0, 1, 0, 0]]]
    assert out.weight.tolist() == [[[1, 1, 1, 1, 1, 1]]]
    assert out.agnostic.tolist() == [[[0, 1, 0, 1, 0, 0]]]


def test_ignore_band_is_what_only_the_wider_mask_chooses():
    score = torch.tensor([[[.1, .9, .3, .8, .2, .0]]])
    out = TopKMaskGenerator(ratio=6, ignore_ratio=2)(score)
    assert out.mask.tolist() == [[[0, 1, 0, 0, 0, 0]]]
    assert out.weight.tolist() == [[[1, 1, 0, 0, 1, 1]]]
    # no narrower than the mask: nothing to ignore
    out = TopKMaskGenerator(ratio=2, ignore_ratio=3)(score)
    assert out.mask.tolist() == [[[0, 1, 1, 1, 0, 0]]]
    assert out.weight.all()


@pytest.mark.parametrize('ratio', [1, 2, 3.5, 7, 100])
def test_exactly_k_ones_whatever_the_ties(ratio):
    torch.manual_seed(0)
    lengths = torch.tensor([1, 5, 13, 20])
    valid = (torch.arange(20) < lengths[:, None]).unsqueeze(1)
    for score in (torch.rand(4, 3, 20), torch.zeros(4, 3, 20)):
        mask = TopKMaskGenerator(ratio)(score, valid=valid).mask
        k = (lengths / ratio).floor().clamp(min=1)
        assert torch.equal(mask.sum(-1), k[:, None].expand(4, 3))
        assert not (mask * ~valid).any()
    assert torch.equal(mask[2, 0, :int(k[2])], torch.ones(int(k[2])))


def test_absent_classes_are_empty_and_not_trusted():
    label = torch.tensor([[1., 0., 1.]])
    out = TopKMaskGenerator(ratio=2)(torch.rand(1, 3, 8), label)
    assert out.mask.sum(-1).tolist() == [[4, 0, 4]]
    assert out.weight.sum(-1).tolist() == [[8, 0, 8]]


def test_no_gradient_and_padding_invariance():
    torch.manual_seed(0)
    score = torch.rand(2, 3, 10, requires_grad=True)
    generate = TopKMaskGenerator(ratio=5, ignore_ratio=2)
    short = generate(score)
    assert not short.mask.requires_grad
    valid = (torch.arange(60) < 10).expand(2, 1, 60)
    padded = generate(
        torch.cat([score, torch.full((2, 3, 50), 9.)], -1), valid=valid)
    for a, b in zip(short, padded):
        assert torch.equal(a, b[..., :10]) and not b[..., 10:].any()


def test_permuting_classes_commutes():
    torch.manual_seed(0)
    score, order = torch.rand(2, 4, 9), torch.tensor([2, 0, 3, 1])
    generate = TopKMaskGenerator(ratio=3)
    assert torch.equal(
        generate(score).mask[:, order],
        generate(score[:, order]).mask)


def test_mass_follows_class_and_video():
    flat = torch.zeros(1, 1, 40)
    flat[..., 5:17] = 1.  # 12 snippets carry the score
    peaky = torch.zeros(1, 1, 40)
    peaky[..., 7] = 1.
    score = torch.cat([flat, peaky], 1)
    generate = TopKMaskGenerator(k_mode='mass', min_ratio=2, max_ratio=20)
    assert generate(score).mask.sum(-1).tolist() == [[12, 2]]
    generous = TopKMaskGenerator(k_mode='mass', min_ratio=8, max_ratio=40)
    assert generous(score).mask.sum(-1).tolist() == [[5, 1]]


@pytest.mark.parametrize('kwargs, match', [
    (dict(ratio=0), 'ratio must be >= 1, got ratio=0'),
    (dict(ignore_ratio=.5), 'ignore_ratio=0.5'),
    (dict(ignore_ratio=0), 'ignore_ratio=0'),
    (dict(k_mode='magic'), "got magic"),
])
def test_errors_name_the_value(kwargs, match):
    with pytest.raises(ValueError, match=match):
        TopKMaskGenerator(**kwargs)
