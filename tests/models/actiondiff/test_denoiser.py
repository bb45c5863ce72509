"""The denoiser: what it sees, what it does not, what it refuses."""
from __future__ import annotations

import pytest
import torch

from mmaction_actiondiff.models import ConvDenoiser

C, F = 3, 8


def build(**kwargs):
    return ConvDenoiser(C, F, **{'channels': 16, **kwargs}).eval()


def inputs(num_videos=2, length=40):
    return (torch.randn(num_videos, C,
                        length), torch.randint(1000, (num_videos, )),
            torch.randn(num_videos, F, length),
            torch.ones(num_videos, 1, length, dtype=torch.bool))


def test_starts_near_the_prior():
    denoiser = ConvDenoiser(C, F)
    logits, hidden = denoiser(*inputs())
    assert logits.shape == (2, C, 40) and hidden.shape == (2, 128, 40)
    assert logits.sigmoid().median().item() == pytest.approx(.02, abs=.01)
    assert denoiser.state_dict().keys() == dict(
        denoiser.named_parameters()).keys()


def test_padding_is_not_seen():
    denoiser = build()
    x, t, condition, valid = inputs()
    expected = denoiser(x[..., :25], t, condition[..., :25], valid[..., :25])
    valid = torch.arange(40).expand(2, 1, 40) < 25
    for found, wanted in zip(denoiser(x, t, condition, valid), expected):
        torch.testing.assert_close(found[..., :25], wanted)
        assert (found[..., 25:] == 0).all()


@pytest.mark.parametrize('num_layers, kernel_size, reach',
                         [(2, 5, 4), (3, 5, 6), (1, 3, 1)])
def test_receptive_field(num_layers, kernel_size, reach):
    denoiser = build(num_layers=num_layers, kernel_size=kernel_size)
    x, t, condition, valid = inputs(1)
    logits = denoiser(x, t, condition, valid)[0]
    x[..., 20] += 5
    changed = denoiser(x, t, condition, valid)[0] - logits
    seen = changed.abs().sum((0, 1)).nonzero().flatten().tolist()
    assert seen == list(range(20 - reach, 21 + reach))


def test_mask_timestep_and_condition_matter():
    denoiser = build()
    x, t, condition, valid = inputs()
    logits = denoiser(x, t, condition, valid)[0]
    for other in ((x + 1, t, condition), (x, t + 1, condition),
                  (x, t, condition + 1)):
        assert not torch.allclose(denoiser(*other, valid)[0], logits)


def test_refused():
    with pytest.raises(ValueError, match='kernel_size=4'):
        ConvDenoiser(C, F, kernel_size=4)
    with pytest.raises(ValueError, match='channels=7'):
        ConvDenoiser(C, F, channels=7)
