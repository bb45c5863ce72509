"""DDIM with the cosine schedule, in the vocabulary of diffusers.

Sources: J. Song et al., "Denoising Diffusion Implicit Models" (DDIM), ICLR
2021; A. Nichol and P. Dhariwal, "Improved Denoising Diffusion Probabilistic
Models", ICML 2021 (schedule). ``alpha_bar`` is the cumulative product that
DDIM writes as alpha. Dimension letters: N videos, S inference steps.
"""
from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from mmaction.registry import TASK_UTILS
from torch import Tensor

PREDICTION_TYPES = ('sample', 'epsilon', 'v_prediction')
TINY = 1e-5  # floor of every divisor


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
class DDIMScheduler:
    """Deterministic (eta = 0) to ancestral (eta = 1) sampling.

    It is not a module: nothing of it lands in a checkpoint, so that a trained
    denoiser can be sampled with any scheduler and any number of steps. The
    coefficients of a step are plain numbers; a step never waits for a GPU.

    Args:
        num_train_timesteps (int): T. Defaults to 1000.
        prediction_type (str): What the network predicts: 'sample' (x_0),
            'epsilon' (the noise) or 'v_prediction'. Defaults to 'sample'.
        clip_sample_range (float, optional): The predicted x_0 is clipped to
            plus or minus this. Defaults to 1.0; None does not clip.

    Attributes:
        alphas_cumprod (Tensor): alpha_bar (T,), float32.
        timesteps (Tensor): Of the inference, descending (S,), long.

    Raises:
        ValueError: For an unknown ``prediction_type``.
    """

    def __init__(self,
                 num_train_timesteps: int = 1000,
                 prediction_type: str = 'sample',
                 clip_sample_range: float | None = 1.0) -> None:
        if prediction_type not in PREDICTION_TYPES:
            raise ValueError(f'prediction_type must be one of '
                             f'{PREDICTION_TYPES}, got {prediction_type!r}')
        self.num_train_timesteps = num_train_timesteps
        self.prediction_type = prediction_type
        self.clip_sample_range = clip_sample_range
        alphas_cumprod = cosine_alphas_cumprod(num_train_timesteps)
        self.alphas_cumprod = alphas_cumprod.float()
        # With t = -1 for the clean sample.
        self._alpha_bar = dict(
            enumerate([1., *alphas_cumprod.tolist()], start=-1))
        self.set_timesteps(num_train_timesteps)

    def __deepcopy__(self, memo: dict) -> DDIMScheduler:
        """A copy that shares the tables: nothing changes them in place."""
        return copy.copy(self)

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

    def step(self,
             model_output: Tensor,
             timestep: int | Tensor,
             sample: Tensor,
             eta: float = 0.,
             generator: torch.Generator | None = None,
             variance_noise: Tensor | None = None) -> SchedulerOutput:
        """From x_t to x at the previous timestep of the schedule.

        DDIM eq. 12 and 16; the noise direction belongs to the *clipped* x_0.

        Args:
            model_output (Tensor): What the network predicts at x_t.
            timestep (int | Tensor): t, one of ``timesteps``.
            sample (Tensor): x_t.
            eta (float): Stochasticity. Defaults to 0.
            generator (torch.Generator, optional): Draws the noise of
                ``eta > 0``, on its own device.
            variance_noise (Tensor, optional): That noise, drawn elsewhere.

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
        signal, noise = alpha_bar**0.5, (1 - alpha_bar)**0.5

        if self.prediction_type == 'sample':
            x_0 = model_output
        elif self.prediction_type == 'epsilon':
            x_0 = (sample - noise * model_output) / max(signal, TINY)
        else:
            x_0 = signal * sample - noise * model_output
        if self.clip_sample_range is not None:
            x_0 = x_0.clamp(-self.clip_sample_range, self.clip_sample_range)
        epsilon = (sample - signal * x_0) / max(noise, TINY)

        sigma = eta * ((1 - alpha_bar_prev) / max(noise**2, TINY) *
                       (1 - alpha_bar / alpha_bar_prev))**0.5
        prev = (
            alpha_bar_prev**0.5 * x_0 +
            (1 - alpha_bar_prev - sigma**2)**0.5 * epsilon)
        if sigma > 0:
            if variance_noise is None:
                variance_noise = torch.randn(
                    sample.shape,
                    generator=generator,
                    device=generator.device if generator else sample.device)
            prev = prev + sigma * variance_noise.to(sample)
        return SchedulerOutput(prev, x_0)

    def add_noise(self, original_samples: Tensor, noise: Tensor,
                  timesteps: Tensor) -> Tensor:
        """See :func:`add_noise`; the table moves to the samples' device."""
        self.alphas_cumprod = self.alphas_cumprod.to(original_samples.device)
        return add_noise(self.alphas_cumprod, original_samples, noise,
                         timesteps)
