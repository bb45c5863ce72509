"""The plain denoiser: what it sees, what it does not, what it refuses."""
from __future__ import annotations

import pytest
import torch

from mmaction_actiondiff.models.conv_denoiser import ConvDenoiser

C, F = 3, 8


def build(**kwargs):
    torch.manual_seed(0)
    denoiser = ConvDenoiser(C, F, **{'channels': 16, **kwargs})
    return denoiser.eval()


def inputs(num_videos=2, length=40):
    return (torch.randn(num_videos, C,
                        length), torch.randint(1000, (num_videos, )),
            torch.randn(num_videos, F, length))


def test_starts_near_the_prior():
    logits, hidden = ConvDenoiser(C, F, prior=.1)(*inputs())
    assert logits.shape == (2, C, 40) and hidden.shape == (2, 64, 40)
    assert logits.sigmoid().median().item() == pytest.approx(.1, abs=.05)


def test_padding_is_not_seen():
    denoiser = build()
    x, t, condition = inputs()
    short = (torch.arange(25) < 25).expand(2, 1, 25)
    long = (torch.arange(40) < 25).expand(2, 1, 40)
    expected = denoiser(x[..., :25], t, condition[..., :25], short)
    for found, wanted in zip(denoiser(x, t, condition, long), expected):
        torch.testing.assert_close(found[..., :25], wanted)
        assert (found[..., 25:] == 0).all()


def test_receptive_field():
    denoiser = build(num_layers=2, kernel_size=5)
    x, t, condition = inputs(1)
    logits = denoiser(x, t, condition)[0]
    x[..., 20] += 5
    seen = (denoiser(x, t, condition)[0] - logits).abs().sum((0, 1)) > 0
    assert seen.nonzero().flatten().tolist() == list(range(16, 25))


def test_mask_timestep_and_condition_matter():
    denoiser = build()
    x, t, condition = inputs()
    logits = denoiser(x, t, condition)[0]
    for other in ((x + 1, t, condition), (x, t + 1, condition),
                  (x, t, condition + 1)):
        assert not torch.allclose(denoiser(*other)[0], logits)


def test_prepared_once_is_prepared_every_time():
    denoiser = build()
    x, t, condition = inputs()
    prepared = denoiser(x, denoiser.embed(t), denoiser.project(condition))
    for found, wanted in zip(prepared, denoiser(x, t, condition)):
        torch.testing.assert_close(found, wanted)
    kept = torch.rand(2, 1, 40) > .5
    torch.testing.assert_close(
        denoiser.project(condition * kept)[0],
        denoiser.project(condition)[0] * kept)


def test_refuses_what_does_not_fit():
    x, t, condition = inputs()
    with pytest.raises(ValueError, match='x must have shape'):
        build()(x[:, :2], t, condition)
    with pytest.raises(ValueError, match='condition must have shape'):
        build()(x, t, condition[:, :7])
    with pytest.raises(ValueError, match='kernel_size=4'):
        ConvDenoiser(C, F, kernel_size=4)
    with pytest.raises(ValueError, match='channels=7'):
        ConvDenoiser(C, F, channels=7)
    with pytest.raises(ValueError, match='prior must lie'):
        ConvDenoiser(C, F, prior=0.)
