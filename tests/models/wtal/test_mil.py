"""The plain branch: shapes, background as attention, video score."""
import pytest
import torch

from mmaction_actiondiff.models.branches import ConvBranch
from mmaction_actiondiff.models.branches.conv import ConvOutput


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


@pytest.mark.parametrize('length', [1, 2, 30])
def test_shapes_and_attention(length):
    inputs = torch.randn(3, 16, length)
    valid = torch.ones(3, 1, length, dtype=torch.bool)
    out = small_branch().eval()(inputs, valid)
    assert isinstance(out, ConvOutput) and out.stream_attentions == ()
    assert out.feature.shape == (3, 12, length)
    assert out.cas.shape == (3, 5, length)
    torch.testing.assert_close(out.attention, 1 - out.cas.softmax(1)[:, -1:])
    video = out._replace(cas=out.cas * 2).video_score(valid, 5)
    assert video.shape == (3, 4) and (video.sum(1) <= 1).all()


def test_padding_is_not_seen():
    branch = small_branch().eval()
    inputs = torch.randn(1, 16, 9)
    valid = torch.ones(1, 1, 9, dtype=torch.bool)
    short = branch(inputs, valid)
    long = branch(
        torch.cat([inputs, torch.full((1, 16, 5), 9.)], 2),
        torch.cat([valid, torch.zeros(1, 1, 5, dtype=torch.bool)], 2))
    for a, b in zip(short[:3], long[:3]):
        torch.testing.assert_close(a, b[..., :9])
    assert (long.attention[..., 9:] == 0).all()


def test_video_score_by_hand():
    cas = torch.tensor([[[3., 0.], [0., 0.]]])  # one class, background
    out = ConvOutput(torch.zeros(1, 1, 2), cas, torch.ones(1, 1, 2))
    log_prob = cas.log_softmax(1)
    valid = torch.ones(1, 1, 2, dtype=torch.bool)
    best = torch.stack([log_prob[0, 0, 0], log_prob[0, 1, 1]])
    assert out.video_score(valid, 2).item() == pytest.approx(
        best.softmax(0)[0].item())


def test_refuses_another_width_and_an_even_kernel():
    with pytest.raises(ValueError, match='16 feature channels'):
        small_branch()(torch.zeros(1, 15, 4), torch.ones(1, 1, 4) > 0)
    with pytest.raises(ValueError, match='must be odd, got 4'):
        ConvBranch(4, kernel_size=4)
