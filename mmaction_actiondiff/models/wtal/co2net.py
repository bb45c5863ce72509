# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""CO2-Net: two streams that recalibrate each other, an attention for each.

Source: F.-T. Hong et al., "Cross-modal Consensus Network for Weakly
Supervised Temporal Action Localization" (CO2-Net), ACM MM 2021 (THUMOS14 AVG
0.1:0.7: 44.6). Where the paper and the released code differ, this follows the
code, to 1e-5 (``tests/golden``), without the layer that it never uses and the
two taps of the pooled stream's convolution that only ever see padding.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from mmengine.model import kaiming_init
from torch import Tensor, nn

from ..branch import BaseBranch, BranchOutput, MaskedConv
from ..objective import with_background
from ..pooling import masked_avg_pool, masked_mean, suppress_background
from .mil import MILLoss

SLOPE = 0.2  # of every leaky ReLU, as in the paper's network


class ConsensusGate(nn.Module):
    """Recalibrate the main stream by the channels that both streams excite.

    ``sigmoid(f(linear(mean_T main)) * f(conv(support))) * main`` with f a
    leaky ReLU and a dropout (CO2-Net: the main stream gives the global, the
    other stream the local context).

    Args:
        main_channels, support_channels (int): Of the streams.
        dropout (float): In f.
    """

    def __init__(self, main_channels: int, support_channels: int,
                 dropout: float) -> None:
        super().__init__()
        self.channel = nn.Conv1d(main_channels, main_channels, 1)
        self.local = MaskedConv(support_channels, main_channels, 3)
        self.act = nn.Sequential(nn.LeakyReLU(SLOPE), nn.Dropout(dropout))

    def forward(self, main: Tensor, support: Tensor, valid: Tensor) -> Tensor:
        """(N, d, T), (N, d', T) -> (N, d, T)."""
        pooled = self.act(self.channel(masked_mean(main, valid)))
        return (pooled * self.act(self.local(support, valid))).sigmoid() * main


class StreamAttention(nn.Module):
    """Actionness of one stream: conv3, conv3, conv1, sigmoid.

    In training a dropout precedes the sigmoid, too: what it drops has an
    attention of one half.
    """

    def __init__(self, in_channels: int, channels: int,
                 dropout: float) -> None:
        super().__init__()
        self.conv1 = MaskedConv(in_channels, channels, 3)
        self.conv2 = MaskedConv(channels, channels, 3)
        self.score = MaskedConv(channels, 1)
        self.act = nn.LeakyReLU(SLOPE)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(N, d, T) -> (N, 1, T) in [0, 1]."""
        x = self.dropout(self.act(self.conv1(x, valid)))
        x = self.act(self.conv2(x, valid))
        return self.dropout(self.score(x, valid)).sigmoid() * valid


def init_convolutions(network: nn.Module) -> None:
    """Kaiming uniform weights and zero biases in every convolution.

    Torch's default is smaller: the first CAS of CO2-Net's widths would have a
    tenth of this one's standard deviation.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv1d):
            kaiming_init(module, mode='fan_in', distribution='uniform')
    for module in network.modules():
        if isinstance(module, ConsensusGate):
            # as of a convolution of three taps, two of which see padding
            module.channel.weight.data /= 3**0.5


@MODELS.register_module()
class CrossModalBranch(BaseBranch):
    """CO2-Net's branch; channel widths are arguments, so that it also suits
    small features.

    Args:
        embed_channels (int): E. Defaults to 2048, the paper's width.
        attention_channels (int): Hidden channels of the attentions.
            Defaults to 512.
        dropout (float): Of the embedded features, and again before each layer
            of the classifier. Defaults to 0.7.
        attention_dropout (float): In the gates and the attentions. Defaults
            to 0.5.
        hidden_layers (int): Convolutions of the classifier before its last.
            Defaults to 1, the paper's number.
        kernel_size (int): Of those convolutions, odd. The paper's snippets
            last 0.64 s; shorter ones need more context. Defaults to 3.
        pool_kernel (int): Moving average over CAS and attention, in snippets,
            odd; 1 for none. ActivityNet uses 13, as CO2-Net, HAM-Net and
            ACRNet do. Defaults to 1.

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
                 pool_kernel: int = 1,
                 video_ratio: float = 10) -> None:
        super().__init__(num_classes, stream_channels, embed_channels,
                         video_ratio)
        if len(stream_channels) != 2:
            raise ValueError('CrossModalBranch needs two streams, got '
                             f'stream_channels={tuple(stream_channels)}')
        if pool_kernel % 2 == 0:
            raise ValueError(f'pool_kernel must be odd, got {pool_kernel}')
        self.pool_kernel = pool_kernel
        rgb, flow = stream_channels
        self.rgb_gate = ConsensusGate(rgb, flow, attention_dropout)
        self.flow_gate = ConsensusGate(flow, rgb, attention_dropout)
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
        self.dropout = nn.Dropout(dropout)
        init_convolutions(self)

    def forward(self, inputs: Tensor, valid: Tensor) -> BranchOutput:
        """(N, D, T), (N, 1, T) bool -> :class:`BranchOutput`."""
        rgb, flow = self.split_streams(inputs)
        rgb, flow, branch_loss = self.exchange(rgb, flow, valid)
        attentions = tuple(
            masked_avg_pool(attention, valid, self.pool_kernel)
            for attention in (self.rgb_attention(rgb, valid),
                              self.flow_attention(flow, valid)))
        feature = self.dropout(
            self.act(self.fuse(torch.cat([rgb, flow], 1), valid)))
        hidden = feature
        for layer in self.hidden:
            hidden = self.act(layer(self.dropout(hidden), valid))
        cas = self.classifier(self.dropout(hidden), valid)
        return BranchOutput(
            feature=feature,
            cas=masked_avg_pool(cas, valid, self.pool_kernel),
            attention=(attentions[0] + attentions[1]) / 2,
            stream_attentions=attentions,
            branch_loss=branch_loss)

    def exchange(self, rgb: Tensor, flow: Tensor,
                 valid: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Both streams (N, d, T) after they have seen each other, and a loss
        on how they did, or None."""
        return (self.rgb_gate(rgb, flow,
                              valid), self.flow_gate(flow, rgb, valid), None)


@MODELS.register_module()
class CO2NetLoss(MILLoss):
    """CO2-Net's objective: two classifications and four more terms.

    The classification of the CAS and that of the background-suppressed CAS
    weigh 1, as :func:`mutual_loss` (of a branch with two streams) and
    :func:`co_activity_loss` do; the mean of :func:`guide_gap` weighs 0.8.

    Args:
        norm_weight (float): Of :func:`norm_loss`. Defaults to 0.8.
        num_pairs (int): The first ``2 num_pairs`` videos of a batch are the
            pairs of the co-activity; the same as of the
            ``PairBatchSampler``. 0 switches the term off. Defaults to 3.
    """

    guide_weight = 0.8

    def __init__(self,
                 mil_ratio: float | Sequence[float] = 7,
                 norm_weight: float = 0.8,
                 num_pairs: int = 3) -> None:
        super().__init__(mil_ratio)
        self.norm_weight = norm_weight
        self.num_pairs = num_pairs

    def classify(self, output: BranchOutput, label: Tensor,
                 valid: Tensor) -> dict[str, Tensor]:
        """See :class:`WTALLoss`."""
        losses = super().classify(output, label, valid)
        suppressed = suppress_background(output.cas, output.attention)
        losses['loss_mil_suppressed'] = self.pooled_loss(
            suppressed, with_background(label, 0.), valid)
        return losses

    def further_terms(self, output: BranchOutput, label: Tensor, valid: Tensor,
                      progress: float) -> dict[str, Tensor]:
        """See :class:`WTALLoss`."""
        attentions = torch.cat([output.attention, *output.stream_attentions],
                               1)
        gap = guide_gap(attentions, output.cas)
        losses = dict(
            loss_norm=self.norm_weight * norm_loss(attentions, valid),
            loss_guide=self.guide_weight * masked_mean(gap, valid).mean())
        if output.stream_attentions:
            first, second = output.stream_attentions
            losses['loss_mutual'] = mutual_loss(first, second, valid)
        if self.num_pairs:
            last = 2 * self.num_pairs
            suppressed = suppress_background(output.cas, output.attention)
            losses['loss_co_activity'] = co_activity_loss(
                output.feature[:last], suppressed[:last], label[:last],
                valid[:last])
        return losses


def norm_loss(attention: Tensor, valid: Tensor) -> Tensor:
    """Mean of attentions (N, A, T): actions are sparse (CO2-Net, L_norm)."""
    return masked_mean(attention, valid).mean()


def guide_gap(attention: Tensor, cas: Tensor) -> Tensor:
    """``|1 - attention - softmax_K(cas)_background|`` (CO2-Net, L_guide),
    mean over the A attentions: (N, A, T), (N, K, T) -> (N, 1, T)."""
    background = cas.softmax(1)[:, -1:]
    return (1 - attention - background).abs().mean(1, keepdim=True)


def mutual_loss(first: Tensor, second: Tensor, valid: Tensor) -> Tensor:
    """Each stream's attention is the other's target (CO2-Net, L_ml)."""

    def mse(x: Tensor, target: Tensor) -> Tensor:
        return masked_mean((x - target.detach())**2, valid).mean()

    return (mse(first, second) + mse(second, first)) / 2


def co_activity_loss(feature: Tensor, cas: Tensor, label: Tensor,
                     valid: Tensor) -> Tensor:
    """Two videos that share a class look alike where it is active.

    W-TALC (Paul et al., ECCV 2018): with class-wise attention
    ``softmax_T(cas_c)``, high and low region features H and L, and cosine
    distance d, the mean over the shared classes of the pairs (i, j) of
    ``(relu(d(Hi,Hj) - d(Hi,Lj) + 0.5)
    + relu(d(Hi,Hj) - d(Li,Hj) + 0.5)) / 2``. Zero without such a class.

    Args:
        feature (Tensor): (2P, E, T); videos 2p and 2p + 1 are a pair. A last
            video without a partner is left out.
        cas (Tensor): (2P, K, T).
        label (Tensor): (2P, C) multi-hot.
        valid (Tensor): (2P, 1, T) bool.
    """
    count = len(feature) // 2 * 2
    feature, cas, label, valid = (
        x[:count] for x in (feature, cas[:, :label.size(1)], label, valid))
    weight = cas.masked_fill(~valid, torch.finfo(cas.dtype).min).softmax(-1)
    rest = (1 - weight) * valid / (valid.sum(-1, keepdim=True) -
                                   1).clamp(min=1)
    high, low = (
        F.normalize(torch.einsum('net,nct->nce', feature, region), dim=-1)
        for region in (weight, rest))

    def distance(first: Tensor, second: Tensor) -> Tensor:
        return 1 - (first * second).sum(-1)  # (P, C)

    near = distance(high[::2], high[1::2])
    hinge = ((near - distance(high[::2], low[1::2]) + 0.5).relu() +
             (near - distance(low[::2], high[1::2]) + 0.5).relu()) / 2
    shared = label[::2] * label[1::2]
    return (hinge * shared).sum() / shared.sum().clamp(min=1)
