import pytest
import torch

from mmaction_actiondiff.models.branches import CrossModalBranch
from mmaction_actiondiff.models.branches.base import (masked_avg_pool,
                                                      masked_mean)


def small_branch(**kwargs):
    torch.manual_seed(0)
    return CrossModalBranch(
        num_classes=4,
        stream_channels=(6, 10),
        embed_channels=12,
        attention_channels=8,
        **kwargs).eval()


def all_valid(inputs):
    return torch.ones_like(inputs[:, :1], dtype=torch.bool)


def test_masked_means_by_hand():
    x = torch.tensor([[[1., 3., 8.]]])
    valid = torch.tensor([[[True, True, False]]])
    assert masked_mean(x, valid).item() == 2
    pooled = masked_avg_pool(x, valid, 3)
    assert pooled.tolist() == [[[2., 2., 0.]]]


@pytest.mark.parametrize('length', [1, 2, 30])
def test_shapes_and_ranges(length):
    inputs = torch.randn(3, 16, length)
    out = small_branch()(inputs, all_valid(inputs))
    assert out.feature.shape == (3, 12, length)
    assert out.cas.shape == (3, 5, length)
    assert out.attention.shape == (3, 1, length)
    assert len(out.stream_attentions) == 2
    assert 0 <= out.attention.min() and out.attention.max() <= 1
    score = out.snippet_score()
    assert score.shape == (3, 4, length)
    assert 0 <= score.min() and score.max() <= 1


@pytest.mark.parametrize(
    'kwargs',
    [{}, dict(pool_kernel=13),
     dict(hidden_layers=3, kernel_size=5)])
def test_padding_changes_nothing(kwargs):
    branch = small_branch(**kwargs)
    inputs = torch.randn(2, 16, 11)
    padded = torch.cat([inputs, torch.zeros(2, 16, 50)], -1)
    valid = (torch.arange(61) < 11).expand(2, 1, 61)
    short = branch(inputs, all_valid(inputs))
    long = branch(padded, valid)
    for a, b in zip((*short[:3], *short[3]), (*long[:3], *long[3])):
        torch.testing.assert_close(a, b[..., :11], atol=1e-6, rtol=1e-5)


def test_second_pass_through_the_classifier_is_the_same():
    branch = small_branch()
    inputs = torch.randn(2, 16, 9)
    out = branch(inputs, all_valid(inputs))
    torch.testing.assert_close(
        branch.classify(out.feature, all_valid(inputs)), out.cas)


def test_every_parameter_is_used():
    branch = small_branch()
    inputs = torch.randn(2, 16, 9)
    out = branch(inputs, all_valid(inputs))
    (out.cas.square().sum() + out.attention.sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0
               for p in branch.parameters())


def test_parameter_count_of_the_published_width():
    # CO2-Net uses 34.1 M; the gate of the pooled stream needs a third of its
    # convolution: 2 x 2 x 1024^2 weights less.
    count = sum(p.numel() for p in CrossModalBranch(20).parameters())
    assert count == pytest.approx(34.1e6 - 4 * 1024**2, rel=2e-3)


def test_gate_by_hand():
    gate = small_branch().rgb_gate
    main, support = torch.randn(1, 6, 5), torch.randn(1, 10, 5)
    channel = main.mean(-1) @ gate.channel.weight[..., 0].T + gate.channel.bias
    local = torch.nn.functional.conv1d(
        support, gate.local.weight, gate.local.bias, padding=1)
    torch.testing.assert_close(
        gate(main, support, all_valid(main)),
        torch.sigmoid(channel.unsqueeze(-1) * local) * main)


@pytest.mark.parametrize('kwargs, match', [
    (dict(stream_channels=(8, )), r'two streams, got stream_channels=\(8,\)'),
    (dict(pool_kernel=4), 'must be odd, got pool_kernel=4'),
    (dict(kernel_size=2), 'kernel_size=2'),
])
def test_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        CrossModalBranch(4, **kwargs)


def test_wrong_feature_channels_are_named():
    with pytest.raises(ValueError, match=r'16 feature channels.*\(2, 20, 9\)'):
        small_branch()(torch.randn(2, 20, 9), torch.ones(2, 1, 9).bool())
