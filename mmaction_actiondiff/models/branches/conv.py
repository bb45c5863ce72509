"""A plain convolutional network whose background class is the attention.

The simplest multiple-instance network of the field (W-TALC, S. Paul et al.,
ECCV 2018, with the background class of BaS-Net, P. Lee et al., AAAI 2020): it
suits small features, where gates and attentions of their own learn too late.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from ..dropout import Dropout
from .base import BaseBranch, BranchOutput, split_streams, topk_pool
from .cross_modal import SLOPE, MaskedConv


class ConvOutput(BranchOutput):
    """The attention is ``1 - softmax_K(cas)_background``."""

    def video_score(self, valid: Tensor, ratio: float) -> Tensor:
        """``softmax_K`` of the best snippets' log-probabilities: (N, C).

        The background is a class of its own: nothing else suppresses it.
        """
        pooled = topk_pool(self.cas.log_softmax(1), valid, ratio)
        return pooled.softmax(1)[:, :-1]


@MODELS.register_module()
class ConvBranch(BaseBranch):
    """1x1 embedding, convolutions, classifier.

    Args:
        num_classes (int): C, without the background.
        stream_channels (Sequence[int]): Channels of the streams in
            ``inputs``. Defaults to (1024, 1024).
        embed_channels (int): E. Defaults to 512.
        hidden_layers (int): Convolutions. Defaults to 1.
        kernel_size (int): Of the convolutions, odd. Defaults to 3.
        dropout (float): Before every layer but the first. Defaults to 0.5.

    Raises:
        ValueError: For an even kernel.
    """

    def __init__(self,
                 num_classes: int,
                 stream_channels: Sequence[int] = (1024, 1024),
                 embed_channels: int = 512,
                 hidden_layers: int = 1,
                 kernel_size: int = 3,
                 dropout: float = 0.5) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f'kernel_size must be odd, got {kernel_size}')
        self.stream_channels = tuple(stream_channels)
        self.embed_channels = embed_channels
        self.embed = MaskedConv(sum(stream_channels), embed_channels)
        self.hidden = nn.ModuleList(
            MaskedConv(embed_channels, embed_channels, kernel_size)
            for _ in range(hidden_layers))
        self.classifier = MaskedConv(embed_channels, num_classes + 1)
        self.dropout = Dropout(dropout)

    def forward(self, inputs: Tensor, valid: Tensor) -> ConvOutput:
        """(N, D, T), (N, 1, T) bool -> :class:`ConvOutput`."""
        split_streams(inputs, self.stream_channels)  # refuses another width
        feature = F.leaky_relu(self.embed(inputs, valid), SLOPE)
        cas = self.classify(feature, valid)
        return ConvOutput(feature, cas, (1 - cas.softmax(1)[:, -1:]) * valid)

    def classify(self, feature: Tensor, valid: Tensor) -> Tensor:
        """(N, E, T) -> (N, K, T), logits."""
        for layer in self.hidden:
            feature = F.leaky_relu(layer(self.dropout(feature), valid), SLOPE)
        return self.classifier(self.dropout(feature), valid)
