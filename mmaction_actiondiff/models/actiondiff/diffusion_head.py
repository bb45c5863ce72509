# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""The diffusion branch: noise the pseudo-mask, learn to remove the noise.

Training sees one random step of the process; sampling starts from noise and
removes it in a few steps, guided by the condition.
"""
from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from .ddim import ActionDiffDDIM, add_noise
from .mask_generator import PseudoMask


class DenoisedOutput(NamedTuple):
    """What the diffusion branch found.

    Attributes:
        logits (Tensor): Of the clean mask (N, C, T), beside a background of
            logit 0; zero where padded.
        prob (Tensor): ``softmax`` over the classes and the background,
            without the latter, (N, C, T) in [0, 1], zero where padded.
        hidden (Tensor): The latent action space (N, F, T), zero where padded.
    """

    logits: Tensor
    prob: Tensor
    hidden: Tensor


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


class MaskHead(nn.Module):
    """What the diffusion and its control share: the denoiser's answers.

    A head has three passes: ``forward``, the training pass whose target is
    the mask; ``generate``, the training pass without a mask, whose output is
    fused; ``sample``, the pass of the test.

    Args:
        num_classes (int): C.
        condition_channels (int): Of the condition.
        denoiser (dict, optional): Config; gets both of the above. Defaults to
            ``ConvDenoiser``.
    """

    def __init__(self,
                 num_classes: int,
                 condition_channels: int,
                 denoiser: dict | None = None) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.denoiser = MODELS.build({
            'type': 'ConvDenoiser',
            'num_classes': num_classes,
            'condition_channels': condition_channels,
            **(denoiser or {})
        })

    def denoise(self, x: Tensor, timesteps: Tensor, condition: Tensor,
                valid: Tensor) -> DenoisedOutput:
        """Run the network on (N, C, T) in [-1, 1]; float32 also under AMP."""
        logits, hidden = self.denoiser(x, timesteps, condition, valid)
        logits = logits.float()
        prob = F.pad(logits, (0, 0, 0, 1)).softmax(1)[:, :-1] * valid
        return DenoisedOutput(logits, prob, hidden.float())

    def mask_shape(self, condition: Tensor) -> tuple[int, int, int]:
        """(N, C, T) that fits the condition."""
        return len(condition), self.num_classes, condition.size(2)


@MODELS.register_module()
class DiffusionHead(MaskHead):
    """Scheduler, denoiser and the two loops around them.

    ``x_0 = (2 mask - 1) snr_scale``; the denoiser sees x_t clipped to
    ``[-snr_scale, snr_scale]`` and divided by it, and answers with logits of
    the clean mask.

    Args:
        num_classes (int): C.
        condition_channels (int): Of the condition.
        denoiser (dict, optional): Config; gets both of the above. Defaults to
            ``ConvDenoiser``.
        snr_scale (float): s > 0; the smaller, the sooner noise covers the
            mask. Defaults to 0.5 (DiffAct).
        num_inference_steps (int): S. Defaults to 1: further steps make the
            masks sharper, on real data also where they are wrong.
        num_samples (int): R; the probabilities of R samples are averaged.
            Defaults to 4.

    Raises:
        ValueError: For values out of range.
    """

    alphas_cumprod: Tensor

    def __init__(self,
                 num_classes: int,
                 condition_channels: int,
                 denoiser: dict | None = None,
                 snr_scale: float = 0.5,
                 num_inference_steps: int = 1,
                 num_samples: int = 4) -> None:
        super().__init__(num_classes, condition_channels, denoiser)
        if snr_scale <= 0:
            raise ValueError(f'snr_scale must be > 0, got {snr_scale}')
        if num_samples < 1:
            raise ValueError(f'num_samples must be >= 1, got {num_samples}')
        self.snr_scale = snr_scale
        self.scheduler = ActionDiffDDIM()
        self.scheduler.timesteps(num_inference_steps)  # refuses too many
        self.num_inference_steps = num_inference_steps
        self.num_samples = num_samples
        # Not in the checkpoint: it holds learned tensors only.
        self.register_buffer(
            'alphas_cumprod', self.scheduler.alphas_cumprod, persistent=False)

    def forward(self, pseudo: PseudoMask, condition: Tensor,
                valid: Tensor) -> DenoisedOutput:
        """One training step: a random timestep for each video.

        Where the mask of a present class is not trusted, x_0 is 0: neither
        action nor background. Absent classes are background, here as in
        sampling.

        Args:
            pseudo (PseudoMask): Of the mask generator, (N, C, T).
            condition (Tensor): (N, condition_channels, T).
            valid (Tensor): (N, 1, T) bool.
        """
        mask = pseudo.mask
        timesteps = torch.randint(
            len(self.alphas_cumprod), (len(mask), ), device=mask.device)
        noise = torch.randn(mask.shape, device=mask.device)
        trusted = pseudo.weight > 0
        x_0 = self.to_x_0(mask.float()) * (
            trusted | ~trusted.any(-1, keepdim=True))
        x_t = add_noise(self.alphas_cumprod, x_0, noise, timesteps)
        return self.denoise(self.clip(x_t), timesteps, condition, valid)

    def generate(self,
                 condition: Tensor,
                 valid: Tensor,
                 noise: Tensor | None = None) -> DenoisedOutput:
        """One step from pure noise: what training fuses.

        :meth:`forward` sees the noised mask, which holds rows for the video's
        labels only: whatever is fused from it gives the labels away, and no
        classification loss teaches anything.

        Args:
            condition (Tensor): (N, condition_channels, T).
            valid (Tensor): (N, 1, T) bool.
            noise (Tensor, optional): Standard normal (N, C, T). Defaults to
                a draw of torch's own generator.
        """
        if noise is None:
            noise = torch.randn(
                self.mask_shape(condition), device=condition.device)
        last = torch.full((len(noise), ),
                          len(self.alphas_cumprod) - 1,
                          device=noise.device)
        return self.denoise(self.clip(noise), last, condition, valid)

    @torch.no_grad()
    def sample(self, condition: Tensor, valid: Tensor,
               generators: Sequence[torch.Generator]) -> DenoisedOutput:
        """Remove the noise step by step.

        Args:
            condition (Tensor): (N, condition_channels, T).
            valid (Tensor): (N, 1, T) bool, padding at the end.
            generators (Sequence[torch.Generator]): One CPU generator per
                video (:func:`video_generators`). Noise is drawn for each
                video at its own length, so that it depends neither on the
                batch nor on the padding.

        Returns:
            DenoisedOutput: Each the mean over the R samples.
        """
        noise = torch.zeros(self.num_samples, *self.mask_shape(condition))
        lengths = valid[:, 0].sum(-1).tolist()
        for i, (n, generator) in enumerate(zip(lengths, generators)):
            noise[:, i, :, :n] = torch.randn(
                self.num_samples, self.num_classes, n, generator=generator)
        x = noise.flatten(0, 1).to(condition.device)
        condition = condition.repeat(self.num_samples, 1, 1)
        valid = valid.repeat(self.num_samples, 1, 1)
        timesteps = self.scheduler.timesteps(self.num_inference_steps)
        for t, following in zip(timesteps, [*timesteps[1:], None]):
            steps = x.new_full((len(x), ), t, dtype=torch.long)
            denoised = self.denoise(self.clip(x), steps, condition, valid)
            if following is not None:
                x_0 = self.to_x_0(denoised.prob)
                x = self.scheduler.step(x_0, t, following, x)
        return DenoisedOutput._make(
            y.unflatten(0, (self.num_samples, -1)).mean(0) for y in denoised)

    def to_x_0(self, mask: Tensor) -> Tensor:
        """[0, 1] -> [-s, s]."""
        return (2 * mask - 1) * self.snr_scale

    def clip(self, x: Tensor) -> Tensor:
        """x_t as the denoiser sees it, in [-1, 1]."""
        return x.clamp(-self.snr_scale, self.snr_scale) / self.snr_scale


@MODELS.register_module()
class SelfTrainingHead(MaskHead):
    """The control: the same network learns the same masks without diffusion.

    There is no noise, no timestep and no iteration: the denoiser always sees
    ``x_t = 0`` at timestep 0, once, in training as at test time. What it gains
    over the base branch, diffusion did not bring. Arguments and methods are
    those of :class:`MaskHead`; masks, noise and generators are not looked at.
    """

    def forward(self, pseudo: PseudoMask, condition: Tensor,
                valid: Tensor) -> DenoisedOutput:
        """See the class."""
        return self.generate(condition, valid)

    def generate(self,
                 condition: Tensor,
                 valid: Tensor,
                 noise: Tensor | None = None) -> DenoisedOutput:
        """See the class."""
        x = condition.new_zeros(self.mask_shape(condition))
        timesteps = torch.zeros(len(x), dtype=torch.long, device=x.device)
        return self.denoise(x, timesteps, condition, valid)

    @torch.no_grad()
    def sample(self, condition: Tensor, valid: Tensor,
               generators: Sequence[torch.Generator]) -> DenoisedOutput:
        """See the class."""
        return self.generate(condition, valid)
