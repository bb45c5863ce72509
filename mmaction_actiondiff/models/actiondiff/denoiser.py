# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""The denoiser: a stack of convolutions over mask, timestep and condition.

Its last layer is the latent action space.
"""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

# What the mask of a class is at the start, in (0, 1) (T.-Y. Lin et al., "Focal
# Loss", ICCV 2017).
PRIOR = 0.02


@MODELS.register_module()
class ConvDenoiser(nn.Module):
    """(noisy mask, timestep, condition) -> logits of the clean mask.

    The three are added up to F channels; ``num_layers`` convolutions follow.
    The receptive field is ``1 + (kernel_size - 1) num_layers`` snippets.

    Args:
        num_classes (int): C.
        condition_channels (int): Of the condition.
        channels (int): F, even. Defaults to 128.
        num_layers (int): Convolutions. Defaults to 2.
        kernel_size (int): Odd. Defaults to 5.
        dropout (float): Before every convolution. Defaults to 0.3.

    Raises:
        ValueError: For an even ``kernel_size`` or odd ``channels``.
    """

    frequencies: Tensor

    def __init__(self,
                 num_classes: int,
                 condition_channels: int,
                 channels: int = 128,
                 num_layers: int = 2,
                 kernel_size: int = 5,
                 dropout: float = 0.3) -> None:
        super().__init__()
        if kernel_size % 2 == 0 or channels % 2:
            raise ValueError('kernel_size must be odd and channels even, got '
                             f'{kernel_size=}, {channels=}')
        self.register_buffer(
            'frequencies',
            1e4**-torch.linspace(0, 1, channels // 2),
            persistent=False)
        self.stem = nn.Conv1d(num_classes, channels, 1)
        self.condition = nn.Conv1d(condition_channels, channels, 1, bias=False)
        self.time = nn.Sequential(
            nn.Linear(channels, channels), nn.SiLU(),
            nn.Linear(channels, channels))
        self.layers = nn.ModuleList(
            nn.Conv1d(
                channels, channels, kernel_size, padding=kernel_size // 2)
            for _ in range(num_layers))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Conv1d(channels, num_classes, 1)
        # Masks are sparse: zero logits would have a long way to go.
        nn.init.constant_(
            self.head.get_parameter('bias'), math.log(PRIOR / (1 - PRIOR)))

    def forward(self, x: Tensor, timesteps: Tensor, condition: Tensor,
                valid: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, C, T) and the latent of the last layer (N, F, T), both
        zero where not valid.

        Args:
            x (Tensor): Noisy mask (N, C, T), in [-1, 1].
            timesteps (Tensor): (N,) long.
            condition (Tensor): (N, condition_channels, T).
            valid (Tensor): (N, 1, T) bool.
        """
        angles = timesteps.unsqueeze(1) * self.frequencies
        time = self.time(torch.cat([angles.sin(), angles.cos()], 1))
        hidden = self.stem(x) + self.condition(condition) + time.unsqueeze(-1)
        hidden = F.leaky_relu(hidden, 0.2) * valid
        for layer in self.layers:
            hidden = F.leaky_relu(layer(self.dropout(hidden)), 0.2) * valid
        return self.head(self.dropout(hidden)) * valid, hidden
