"""DDIM and its schedule."""
from __future__ import annotations

import math

import pytest
import torch

from mmaction_actiondiff.models.actiondiff.ddim import (ActionDiffDDIM,
                                                        add_noise)


def run(scheduler, sample, predict, num_inference_steps):
    """Unroll the loop with ``predict(x_t, t)`` for a network."""
    steps = scheduler.timesteps(num_inference_steps)
    for t, previous in zip(steps, [*steps[1:], -1]):
        sample = scheduler.step(predict(sample, t), t, previous, sample)
    return sample


def test_cosine_schedule_by_hand():
    alphas_cumprod = ActionDiffDDIM(1000).alphas_cumprod
    half_turn = math.pi / 2 / 1.008
    first = (math.cos(0.009 * half_turn) / math.cos(0.008 * half_turn))**2
    assert alphas_cumprod.dtype == torch.float32
    assert float(alphas_cumprod[0]) == pytest.approx(first, abs=1e-7)
    middle = (math.cos(0.508 * half_turn) / math.cos(0.008 * half_turn))**2
    assert float(alphas_cumprod[499]) == pytest.approx(middle, abs=1e-6)
    # The last beta is cut at 0.999.
    assert float(alphas_cumprod[-1] / alphas_cumprod[-2]) == pytest.approx(
        0.001, rel=1e-3)


@pytest.mark.parametrize('steps, expected',
                         [(1, [999]), (2, [999, 499]), (3, [999, 666, 332]),
                          (8, [999, 874, 749, 624, 499, 374, 249, 124])])
def test_trailing_timesteps(steps, expected):
    assert ActionDiffDDIM(1000).timesteps(steps) == expected


def test_every_number_of_steps_is_a_schedule():
    scheduler = ActionDiffDDIM(100)
    for steps in range(1, 101):
        timesteps = scheduler.timesteps(steps)
        assert len(timesteps) == len(set(timesteps)) == steps
        assert timesteps[0] == 99 and timesteps[-1] >= 0
        assert timesteps == sorted(timesteps, reverse=True)


def test_each_sample_has_its_own_timestep():
    table = ActionDiffDDIM().alphas_cumprod
    x_0, noise = torch.randn(2, 3, 4, 5)
    both = add_noise(table, x_0, noise, torch.tensor([5, 900, 30]))
    alone = add_noise(table, x_0[1:2], noise[1:2], torch.tensor([900]))
    torch.testing.assert_close(both[1:2], alone)


@pytest.mark.parametrize('steps', [1, 2, 7, 8, 50])
def test_oracle_recovers_the_clean_sample(steps):
    x_0 = torch.rand(2, 3, 11) * 2 - 1
    found = run(ActionDiffDDIM(), torch.randn(2, 3, 11), lambda x, t: x_0,
                steps)
    torch.testing.assert_close(found, x_0, atol=1e-5, rtol=0)


@pytest.mark.parametrize('steps', [2, 7, 25])
def test_ddim_stays_on_the_straight_path(steps):
    """With the true x_0, every x_t keeps the same noise."""
    scheduler = ActionDiffDDIM()
    table = scheduler.alphas_cumprod
    x_0, noise = torch.rand(2, 1, 4, 9) * 2 - 1
    timesteps = scheduler.timesteps(steps)
    x_t = add_noise(table, x_0, noise, torch.tensor(timesteps[:1]))
    for t, previous in zip(timesteps, timesteps[1:]):
        x_t = scheduler.step(x_0, t, previous, x_t)
        expected = add_noise(table, x_0, noise, torch.tensor([previous]))
        torch.testing.assert_close(x_t, expected, atol=1e-5, rtol=0)


def test_golden_loop():
    """A fixed network on a fixed sample; the numbers guard refactoring."""
    sample = torch.linspace(-2, 2, 60).view(1, 3, 20)
    found = run(ActionDiffDDIM(), sample, lambda x, t: torch.sin(3 * x) *
                (int(t) + 1) / 1000, 10)
    total = float(found.abs().sum()), float((found**2).sum())
    assert total == pytest.approx((5.367309, 0.4857255), rel=1e-4)


def test_errors_name_the_value():
    scheduler = ActionDiffDDIM(100)
    for steps in (0, 101):
        with pytest.raises(ValueError, match=rf'\[1, 100\], got {steps}'):
            scheduler.timesteps(steps)
