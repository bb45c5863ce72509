"""What every branch of ``models/wtal`` promises, ActionDiff's bases all."""
from __future__ import annotations

import pytest
import torch
from torch.nn.functional import pad


def run(model, inputs, length):
    valid = (torch.arange(inputs.size(-1)) < length).expand(len(inputs), 1, -1)
    output = model.base_branch(inputs.masked_fill(~valid, 0), valid)
    return output, model.base_branch.score(output, valid), valid


@pytest.fixture
def weak(branch, build, shake):
    """The branch alone with its loss, and weights that say something."""
    return shake(build(branch, type='WeakLocalizer'))


@pytest.mark.parametrize('length', [1, 2, 30])
def test_shapes_and_ranges(weak, length):
    inputs = torch.randn(2, 12, length)
    output, scores, _ = run(weak, inputs, length)
    embedded = weak.base_branch.embed_channels
    assert output.feature.shape == (2, embedded, length)
    assert output.cas.shape == (2, 4, length)
    for attention in (output.attention, *output.stream_attentions):
        assert attention.shape == (2, 1, length)
        assert 0 <= attention.min() and attention.max() <= 1
    assert scores.class_score.shape == (2, 3, length)
    assert scores.video_score.shape == (2, 3)
    for score in (*scores[:3], scores.snippet_score):
        assert 0 <= score.min() and score.max() <= 1
    torch.testing.assert_close(scores.snippet_score,
                               scores.class_score * scores.attention)


@pytest.mark.parametrize('pool_kernel', [1, 13])
def test_padding_is_zero_and_more_of_it_changes_nothing(weak, pool_kernel):
    for module in weak.modules():
        if hasattr(module, 'pool_kernel'):
            module.pool_kernel = pool_kernel
    inputs = torch.randn(2, 12, 40)
    short, long = run(weak, inputs, 40), run(weak, pad(inputs, (0, 25)), 40)
    flat = [[*x[0][:3], *x[0].stream_attentions, x[1].snippet_score]
            for x in (short, long)]
    for a, b in zip(*flat):
        torch.testing.assert_close(a, b[..., :40], atol=1e-5, rtol=1e-4)
        assert not b[..., 40:].any()
    for a, b in zip(short[1][:3], long[1][:3]):
        torch.testing.assert_close(a, b[..., :40], atol=1e-5, rtol=1e-4)
    label = torch.tensor([[1., 0, 0], [1, 0, 1]])
    loss = weak.loss_module
    if hasattr(loss, 'mining_dropout'):
        loss.mining_dropout = 0.
    torch.testing.assert_close(
        loss(short[0], label, short[2]),
        loss(long[0], label, long[2]),
        atol=1e-5,
        rtol=1e-4)


def test_a_gradient_reaches_every_parameter(weak, videos):
    losses = weak(*videos((40, 31)), mode='loss')
    sum(losses.values()).backward()
    for name, parameter in weak.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize('length', [1, 2, 5])
def test_degenerate_videos(weak, length, videos):
    for labels in (((), ()), ((0, 1, 2), (0, 1, 2))):
        inputs, samples = videos((length, length), labels)
        for x in (inputs, torch.zeros_like(inputs)):
            losses = weak(x, samples, mode='loss')
            assert all(v.isfinite() for v in losses.values())
            sum(losses.values()).backward()
            for sample in weak(x, samples, mode='predict'):
                assert sample.pred_instances.segments.isfinite().all()
    assert all(p.grad.isfinite().all() for p in weak.parameters())


def test_wrong_feature_channels_are_named(weak):
    with pytest.raises(ValueError, match=r'12 feature channels.*\(2, 20, 9\)'):
        weak(torch.randn(2, 20, 9))


def test_it_learns_the_classes_and_where_they_are(weak, branch, videos):
    """Videos whose class shines in a channel of its own, in one place."""
    inputs, samples = videos((40, ) * 6, ((0, ), (1, ), (2, )) * 2)
    inputs *= .3
    for i, row in enumerate(inputs):
        row[[i % 3, 6 + i % 3], 5 + i:17 + i] += 3
    optimizer = torch.optim.Adam(weak.parameters(), lr=5e-3)
    for _ in range(200):  # without dropout: the network is tiny
        optimizer.zero_grad()
        sum(weak(inputs, samples, mode='loss').values()).backward()
        optimizer.step()
    with torch.no_grad():
        scores = weak(inputs, samples)
    assert scores.video_score.argmax(1).tolist() == [0, 1, 2] * 2
    if branch not in ('mil', 'wtalc', 'cola'):
        return  # a gate that sees the whole video needs no place
    for i, row in enumerate(scores.snippet_score):
        own = row[i % 3]
        rest = torch.cat([own[:5 + i], own[17 + i:]])
        assert own[5 + i:17 + i].mean() > rest.mean() + .1
