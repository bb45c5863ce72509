"""The diffusion branch: noise the pseudo-mask, learn to remove the noise.

Training sees one random step of the process; sampling starts from noise and
removes it in a few steps, guided by the condition. Dimension letters:
N videos, C classes, F channels, T snippets, S inference steps, R samples.
"""
from __future__ import annotations

import copy
import inspect
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple, Union

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS, TASK_UTILS
from torch import Tensor, nn

from .schedulers import add_noise

# (N, condition_channels, T), or what ``DiffusionHead.project`` made of it.
Condition = Union[Tensor, tuple[Tensor, ...]]


class DenoisedOutput(NamedTuple):
    """What the diffusion branch found.

    Attributes:
        logits (Tensor): Of the clean mask (N, C, T), zero where padded.
        prob (Tensor): The same in [0, 1], zero where padded.
        hidden (Tensor): The latent action space (N, F, T), zero where padded.
        timesteps (Tensor, optional): Of the training step, (N,) long.
        snr_weight (Tensor, optional): Loss weight of these timesteps, (N,) in
            [0, 1].
        sample_std (Tensor, optional): Standard deviation of ``prob`` over
            the R samples (N, C, T), where R > 1.
    """

    logits: Tensor
    prob: Tensor
    hidden: Tensor
    timesteps: Tensor | None = None
    snr_weight: Tensor | None = None
    sample_std: Tensor | None = None


def video_generators(video_names: Sequence[str],
                     seed: int = 0) -> list[torch.Generator]:
    """One CPU generator per video, seeded by the CRC-32 of seed and name.

    A video's noise then depends neither on its batch nor on the device.
    (32 bits: torch's CPU generator ignores the upper half of a seed.)
    """
    return [
        torch.Generator().manual_seed(zlib.crc32(f'{seed}/{name}'.encode()))
        for name in video_names
    ]


@MODELS.register_module()
class DiffusionHead(nn.Module):
    """Scheduler, denoiser and the two loops around them.

    ``x_0 = (2 mask - 1) snr_scale``; the denoiser sees x_t clipped to
    ``[-snr_scale, snr_scale]`` and divided by it, and answers with logits of
    the clean mask.

    Args:
        num_classes (int): C.
        condition_channels (int): Of the condition. Defaults to 128.
        denoiser (dict, optional): Config; gets ``num_classes`` and
            ``condition_channels``. Where it has a ``project`` and an
            ``embed``, they are applied once to the condition and to the
            timesteps of a sampling, instead of in every step. Defaults to
            ``TemporalDenoiser``.
        scheduler (dict, optional): Config in ``TASK_UTILS``, or a scheduler
            of diffusers for a VP process, by its dotted path, e.g.
            ``diffusers.DPMSolverMultistepScheduler``. What the config leaves
            open is filled in to fit the training: cosine schedule,
            prediction of x_0, trailing timesteps, clipping at ``snr_scale``.
            Defaults to ``DDIMScheduler``.
        snr_scale (float): s > 0; the smaller, the sooner noise covers the
            mask. Defaults to 0.5 (DiffAct).
        num_inference_steps (int): S. Defaults to 8.
        step_cfg (dict, optional): Further arguments of every
            ``scheduler.step``, e.g. ``dict(eta=1.0)``. Defaults to none.
        num_samples (int): R; the probabilities of R samples are averaged.
            Defaults to 1.
        guidance (float): w of classifier-free guidance; logits become
            ``(1 + w) f(condition) - w f(0)``, legal because training also
            hides the whole condition. Defaults to 0.
        x_0_activation (str): 'sigmoid', each class by itself, or 'softmax'
            over the classes and a background whose logit is 0. Defaults to
            'sigmoid'.
        min_snr_gamma (float, optional): gamma of the loss weight
            ``min(snr_t, gamma) / gamma`` (T. Hang et al., ICCV 2023); None
            weighs all timesteps alike. Defaults to 5.

    Raises:
        ValueError: For values out of range, or a scheduler that does not
            predict x_0 of a VP process.
    """

    def __init__(self,
                 num_classes: int,
                 condition_channels: int = 128,
                 denoiser: dict | None = None,
                 scheduler: dict | None = None,
                 snr_scale: float = 0.5,
                 num_inference_steps: int = 8,
                 step_cfg: dict | None = None,
                 num_samples: int = 1,
                 guidance: float = 0.,
                 x_0_activation: str = 'sigmoid',
                 min_snr_gamma: float | None = 5.) -> None:
        super().__init__()
        for name, value in (('snr_scale', snr_scale), ('min_snr_gamma',
                                                       min_snr_gamma)):
            if value is not None and value <= 0:
                raise ValueError(f'{name} must be > 0, got {value}')
        if num_samples < 1:
            raise ValueError(f'num_samples must be >= 1, got {num_samples}')
        if x_0_activation not in ('sigmoid', 'softmax'):
            raise ValueError("x_0_activation must be 'sigmoid' or 'softmax', "
                             f'got {x_0_activation!r}')
        self.num_classes = num_classes
        self.denoiser = MODELS.build({
            'type': 'TemporalDenoiser',
            'num_classes': num_classes,
            'condition_channels': condition_channels,
            **(denoiser or {})
        })
        self.snr_scale = snr_scale
        self.scheduler = build_scheduler(scheduler or {}, snr_scale)
        self.num_inference_steps = num_inference_steps
        self.step_cfg = step_cfg or {}
        self.num_samples = num_samples
        self.guidance = guidance
        self.x_0_activation = x_0_activation
        self.min_snr_gamma = min_snr_gamma
        # A plain attribute: a checkpoint holds learned tensors only.
        self.alphas_cumprod = self.scheduler.alphas_cumprod.float()

    @property
    def hidden_channels(self) -> int:
        """F of the latent action space."""
        return self.denoiser.channels

    def forward(self,
                mask: Tensor,
                condition: Condition,
                valid: Tensor | None = None,
                weight: Tensor | None = None,
                generator: torch.Generator | None = None) -> DenoisedOutput:
        """One training step: a random timestep for each video.

        Args:
            mask (Tensor): Pseudo-mask (N, C, T) in {0, 1}.
            condition (Tensor | tuple[Tensor, ...]): (N, condition_channels,
                T), or what :meth:`project` has made of it.
            valid (Tensor, optional): (N, 1, T) bool. Defaults to all.
            weight (Tensor, optional): Trust in the mask (N, C, T). Where it
                is 0 within a trusted class, x_0 is 0: neither action nor
                background. A class without any trust keeps its mask (absent
                classes are background, here as in sampling).
            generator (torch.Generator, optional): Draws timesteps and noise
                on its own device. Defaults to torch's own.

        Raises:
            ValueError: When the shapes do not fit.
        """
        self.check(mask, condition)
        device = generator.device if generator else mask.device
        table = self.process(mask.device)
        timesteps = torch.randint(
            len(table), (len(mask), ), generator=generator,
            device=device).to(mask.device)
        noise = torch.randn(
            mask.shape, generator=generator, device=device).to(mask.device)
        x_0 = self.to_x_0(mask.float(), weight)
        x_t = add_noise(table, x_0, noise, timesteps)
        logits, hidden = self.denoise(x_t, timesteps, condition, valid)
        return DenoisedOutput(logits, self.to_prob(logits, valid), hidden,
                              timesteps, self.snr_weight(timesteps))

    def generate(self,
                 condition: Condition,
                 valid: Tensor | None = None,
                 generator: torch.Generator | None = None) -> DenoisedOutput:
        """One step from pure noise, with gradient: what training fuses.

        :meth:`forward` sees the noised mask, which holds rows for the video's
        labels only: whatever is fused from it gives the labels away, and no
        classification loss teaches anything.

        Args:
            condition (Tensor | tuple[Tensor, ...]): (N, condition_channels,
                T), or what :meth:`project` has made of it.
            valid (Tensor, optional): (N, 1, T) bool. Defaults to all.
            generator (torch.Generator, optional): As in :meth:`forward`.
        """
        shape, device = self.mask_shape(condition)
        x_t = torch.randn(
            shape,
            generator=generator,
            device=generator.device if generator else device).to(device)
        timesteps = torch.full((len(x_t), ),
                               len(self.alphas_cumprod) - 1,
                               device=device)
        logits, hidden = self.denoise(x_t, timesteps, condition, valid)
        return DenoisedOutput(logits, self.to_prob(logits, valid), hidden,
                              timesteps)

    @torch.no_grad()
    def sample(self,
               condition: Tensor,
               valid: Tensor | None = None,
               generators: Sequence[torch.Generator] | None = None,
               num_inference_steps: int | None = None,
               mask: Tensor | None = None,
               strength: float = 1.) -> DenoisedOutput:
        """Remove the noise step by step.

        Args:
            condition (Tensor): (N, condition_channels, T).
            valid (Tensor, optional): (N, 1, T) bool, padding at the end.
                Defaults to all.
            generators (Sequence[torch.Generator], optional): One CPU
                generator per video (:func:`video_generators`). Noise is drawn
                for each video at its own length, so that it depends neither
                on the batch nor on the padding. Defaults to torch's own.
            num_inference_steps (int, optional): Instead of the head's S.
            mask (Tensor, optional): (N, C, T) in [0, 1], where to start from
                with ``strength < 1``.
            strength (float): In (0, 1]; the process starts at this share of
                the schedule, from the noised mask (SDEdit, C. Meng et al.,
                ICLR 2022). Defaults to 1, pure noise.

        Returns:
            DenoisedOutput: ``prob`` is the denoised mask.

        Raises:
            ValueError: When arguments do not fit each other.
        """
        num_videos, _, length = condition.shape
        if generators is not None and len(generators) != num_videos:
            raise ValueError(f'expected one generator for each of the '
                             f'{num_videos} videos, got {len(generators)}')
        if not 0 < strength <= 1:
            raise ValueError(f'strength must lie in (0, 1], got {strength}')
        if strength < 1 and mask is None:
            raise ValueError(f'strength={strength} starts from a mask: '
                             'pass mask, or strength=1')
        if valid is None:
            valid = condition.new_ones(num_videos, 1, length, dtype=torch.bool)
        if num_inference_steps is None:
            num_inference_steps = self.num_inference_steps
        self.process(condition.device)  # kept, so not of the inference mode
        with torch.inference_mode():  # a tenth faster than without gradient
            found = self._remove_noise(condition, valid, generators
                                       or (None, ) * num_videos,
                                       num_inference_steps, mask, strength)
        # Copies are ordinary tensors again.
        return DenoisedOutput._make(x if x is None else x.clone()
                                    for x in found)

    def _remove_noise(self, condition: Tensor, valid: Tensor,
                      generators: Sequence[torch.Generator | None],
                      num_inference_steps: int, mask: Tensor | None,
                      strength: float) -> DenoisedOutput:
        """:meth:`sample` with everything checked."""
        num_videos, _, length = condition.shape
        lengths = valid[:, 0].sum(-1).tolist()

        def draw() -> Tensor:
            """Standard normal (R N, C, T), zero where padded."""
            noise = torch.zeros(self.num_samples, num_videos, self.num_classes,
                                length)
            for i, (n, g) in enumerate(zip(lengths, generators)):
                noise[:, i, :, :n] = torch.randn(
                    self.num_samples, self.num_classes, n, generator=g)
            return noise.flatten(0, 1).to(condition.device)

        # Multistep samplers remember: a copy keeps calls independent.
        scheduler = copy.deepcopy(self.scheduler)
        scheduler.set_timesteps(num_inference_steps)
        timesteps = scheduler.timesteps
        timesteps = timesteps[-max(1, round(len(timesteps) * strength)):]
        condition = condition.repeat(self.num_samples, 1, 1)
        many_valid = valid.repeat(self.num_samples, 1, 1)

        # They stay the same from step to step.
        projected = self.project(condition)
        free = (
            self.project(torch.zeros_like(condition))
            if self.guidance else None)
        embedded = torch.tensor([int(t)
                                 for t in timesteps]).to(condition.device)
        if hasattr(self.denoiser, 'embed'):
            embedded = self.denoiser.embed(embedded)
        scope = (
            self.denoiser.scope(many_valid)
            if hasattr(self.denoiser, 'scope') else many_valid)

        x = draw()
        if mask is not None and strength < 1:
            self.check(mask, condition[:num_videos])
            x_0 = self.to_x_0(mask.float()).repeat(self.num_samples, 1, 1)
            start = x.new_full((len(x), ), int(timesteps[0]), dtype=torch.long)
            x = add_noise(self.process(x.device), x_0, x, start)
        parameters = inspect.signature(scheduler.step).parameters
        draws_noise = 'variance_noise' in parameters and (
            'eta' not in parameters or self.step_cfg.get('eta', 0) > 0)
        for i, (t, step) in enumerate(zip(timesteps, embedded), 1):
            logits, hidden = self.denoise(x, step.expand(len(x), *step.shape),
                                          projected, scope, free)
            if i == len(timesteps):  # the answer is the last x_0 itself
                break
            x_0 = self.to_x_0(self.to_prob(logits, many_valid))
            step_cfg: dict[str, Any] = dict(self.step_cfg)
            if draws_noise:
                step_cfg['variance_noise'] = draw()
            x = scheduler.step(x_0, t, x, **step_cfg).prev_sample

        prob = self.to_prob(logits, many_valid)
        if self.num_samples == 1:
            return DenoisedOutput(logits, prob, hidden)
        prob = prob.unflatten(0, (self.num_samples, num_videos))
        mean = prob.mean(0)
        return DenoisedOutput(
            self.to_logits(mean, valid),
            mean,
            hidden.unflatten(0, (self.num_samples, num_videos)).mean(0),
            sample_std=prob.std(0))

    def project(self, condition: Tensor) -> Condition:
        """What the denoiser needs of (N, condition_channels, T), computed
        once for several passes."""
        if hasattr(self.denoiser, 'project'):
            return self.denoiser.project(condition)
        return condition

    def denoise(self,
                x: Tensor,
                timesteps: Tensor,
                condition: Condition,
                valid: Tensor | tuple[Tensor, ...] | None,
                free: Condition | None = None) -> tuple[Tensor, Tensor]:
        """Run the network on x_t (N, C, T); float32 logits also under AMP.

        With ``free``, the hidden condition, it is guided away from that.
        """
        scaled = x.clamp(-self.snr_scale, self.snr_scale) / self.snr_scale
        logits, hidden = self.denoiser(scaled, timesteps, condition, valid)
        if free is not None:
            other, _ = self.denoiser(scaled, timesteps, free, valid)
            logits = logits + self.guidance * (logits - other)
        return logits.float(), hidden.float()

    def to_x_0(self, mask: Tensor, weight: Tensor | None = None) -> Tensor:
        """[0, 1] -> [-s, s], and 0 in the ignore band of ``weight``."""
        x_0 = (2 * mask - 1) * self.snr_scale
        if weight is None:
            return x_0
        trusted = weight > 0
        return x_0 * (trusted | ~trusted.any(-1, keepdim=True))

    def to_prob(self, logits: Tensor, valid: Tensor | None = None) -> Tensor:
        """Logits (N, C, T) -> [0, 1], zero where not valid."""
        if self.x_0_activation == 'sigmoid':
            prob = logits.sigmoid()
        else:
            prob = F.pad(logits, (0, 0, 0, 1)).softmax(1)[:, :-1]
        return prob if valid is None else prob * valid

    def to_logits(self, prob: Tensor, valid: Tensor) -> Tensor:
        """Inverse of :meth:`to_prob`, finite, zero where not valid."""
        rest = 1 - (
            prob if self.x_0_activation == 'sigmoid' else prob.sum(
                1, keepdim=True))
        return (prob.clamp(min=1e-6).log() -
                rest.clamp(min=1e-6).log()) * valid

    def snr_weight(self, timesteps: Tensor) -> Tensor:
        """Loss weight of each timestep: (N,) long -> (N,) in [0, 1]."""
        if self.min_snr_gamma is None:
            return torch.ones(len(timesteps), device=timesteps.device)
        alpha_bar = self.process(timesteps.device)[timesteps]
        snr = alpha_bar / (1 - alpha_bar)
        return snr.clamp(max=self.min_snr_gamma) / self.min_snr_gamma

    def process(self, device: torch.device) -> Tensor:
        """``alpha_bar`` of every training timestep, on the device."""
        self.alphas_cumprod = self.alphas_cumprod.to(device)
        return self.alphas_cumprod

    def mask_shape(
            self,
            condition: Condition) -> tuple[tuple[int, int, int], torch.device]:
        """(N, C, T) and the device that fit the condition."""
        share = condition if isinstance(condition, Tensor) else condition[0]
        return (len(share), self.num_classes, share.size(2)), share.device

    def check(self, mask: Tensor, condition: Condition) -> None:
        """Raise a ValueError when the shapes do not fit."""
        expected, _ = self.mask_shape(condition)
        if mask.shape != expected:
            raise ValueError(f'mask must have shape {expected} to fit the '
                             f'condition, got {tuple(mask.shape)}')


def build_scheduler(cfg: dict, snr_scale: float) -> Any:
    """Build a sampler for the process that the denoiser is trained with.

    Raises:
        ValueError: When the type is neither registered nor importable, or no
            sampler of a VP process that predicts x_0.
    """
    cfg = {'type': 'DDIMScheduler', **cfg}
    kind = cfg['type']
    if isinstance(kind, str):  # a dotted path is imported
        kind = TASK_UTILS.get(kind)
    if kind is None:
        raise ValueError(
            f"scheduler type {cfg['type']!r} is neither registered in "
            'mmaction.registry.TASK_UTILS nor importable; a type that starts '
            "with 'diffusers.' needs `pip install diffusers`")
    known = inspect.signature(kind).parameters
    process = dict(
        beta_schedule='squaredcos_cap_v2',
        prediction_type='sample',
        timestep_spacing='trailing',
        clip_sample_range=snr_scale)
    fitting = {k: v for k, v in process.items() if k in known}
    scheduler = TASK_UTILS.build({**fitting, **cfg})
    settings = getattr(scheduler, 'config', scheduler)
    predicts = getattr(settings, 'prediction_type', None)
    if predicts != 'sample' or not hasattr(scheduler, 'alphas_cumprod'):
        raise ValueError(
            f"scheduler {cfg['type']!r} must sample a variance preserving "
            "process with prediction_type='sample', got "
            f'prediction_type={predicts!r}')
    return scheduler
