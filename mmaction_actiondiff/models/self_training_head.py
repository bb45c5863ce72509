"""The control: everything of the diffusion branch but the diffusion.

Dimension letters: N videos, C classes, F channels, T snippets.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmaction.registry import MODELS
from torch import Tensor

from .diffusion_head import Condition, DenoisedOutput, DiffusionHead


@MODELS.register_module()
class SelfTrainingHead(DiffusionHead):
    """The same network learns the same masks from the condition alone.

    There is no noise, no timestep and no iteration: the denoiser always sees
    ``x_t = 0`` at timestep 0, once, in training as at test time. What it gains
    over the base branch, diffusion did not bring.

    Args:
        num_classes (int): C.
        condition_channels (int): Of the condition. Defaults to 128.
        denoiser (dict, optional): Of :class:`DiffusionHead`.
        x_0_activation (str): Of :class:`DiffusionHead`.
    """

    def __init__(self,
                 num_classes: int,
                 condition_channels: int = 128,
                 denoiser: dict | None = None,
                 x_0_activation: str = 'sigmoid') -> None:
        super().__init__(
            num_classes,
            condition_channels,
            denoiser=denoiser,
            x_0_activation=x_0_activation)

    def forward(self,
                mask: Tensor,
                condition: Condition,
                valid: Tensor | None = None,
                weight: Tensor | None = None,
                generator: torch.Generator | None = None) -> DenoisedOutput:
        """Predict the mask; only its shape is looked at.

        Args:
            mask (Tensor): Pseudo-mask (N, C, T), the target of the loss.
            condition (Tensor | tuple[Tensor, ...]): (N, condition_channels,
                T), or what :meth:`project` has made of it.
            valid (Tensor, optional): (N, 1, T) bool. Defaults to all.
            weight, generator: As :class:`DiffusionHead` takes them; there is
                no x_0 to weigh and nothing to draw.

        Raises:
            ValueError: When the shapes do not fit.
        """
        self.check(mask, condition)
        return self.generate(condition, valid)

    @torch.no_grad()
    def sample(self,
               condition: Condition,
               valid: Tensor | None = None,
               generators: Sequence[torch.Generator] | None = None,
               **_) -> DenoisedOutput:
        """The same pass without gradient; ``generators`` stay untouched."""
        return self.generate(condition, valid)

    def generate(self,
                 condition: Condition,
                 valid: Tensor | None = None,
                 generator: torch.Generator | None = None) -> DenoisedOutput:
        """(N, condition_channels, T) -> the mask; all videos weigh 1."""
        shape, device = self.mask_shape(condition)
        timesteps = torch.zeros(shape[0], dtype=torch.long, device=device)
        x_t = torch.zeros(shape, device=device)
        logits, hidden = self.denoise(x_t, timesteps, condition, valid)
        return DenoisedOutput(logits, self.to_prob(logits, valid), hidden,
                              timesteps,
                              torch.ones_like(timesteps).float())
