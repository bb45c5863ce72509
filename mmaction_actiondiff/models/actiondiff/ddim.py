# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""The noise schedule and the sampler: DDIM with the cosine schedule.

Sources: J. Song et al., "Denoising Diffusion Implicit Models" (DDIM), ICLR
2021; A. Nichol and P. Dhariwal, "Improved Denoising Diffusion Probabilistic
Models", ICML 2021 (schedule). ``alpha_bar`` is the cumulative product that
DDIM writes as alpha.
"""
from __future__ import annotations

import torch
from torch import Tensor


def cosine_alphas_cumprod(num_train_timesteps: int) -> Tensor:
    """``alpha_bar`` of the cosine schedule, (num_train_timesteps,) float64.

    ``f(u) = cos^2((u + 0.008) / 1.008 * pi / 2)`` with u = t / T, and
    ``beta_t = min(1 - f_{t+1} / f_t, 0.999)`` (Nichol and Dhariwal, eq. 17).
    """
    u = torch.arange(num_train_timesteps + 1, dtype=torch.float64)
    f = ((u / num_train_timesteps + 0.008) / 1.008 * torch.pi / 2).cos()**2
    return (f[1:] / f[:-1]).clamp(min=1 - 0.999).cumprod(0)


def add_noise(alphas_cumprod: Tensor, x_0: Tensor, noise: Tensor,
              timesteps: Tensor) -> Tensor:
    """``sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise``, (N, C, T); the
    timesteps are (N,) long, the noise is standard normal."""
    alpha_bar = alphas_cumprod[timesteps].view(-1, 1, 1)
    return alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * noise


class ActionDiffDDIM:
    """Deterministic sampling (eta = 0) with a network that predicts x_0.

    Args:
        num_train_timesteps (int): T. Defaults to 1000.

    Attributes:
        alphas_cumprod (Tensor): alpha_bar (T,), float32.
    """

    def __init__(self, num_train_timesteps: int = 1000) -> None:
        alphas_cumprod = cosine_alphas_cumprod(num_train_timesteps)
        self.alphas_cumprod = alphas_cumprod.float()
        # Plain numbers, so that a step never waits for a GPU. The last one
        # belongs to t = -1, the clean sample.
        self._alpha_bar = [*alphas_cumprod.tolist(), 1.]

    def timesteps(self, num_inference_steps: int) -> list[int]:
        """S timesteps, 'trailing': from T - 1 down, T / S apart.

        Raises:
            ValueError: When S is not between 1 and T.
        """
        total = len(self.alphas_cumprod)
        if not 1 <= num_inference_steps <= total:
            raise ValueError('num_inference_steps must lie in [1, '
                             f'{total}], got {num_inference_steps}')
        return [
            round(left * total / num_inference_steps) - 1
            for left in range(num_inference_steps, 0, -1)
        ]

    def step(self, x_0: Tensor, t: int, previous: int, x_t: Tensor) -> Tensor:
        """From x_t to x at the timestep ``previous``, -1 for the clean sample
        (DDIM eq. 12 with sigma = 0); ``x_0`` is what the network says."""
        alpha_bar, alpha_bar_prev = (self._alpha_bar[t],
                                     self._alpha_bar[previous])
        # 1 - alpha_bar is at least 4e-5, at t = 0 of 1000
        epsilon = (x_t - alpha_bar**0.5 * x_0) / (1 - alpha_bar)**0.5
        return alpha_bar_prev**0.5 * x_0 + (1 - alpha_bar_prev)**0.5 * epsilon
