"""Our sampler against an independent one."""
from __future__ import annotations

import pytest
import torch

from mmaction_actiondiff.models.actiondiff.ddim import (ActionDiffDDIM,
                                                        add_noise)

diffusers = pytest.importorskip('diffusers')


def theirs():
    """Their DDIM with our schedule."""
    return diffusers.DDIMScheduler(
        beta_schedule='squaredcos_cap_v2',
        prediction_type='sample',
        timestep_spacing='trailing',
        set_alpha_to_one=True)


def predict(sample, t):
    """A network that is neither linear nor constant in time."""
    return torch.tanh(2 * sample) * (0.4 + 0.6 * t / 1000)


def test_schedule():
    torch.testing.assert_close(
        ActionDiffDDIM().alphas_cumprod,
        theirs().alphas_cumprod,
        atol=3e-7,
        rtol=0)


@pytest.mark.parametrize('steps', [1, 4, 8, 25, 50, 100])
def test_samples(steps):
    ours = other = torch.randn(2, 4, 30)
    sampler, reference = ActionDiffDDIM(), theirs()
    reference.set_timesteps(steps)
    timesteps = sampler.timesteps(steps)
    assert timesteps == reference.timesteps.tolist()
    for t, previous in zip(timesteps, [*timesteps[1:], -1]):
        ours = sampler.step(predict(ours, t), t, previous, ours)
        other = reference.step(predict(other, t), t, other).prev_sample
    torch.testing.assert_close(ours, other, atol=8e-5, rtol=0)


def test_noising():
    x_0, noise = torch.randn(2, 3, 4, 5)
    timesteps = torch.tensor([0, 400, 999])
    torch.testing.assert_close(
        add_noise(ActionDiffDDIM().alphas_cumprod, x_0, noise, timesteps),
        theirs().add_noise(x_0, noise, timesteps),
        atol=1e-4,  # they take 1 - alpha_bar from a float32 product
        rtol=0)
