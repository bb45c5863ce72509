"""The denoiser: attention window, receptive field, blindness to padding."""
from __future__ import annotations

import pytest
import torch

from mmaction_actiondiff.models.denoiser import (DilatedConv, TemporalDenoiser,
                                                 attention_window,
                                                 global_attention,
                                                 local_attention)


def build(num_classes=3, condition_channels=8, **kwargs):
    kwargs = {'channels': 16, 'num_heads': 2, **kwargs}
    denoiser = TemporalDenoiser(num_classes, condition_channels, **kwargs)
    # As if trained: the zero output layer would hide every dependence.
    torch.nn.init.normal_(denoiser.head.weight)
    return denoiser.eval()


def inputs(num_videos, length, num_classes=3, condition_channels=8):
    return (torch.randn(num_videos, num_classes,
                        length), torch.randint(1000, (num_videos, )),
            torch.randn(num_videos, condition_channels, length))


def valid_until(lengths, total):
    return (torch.arange(total) < torch.tensor(lengths)[:, None])[:, None]


def naive_attention(query, key, value, valid, reach):
    """The definition, one query at a time."""
    out = torch.zeros_like(query)
    for n, length in enumerate(valid.sum(1).tolist()):
        for t in range(length):
            near = slice(max(0, t - reach), min(length, t + reach + 1))
            score = torch.einsum('hd,shd->hs', query[n, t],
                                 key[n, near]) / query.size(-1)**0.5
            out[n, t] = torch.einsum('hs,shd->hd', score.softmax(-1),
                                     value[n, near])
    return out


@pytest.mark.parametrize('reach', [0, 1, 3, 16, 21, 100])
@pytest.mark.parametrize('length', [1, 15, 16, 17, 53])
def test_local_attention_is_the_definition(reach, length):
    qkv = torch.randn(2, length, 3, 2, 4)
    valid = valid_until([length, max(1, length - 9)], length)[:, 0]
    found = local_attention(qkv, attention_window(valid, reach), reach)
    expected = naive_attention(*qkv.unbind(2), valid, reach)
    chosen = valid[..., None, None]
    torch.testing.assert_close(found * chosen, expected)
    assert found.isfinite().all()
    if reach >= length:
        torch.testing.assert_close(
            global_attention(qkv, valid) * chosen, expected)


def test_starts_with_zero_logits():
    denoiser = TemporalDenoiser(20, 128)
    logits, hidden = denoiser(*inputs(2, 40, 20, 128))
    assert logits.shape == (2, 20, 40) and hidden.shape == (2, 128, 40)
    assert (logits == 0).all() and hidden.abs().sum() > 0


@pytest.mark.parametrize('kwargs', [{}, dict(global_attention=True)])
def test_padding_is_not_seen(kwargs):
    denoiser = build(**kwargs)
    x, t, condition = inputs(2, 70)
    valid = valid_until([70, 33], 70)
    logits, hidden = denoiser(x, t, condition, valid)
    # Rubbish behind the videos, and 50 snippets more of it.
    x, condition = (
        torch.cat([z, z.new_zeros(*z.shape[:2], 50)], 2)
        for z in (x, condition))
    longer = valid_until([70, 33], 120)
    x = torch.where(longer, x, 100.)
    condition = torch.where(longer, condition, -100.)
    more_logits, more_hidden = denoiser(x, t, condition, longer)
    torch.testing.assert_close(more_logits[..., :70], logits)
    torch.testing.assert_close(more_hidden[..., :70], hidden)
    assert (more_logits * ~longer == 0).all()
    assert (more_hidden * ~longer == 0).all()
    # Alone, without padding.
    alone, _ = denoiser(x[1:, :, :33], t[1:], condition[1:, :, :33])
    torch.testing.assert_close(alone, logits[1:, :, :33])


@pytest.mark.parametrize('kwargs, reach', [
    (dict(), 15),
    (dict(num_layers=3), 7),
    (dict(kernel_size=5, num_layers=3), 14),
    (dict(num_layers=2, global_attention=True), 50),
])
def test_receptive_field(kwargs, reach):
    denoiser = build(**kwargs)
    x, t, condition = inputs(1, 101)
    x.requires_grad_()
    condition.requires_grad_()
    denoiser(x, t, condition)[0][0, :, 50].sum().backward()
    for tensor in (x, condition):
        seen = tensor.grad[0].abs().sum(0).nonzero()[:, 0]
        assert 50 - seen.min() <= reach and seen.max() - 50 <= reach
    seen = x.grad[0].abs().sum(0).nonzero()[:, 0]
    assert (seen.min(), seen.max()) == (50 - reach, 50 + reach)


def test_projected_condition_is_the_condition():
    denoiser = build(global_attention=True)
    x, t, condition = inputs(2, 30)
    projected = denoiser.project(condition)
    assert [z.shape for z in projected] == 5 * [(2, 48, 30)]
    for found, expected in zip(
            denoiser(x, t, projected), denoiser(x, t, condition)):
        assert torch.equal(found, expected)


def test_embedded_timesteps_are_the_timesteps():
    denoiser = build()
    x, t, condition = inputs(3, 30)
    for found, expected in zip(
            denoiser(x, denoiser.embed(t), condition),
            denoiser(x, t, condition)):
        assert torch.equal(found, expected)


def test_scope_is_the_padding():
    denoiser = build(global_attention=True)
    x, t, condition = inputs(2, 30)
    valid = valid_until([30, 17], 30)
    for found, expected in zip(
            denoiser(x, t, condition, denoiser.scope(valid)),
            denoiser(x, t, condition, valid)):
        assert torch.equal(found, expected)


def test_window_hides_what_is_far_or_padding_also_in_half_precision():
    valid = torch.arange(20)[None] < 18
    window = attention_window(valid, 2)  # blocks of 16 queries, 20 keys
    assert window.shape == (1, 1, 2, 16, 20)
    queries, keys = torch.meshgrid(
        torch.arange(16), torch.arange(20), indexing='ij')
    for block in range(2):
        key = 16 * block + keys - 2
        query = 16 * block + queries
        seen = ((key - query).abs() <= 2) & (key >= 0) & (key < 18)
        assert torch.equal(window[0, 0, block] == 0, seen)
    probability = window.half().float().softmax(-1)
    assert probability.isfinite().all()
    assert (probability[0, 0, 0][window[0, 0, 0] < 0] == 0).all()


def test_hiding_commutes_with_the_projection():
    denoiser = build(global_attention=True)
    x, t, condition = inputs(2, 30)
    kept = torch.rand(2, 1, 30) > 0.4
    after = tuple(z * kept for z in denoiser.project(condition))
    for found, expected in zip(
            denoiser(x, t, after), denoiser(x, t, condition * kept)):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('kernel_size, dilation, length',
                         [(3, 8, 5), (3, 2, 40), (5, 4, 40), (1, 1, 7)])
def test_dilated_conv_is_the_convolution(kernel_size, dilation, length):
    conv = DilatedConv(6, kernel_size, dilation)
    x = torch.randn(2, length, 6)
    expected = torch.nn.functional.conv1d(
        x.transpose(1, 2),
        conv.weight.unflatten(1, (kernel_size, 6)).transpose(1, 2),
        conv.bias,
        padding=dilation * (kernel_size // 2),
        dilation=dilation).transpose(1, 2)
    torch.testing.assert_close(conv(x), expected)


def test_depends_on_everything_it_is_told():
    denoiser = build()
    x, t, condition = inputs(1, 20)
    logits, _ = denoiser(x, t, condition)
    for other in ((x + 1, t, condition), (x, (t + 500) % 1000, condition),
                  (x, t, condition + torch.randn_like(condition))):
        assert (denoiser(*other)[0] - logits).abs().max() > 1e-3


@pytest.mark.parametrize('length', [1, 2, 16])
def test_short_videos(length):
    logits, _ = build(global_attention=True)(*inputs(2, length))
    assert logits.shape == (2, 3, length) and logits.isfinite().all()


def test_every_parameter_learns():
    denoiser = build(global_attention=True).train()
    logits, hidden = denoiser(*inputs(2, 20))
    logits.square().sum().backward()
    for name, parameter in denoiser.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_bfloat16_autocast():
    denoiser = build()
    batch = inputs(2, 30)
    with torch.autocast('cpu', torch.bfloat16):
        logits, _ = denoiser(*batch)
    assert (logits.float() - denoiser(*batch)[0]).abs().max() < 0.3


def test_errors_name_the_value():
    with pytest.raises(ValueError, match='odd, got 4'):
        build(kernel_size=4)
    with pytest.raises(ValueError, match='= 8, got channels=12'):
        build(channels=12, num_heads=4)
    x, t, condition = inputs(2, 9)
    with pytest.raises(ValueError, match=r'\(2, 3, 9\), got \(2, 2, 9\)'):
        build()(x[:, 1:], t, condition)
    with pytest.raises(ValueError, match='condition must have shape'):
        build()(x, t, condition[..., 1:])
