"""Two streams that attend to each other, two heads on each.

Source: "Weakly-supervised Temporal Action Localization with Adaptive
Clustering and Refining Network" (ACRNet), ICME 2023; its cross-modal
attention is that of "Multi-head Cross-modal Attention", PRICAI 2022
(THUMOS14 AVG 0.1:0.7: 47.5). Dimension letters: N videos, D channels of a
stream, H heads, C classes, K = C + 1 with the background last, T snippets.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from .base import BaseBranch, BranchOutput, masked_avg_pool, split_streams
from .cola import add_background
from .cross_modal import ConsensusGate, MaskedConv


class ACROutput(BranchOutput):
    """Scores of ACRNet, which finds actions by clustering."""

    def class_score(self) -> Tensor:
        """``(softmax_C(cas) + attention) / 2``: (N, C, T) in [0, 1]."""
        return (self.cas[:, :-1].softmax(1) + self.attention) / 2

    def video_score(self, valid: Tensor, ratio: float) -> Tensor:
        """``softmax_C`` of the pooled action snippets: (N, C).

        The clusters say how many they are; ``ratio`` has no part in it.
        """
        return self.pool(valid)[0].softmax(1)

    def pool(self, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Video-level logits of the action and of the background cluster.

        Returns:
            tuple[Tensor, Tensor, Tensor]: Rank-weighted mean of the CAS over
            the action snippets and plain mean over the others, both (N, C);
            the action snippets (N, C, T) bool, through which no gradient
            flows.
        """
        cas = self.cas[:, :-1]
        with torch.no_grad():
            score = self.class_score()
            rank = snippet_rank(score, valid)
            action = refine_clusters(cas, rank,
                                     cluster_snippets(score, rank, valid))
            background = ~action & valid
        mean = (cas * background).sum(-1) / background.sum(-1).clamp(min=1)
        return rank_pool(cas, rank, action), mean, action


def snippet_rank(score: Tensor, valid: Tensor) -> Tensor:
    """Place of each snippet in the descending order of its class, from 0.

    Args:
        score (Tensor): (N, C, T).
        valid (Tensor): (N, 1, T) bool; padding comes last.
    """
    order = score.masked_fill(~valid, -torch.inf).argsort(
        dim=-1, descending=True, stable=True)
    place = torch.arange(score.size(-1), device=score.device)
    return torch.empty_like(order).scatter_(-1, order, place.expand_as(order))


def rank_pool(cas: Tensor, rank: Tensor, chosen: Tensor) -> Tensor:
    """Mean over the chosen snippets with weights 1/2, 1/3, ... by rank.

    Args:
        cas (Tensor): (N, C, T).
        rank (Tensor): (N, C, T), from 0.
        chosen (Tensor): (N, C, T) bool, never empty for a class.

    Returns:
        Tensor: (N, C).
    """
    weight = chosen / (rank + 2)
    return (cas * weight).sum(-1) / weight.sum(-1).clamp(min=1e-6)


def cluster_snippets(score: Tensor, rank: Tensor, valid: Tensor) -> Tensor:
    """Split the snippets of each class in two by their scores.

    Exact 1-D 2-means: in descending order every cut is tried, and the one
    with the largest variance between the parts wins. (ACRNet assigns one
    snippet after the other to the nearer centre.)

    Args:
        score, rank (Tensor): (N, C, T); see :func:`snippet_rank`.
        valid (Tensor): (N, 1, T) bool.

    Returns:
        Tensor: The upper part, (N, C, T) bool: at least one snippet, all of
        them only where there is a single one.
    """
    length = valid.sum(-1, keepdim=True)
    ordered = torch.zeros_like(score).scatter(-1, rank, score * valid)
    above = ordered.cumsum(-1)
    count = torch.arange(1, score.size(-1) + 1, device=score.device)
    rest = (length - count).clamp(min=1)
    gap = above / count - (above[..., -1:] - above) / rest
    variance = count * (length - count) * gap**2
    variance = variance.masked_fill(count >= length, -1)
    return (rank <= variance.argmax(-1, keepdim=True)) & valid


def refine_clusters(cas: Tensor, rank: Tensor, action: Tensor) -> Tensor:
    """Drop the tail of each cluster that only dilutes the class.

    In descending order of the score, the running mean of the CAS is compared
    with the cluster's rank-weighted mean; as many leading snippets stay as
    there are places where it is not below. ACRNet's cluster refining.

    Args:
        cas, rank (Tensor): (N, C, T); see :func:`snippet_rank`.
        action (Tensor): A cluster of leading snippets, (N, C, T) bool.

    Returns:
        Tensor: (N, C, T) bool, a part of ``action``.
    """
    reference = rank_pool(cas, rank, action).unsqueeze(-1)
    ordered = torch.zeros_like(cas).scatter(-1, rank, cas * action)
    count = torch.arange(1, cas.size(-1) + 1, device=cas.device)
    inside = count <= action.sum(-1, keepdim=True)
    # Of a single snippet both means are the same, but for rounding.
    slack = 1e-5 * reference.abs()
    good = (ordered.cumsum(-1) / count >= reference - slack) & inside
    kept = good.sum(-1, keepdim=True)
    return action & ((rank < kept) | (kept == 0))


class CrossModalAttention(nn.Module):
    """Each stream gathers what the other attends to, head by head.

    ``A_h = normalize(x_h) W_h normalize(y_h)^T`` scores the snippets of one
    stream against those of the other; softmax over either axis mixes the
    snippets of x or of y; ``tanh(x + gelu(mixed))``. Heads are put side by
    side along the channels (the released code mixes time into them), and the
    weights start at ``1 / sqrt(fan in)`` instead of ``sqrt(fan in)``, which
    would saturate both the softmax and the tanh.

    Args:
        channels (int): D of both streams.
        num_heads (int): H.
    """

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        width = channels // num_heads
        self.rgb = nn.Conv1d(channels, channels, 1, bias=False)
        self.flow = nn.Conv1d(channels, channels, 1, bias=False)
        self.score = nn.Parameter(
            torch.empty(num_heads, width, width).uniform_(-1, 1) / width**0.5)

    def forward(self, rgb: Tensor, flow: Tensor,
                valid: Tensor) -> tuple[Tensor, Tensor]:
        """Twice (N, D, T) -> twice (N, D, T), zero where not valid."""

        def heads(x: Tensor) -> Tensor:
            """(N, D, T) -> unit vectors (N, H, T, D / H)."""
            x = x.unflatten(1, (self.num_heads, -1)).transpose(2, 3)
            return F.normalize(x, dim=-1)

        query, key = heads(self.rgb(rgb)), heads(self.flow(flow))
        affinity = query @ self.score @ key.transpose(2, 3)  # (N, H, T, T)

        def mix(x: Tensor, own: Tensor, scores: Tensor) -> Tensor:
            scores = scores.masked_fill(~valid.unsqueeze(1),
                                        torch.finfo(scores.dtype).min)
            mixed = F.gelu(scores.softmax(-1) @ own)
            return (x + mixed.transpose(2, 3).flatten(1, 2)).tanh() * valid

        return (mix(rgb, query,
                    affinity), mix(flow, key, affinity.transpose(2, 3)))


class StreamHeads(nn.Module):
    """CAS (conv3, conv1) and actionness (conv1, conv1) of one stream.

    Args:
        channels (int): D.
        num_classes (int): C.
        attention_channels (int): Hidden channels of the actionness.
        kernel_size (int): Of the first convolution of the CAS.
        pool_kernel (int): Moving average over both outputs, in snippets.
    """

    def __init__(self, channels: int, num_classes: int,
                 attention_channels: int, kernel_size: int,
                 pool_kernel: int) -> None:
        super().__init__()
        self.pool_kernel = pool_kernel
        self.hidden = MaskedConv(channels, channels, kernel_size)
        self.classifier = MaskedConv(channels, num_classes)
        self.actionness = nn.Sequential(
            nn.Conv1d(channels, attention_channels, 1), nn.ReLU(),
            nn.Conv1d(attention_channels, 1, 1))

    def forward(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """(N, D, T) -> CAS (N, C, T), logits, and attention (N, 1, T)."""
        cas = self.classifier(self.hidden(x, valid).relu(), valid)
        actionness = self.actionness(x)
        if self.pool_kernel > 1:
            cas = masked_avg_pool(cas, valid, self.pool_kernel)
            actionness = masked_avg_pool(actionness, valid, self.pool_kernel)
        return cas, actionness.sigmoid() * valid


@MODELS.register_module()
class ACRBranch(BaseBranch):
    """ACRNet's network.

    The background's logit, which ACRNet lacks, is derived so that
    ``softmax_K(cas) = [attention softmax_C(cas), 1 - attention]``. The gate
    between the streams is CO2-Net's, as in :class:`CrossModalBranch`.

    Args:
        num_classes (int): C, without the background.
        stream_channels (Sequence[int]): Channels of the two streams,
            appearance first, equal. Defaults to (1024, 1024).
        num_heads (int): H. Defaults to 4.
        attention_channels (int): Hidden channels of the actionness. Defaults
            to 512.
        kernel_size (int): Of the CAS heads, odd. Defaults to 3.
        pool_kernel (int): Moving average over the heads' outputs, in
            snippets, odd; 1 for none (THUMOS14). ActivityNet uses 13.
            Defaults to 1.

    Raises:
        ValueError: For streams that are not two, equal and a multiple of
            ``num_heads`` wide.
    """

    def __init__(self,
                 num_classes: int,
                 stream_channels: Sequence[int] = (1024, 1024),
                 num_heads: int = 4,
                 attention_channels: int = 512,
                 kernel_size: int = 3,
                 pool_kernel: int = 1) -> None:
        super().__init__()
        if (len(stream_channels) != 2
                or stream_channels[0] != stream_channels[1]
                or stream_channels[0] % num_heads):
            raise ValueError(
                'ACRBranch needs two streams of equal width, a multiple of '
                f'{num_heads=}, got stream_channels={tuple(stream_channels)}')
        channels = stream_channels[0]
        self.stream_channels = tuple(stream_channels)
        self.embed_channels = 2 * channels
        self.cross_attention = CrossModalAttention(channels, num_heads)
        self.rgb_gate = ConsensusGate(channels, channels)
        self.flow_gate = ConsensusGate(channels, channels)
        heads = (channels, num_classes, attention_channels, kernel_size,
                 pool_kernel)
        self.rgb_heads = StreamHeads(*heads)
        self.flow_heads = StreamHeads(*heads)

    def forward(self, inputs: Tensor, valid: Tensor) -> ACROutput:
        """(N, D, T), (N, 1, T) bool -> :class:`ACROutput`."""
        rgb, flow = self.cross_attention(
            *split_streams(inputs, self.stream_channels), valid)
        feature = torch.cat([
            self.rgb_gate(rgb, flow, valid),
            self.flow_gate(flow, rgb, valid)
        ], 1)
        cas, *streams = self.heads(feature, valid)
        attention = (streams[0] + streams[1]) / 2
        return ACROutput(feature,
                         add_background(cas, attention) * valid, attention,
                         tuple(streams))

    def classify(self, feature: Tensor, valid: Tensor) -> Tensor:
        """(N, E, T) -> (N, K, T)."""
        cas, rgb, flow = self.heads(feature, valid)
        return add_background(cas, (rgb + flow) / 2) * valid

    def heads(self, feature: Tensor,
              valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """CAS of both streams (N, C, T), attention of each (N, 1, T)."""
        rgb, flow = feature.chunk(2, 1)
        cas_rgb, rgb = self.rgb_heads(rgb, valid)
        cas_flow, flow = self.flow_heads(flow, valid)
        return cas_rgb + cas_flow, rgb, flow
