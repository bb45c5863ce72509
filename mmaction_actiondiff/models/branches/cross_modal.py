"""Two streams that recalibrate each other, two attentions, one classifier.

Source: F.-T. Hong et al., "Cross-modal Consensus Network for Weakly
Supervised Temporal Action Localization" (CO2-Net), ACM MM 2021. Written from
the paper, with four corrections: averages over time skip
the padding, no dropout stands between the last attention layer and its
sigmoid, no layer is unused, and the gate of the pooled stream is a plain
linear map (on a sequence of length one it is the same function as the
paper's convolution, whose outer taps only ever see padding).
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmaction.registry import MODELS
from torch import Tensor, nn

from ..dropout import Dropout
from .base import (BaseBranch, BranchOutput, masked_avg_pool, masked_mean,
                   split_streams)

SLOPE = 0.2  # of every leaky ReLU, as in the paper's network


class MaskedConv(nn.Conv1d):
    """1-D convolution of the same length that never reads padding."""

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 kernel_size: int = 1) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(N, in, T) -> (N, out, T), zero where not ``valid``."""
        return super().forward(x) * valid


class ConsensusGate(nn.Module):
    """Recalibrate the main stream by the channels that both streams excite.

    ``sigmoid(linear(mean_T main) * conv(support)) * main`` (CO2-Net:
    the main stream gives the global, the other stream the local context).
    """

    def __init__(self, main_channels: int, support_channels: int) -> None:
        super().__init__()
        self.channel = nn.Conv1d(main_channels, main_channels, 1)
        self.local = MaskedConv(support_channels, main_channels, 3)

    def forward(self, main: Tensor, support: Tensor, valid: Tensor) -> Tensor:
        """(N, d, T), (N, d', T) -> (N, d, T)."""
        gate = self.channel(masked_mean(main, valid)) * self.local(
            support, valid)
        return gate.sigmoid() * main


class StreamAttention(nn.Module):
    """Actionness of one stream: conv3, conv3, conv1, sigmoid."""

    def __init__(self, in_channels: int, channels: int,
                 dropout: float) -> None:
        super().__init__()
        self.conv1 = MaskedConv(in_channels, channels, 3)
        self.conv2 = MaskedConv(channels, channels, 3)
        self.score = MaskedConv(channels, 1)
        self.act = nn.LeakyReLU(SLOPE)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(N, d, T) -> (N, 1, T) in [0, 1]."""
        x = self.dropout(self.act(self.conv1(x, valid)))
        x = self.act(self.conv2(x, valid))
        return self.score(x, valid).sigmoid() * valid


@MODELS.register_module()
class CrossModalBranch(BaseBranch):
    """CO2-Net's branch; channel widths are arguments, so that it also suits
    small features.

    Args:
        num_classes (int): C, without the background.
        stream_channels (Sequence[int]): Channels of the two streams in
            ``inputs``, appearance first. Defaults to (1024, 1024).
        embed_channels (int): E. Defaults to 2048, the paper's width.
        attention_channels (int): Hidden channels of the attentions.
            Defaults to 512.
        dropout (float): Before and inside the classifier. Defaults to 0.7.
        attention_dropout (float): Inside the attentions. Defaults to 0.5.
        hidden_layers (int): Convolutions of the classifier before its last.
            Defaults to 1, the paper's number.
        kernel_size (int): Of those convolutions, odd. The paper's snippets
            last 0.64 s; shorter ones need more context. Defaults to 3.
        pool_kernel (int): Moving average over CAS and attention, in snippets,
            odd; 1 for none (THUMOS14). ActivityNet uses 13, as CO2-Net,
            HAM-Net and ACRNet do. Defaults to 1.

    Raises:
        ValueError: For other than two streams, or an even kernel.
    """

    def __init__(self,
                 num_classes: int,
                 stream_channels: Sequence[int] = (1024, 1024),
                 embed_channels: int = 2048,
                 attention_channels: int = 512,
                 dropout: float = 0.7,
                 attention_dropout: float = 0.5,
                 hidden_layers: int = 1,
                 kernel_size: int = 3,
                 pool_kernel: int = 1) -> None:
        super().__init__()
        if len(stream_channels) != 2:
            raise ValueError('CrossModalBranch needs two streams, got '
                             f'stream_channels={tuple(stream_channels)}')
        if not (pool_kernel % 2 and kernel_size % 2):
            raise ValueError(f'kernels must be odd, got {pool_kernel=}, '
                             f'{kernel_size=}')
        self.stream_channels = tuple(stream_channels)
        self.embed_channels = embed_channels
        self.pool_kernel = pool_kernel
        rgb, flow = stream_channels
        self.rgb_gate = ConsensusGate(rgb, flow)
        self.flow_gate = ConsensusGate(flow, rgb)
        self.rgb_attention = StreamAttention(rgb, attention_channels,
                                             attention_dropout)
        self.flow_attention = StreamAttention(flow, attention_channels,
                                              attention_dropout)
        self.fuse = MaskedConv(rgb + flow, embed_channels)
        self.hidden = nn.ModuleList(
            MaskedConv(embed_channels, embed_channels, kernel_size)
            for _ in range(hidden_layers))
        self.classifier = MaskedConv(embed_channels, num_classes + 1)
        self.act = nn.LeakyReLU(SLOPE)
        self.dropout = Dropout(dropout)

    def forward(self, inputs: Tensor, valid: Tensor) -> BranchOutput:
        """(N, D, T), (N, 1, T) bool -> :class:`BranchOutput`."""
        rgb, flow = split_streams(inputs, self.stream_channels)
        rgb, flow = (self.rgb_gate(rgb, flow,
                                   valid), self.flow_gate(flow, rgb, valid))
        attentions = [
            self.smooth(self.rgb_attention(rgb, valid), valid),
            self.smooth(self.flow_attention(flow, valid), valid)
        ]
        feature = self.act(self.fuse(torch.cat([rgb, flow], 1), valid))
        return BranchOutput(
            feature=feature,
            cas=self.classify(feature, valid),
            attention=(attentions[0] + attentions[1]) / 2,
            stream_attentions=tuple(attentions))

    def classify(self, feature: Tensor, valid: Tensor) -> Tensor:
        """(N, E, T) -> (N, K, T) logits."""
        for layer in self.hidden:
            feature = self.act(layer(self.dropout(feature), valid))
        return self.smooth(
            self.classifier(self.dropout(feature), valid), valid)

    def smooth(self, x: Tensor, valid: Tensor) -> Tensor:
        """Moving average of ``pool_kernel`` snippets."""
        if self.pool_kernel == 1:
            return x
        return masked_avg_pool(x, valid, self.pool_kernel)
