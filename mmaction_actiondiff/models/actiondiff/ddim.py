# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""The noise schedule: DDIM with the cosine schedule, in diffusers' words.

Sources: J. Song et al., "Denoising Diffusion Implicit Models" (DDIM), ICLR
2021; A. Nichol and P. Dhariwal, "Improved Denoising Diffusion Probabilistic
Models", ICML 2021 (schedule). ``alpha_bar`` is the cumulative product that
DDIM writes as alpha. Dimension letters: N videos, S inference steps.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
from mmaction.registry import TASK_UTILS
from torch import Tensor


class SchedulerOutput(NamedTuple):
    """``prev_sample`` is x at the previous timestep, ``pred_original_sample``
    the clean sample that the step believes in; shaped like the sample."""

    prev_sample: Tensor
    pred_original_sample: Tensor


def cosine_alphas_cumprod(num_train_timesteps: int) -> Tensor:
    """``alpha_bar`` of the cosine schedule, (num_train_timesteps,) float64.

    ``f(u) = cos^2((u + 0.008) / 1.008 * pi / 2)`` with u = t / T, and
    ``beta_t = min(1 - f_{t+1} / f_t, 0.999)`` (Nichol and Dhariwal, eq. 17).
    """
    u = torch.arange(num_train_timesteps + 1, dtype=torch.float64)
    f = ((u / num_train_timesteps + 0.008) / 1.008 * torch.pi / 2).cos()**2
    return (f[1:] / f[:-1]).clamp(min=1 - 0.999).cumprod(0)


def add_noise(alphas_cumprod: Tensor, original_samples: Tensor, noise: Tensor,
              timesteps: Tensor) -> Tensor:
    """``sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise``.

    Args:
        alphas_cumprod (Tensor): Any schedule, on the samples' device.
        original_samples (Tensor): x_0 (N, ...).
        noise (Tensor): Standard normal, like ``original_samples``.
        timesteps (Tensor): (N,) long.

    Returns:
        Tensor: x_t, like ``original_samples``.
    """
    alpha_bar = alphas_cumprod[timesteps].view(
        -1, *[1] * (original_samples.dim() - 1))
    return alpha_bar.sqrt() * original_samples + (1 - alpha_bar).sqrt() * noise


@TASK_UTILS.register_module()
class ActionDiffDDIM:
    """Deterministic sampling (eta = 0) with a network that predicts x_0.

    It is not a module: a trained denoiser can be sampled with any scheduler
    and any number of steps. The coefficients of a step are plain numbers; a
    step never waits for a GPU.

    Args:
        num_train_timesteps (int): T. Defaults to 1000.
        clip_sample_range (float): The predicted x_0 is clipped to plus or
            minus this. Defaults to 1.0.

    Attributes:
        alphas_cumprod (Tensor): alpha_bar (T,), float32.
        timesteps (Tensor): Of the inference, descending (S,), long.
    """

    prediction_type = 'sample'

    def __init__(self,
                 num_train_timesteps: int = 1000,
                 clip_sample_range: float = 1.0) -> None:
        self.num_train_timesteps = num_train_timesteps
        self.clip_sample_range = clip_sample_range
        alphas_cumprod = cosine_alphas_cumprod(num_train_timesteps)
        self.alphas_cumprod = alphas_cumprod.float()
        # With t = -1 for the clean sample.
        self._alpha_bar = dict(
            enumerate([1., *alphas_cumprod.tolist()], start=-1))
        self.set_timesteps(num_train_timesteps)

    def set_timesteps(self, num_inference_steps: int) -> None:
        """Choose S timesteps, 'trailing': from T - 1 down, T / S apart.

        Raises:
            ValueError: When S is not between 1 and T.
        """
        total = self.num_train_timesteps
        if not 1 <= num_inference_steps <= total:
            raise ValueError('num_inference_steps must lie in [1, '
                             f'{total}], got {num_inference_steps}')
        left = torch.arange(num_inference_steps, 0, -1, dtype=torch.float64)
        steps = (left * total / num_inference_steps).round().long() - 1
        self.timesteps = steps
        self._previous = dict(zip(steps.tolist(), [*steps.tolist()[1:], -1]))

    def step(self, model_output: Tensor, timestep: int | Tensor,
             sample: Tensor) -> SchedulerOutput:
        """From x_t to x at the previous timestep of the schedule.

        DDIM eq. 12 with sigma = 0; the noise direction belongs to the
        *clipped* x_0.

        Args:
            model_output (Tensor): The network's x_0.
            timestep (int | Tensor): t, one of ``timesteps``.
            sample (Tensor): x_t.

        Raises:
            ValueError: When ``timestep`` is not in the schedule.
        """
        t = int(timestep)
        if t not in self._previous:
            raise ValueError(
                f'timestep {t} is not in the schedule of '
                f'{len(self.timesteps)} steps, {self.timesteps.tolist()}; '
                'call set_timesteps first')
        alpha_bar = self._alpha_bar[t]
        alpha_bar_prev = self._alpha_bar[self._previous[t]]
        x_0 = model_output.clamp(-self.clip_sample_range,
                                 self.clip_sample_range)
        # 1 - alpha_bar is at least 4e-5, at t = 0 of 1000
        epsilon = (sample - alpha_bar**0.5 * x_0) / (1 - alpha_bar)**0.5
        return SchedulerOutput(
            alpha_bar_prev**0.5 * x_0 + (1 - alpha_bar_prev)**0.5 * epsilon,
            x_0)
