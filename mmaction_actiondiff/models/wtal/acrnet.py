# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""ACRNet: two streams that attend to each other, two heads on each.

Source: "Weakly-supervised Temporal Action Localization with Adaptive
Clustering and Refining Network" (ACRNet), ICME 2023 (THUMOS14 AVG 0.1:0.7:
47.5); its cross-modal attention is that of "Multi-head Cross-modal
Attention", PRICAI 2022. Where the papers and the released code differ, this
follows the code, to 1e-5 (``tests/golden``), but for the merging of the heads
(:class:`CrossModalAttention`).

D are the channels of one stream here, H the heads.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from ..branch import (BaseBranch, BranchOutput, MaskedConv, Scores,
                      append_background)
from ..objective import WTALLoss, mil_loss
from ..pooling import masked_avg_pool, masked_mean, snippet_rank
from .co2net import ConsensusGate, init_convolutions


class CrossModalAttention(nn.Module):
    """Each stream gathers what the other attends to, head by head.

    ``A_h = normalize(x_h) W_h normalize(y_h)^T`` scores the snippets of one
    stream against those of the other; softmax over either axis mixes the
    snippets of x or of y; ``tanh(x + gelu(mixed))``. The projections start as
    large as in the released code: of them the direction alone matters, and it
    then hardly moves.

    Args:
        channels (int): D of both streams.
        num_heads (int): H.
        mix_heads (bool): Merge the heads as the released code does, which
            spreads each snippet over others, instead of side by side along
            the channels.
    """

    def __init__(self, channels: int, num_heads: int, mix_heads: bool) -> None:
        super().__init__()
        self.mix_heads = mix_heads
        width = channels // num_heads

        def draw(rows: int) -> nn.Parameter:
            weight = torch.empty(num_heads, rows, width)
            return nn.Parameter(weight.uniform_(-rows**0.5, rows**0.5))

        self.rgb = draw(channels)
        self.flow = draw(channels)
        self.score = draw(width)

    def forward(self, rgb: Tensor, flow: Tensor,
                valid: Tensor) -> tuple[Tensor, Tensor]:
        """Twice (N, D, T) -> twice (N, D, T), zero where not valid."""

        def project(x: Tensor, weight: Tensor) -> Tensor:
            """(N, D, T) -> unit vectors (N, H, T, D / H)."""
            return F.normalize(
                torch.einsum('ndt,hde->nhte', x, weight), dim=-1)

        query, key = project(rgb, self.rgb), project(flow, self.flow)
        affinity = query @ self.score @ key.mT  # (N, H, T, T)

        def gather(x: Tensor, own: Tensor, scores: Tensor) -> Tensor:
            scores = scores.masked_fill(~valid.unsqueeze(1),
                                        torch.finfo(scores.dtype).min)
            mixed = F.gelu(scores.softmax(-1) @ own)
            merged = mixed.mT.flatten(1, 2)  # along the channels
            if self.mix_heads:
                merged = mix_heads(mixed, valid)
            return (x + merged).tanh() * valid

        return (gather(rgb, query, affinity), gather(flow, key, affinity.mT))


def mix_heads(x: Tensor, valid: Tensor) -> Tensor:
    """(N, H, T, D / H) -> (N, D, T) as the released code merges the heads:
    (D, T) of a video, read as if it were (T, D)."""
    merged = torch.zeros_like(x.mT.flatten(1, 2))
    for i, length in enumerate(valid.sum(-1).flatten().tolist()):
        merged[i, :, :length] = x[i, :, :length].mT.reshape(length, -1).T
    return merged


class StreamHeads(nn.Module):
    """CAS (conv3, conv1) and actionness (conv1, conv1) of one stream.

    Args:
        channels (int): D.
        num_classes (int): C.
        attention_channels, kernel_size, pool_kernel (int): See
            :class:`ACRBranch`.
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
        num_heads (int): H. Defaults to 4.
        attention_channels (int): Hidden channels of the actionness. Defaults
            to 512.
        kernel_size (int): Of the CAS heads, odd. Defaults to 3.
        pool_kernel (int): See :class:`CrossModalBranch`. Defaults to 1.
        dropout (float): In the gates. Defaults to 0.5.
        mix_heads (bool): See :class:`CrossModalAttention`; for the weights
            that the authors published. Defaults to False.

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
                 pool_kernel: int = 1,
                 dropout: float = 0.5,
                 mix_heads: bool = False) -> None:
        super().__init__(num_classes, stream_channels, sum(stream_channels))
        if (len(stream_channels) != 2
                or stream_channels[0] != stream_channels[1]
                or stream_channels[0] % num_heads):
            raise ValueError(
                'ACRBranch needs two streams of equal width, a multiple of '
                f'{num_heads=}, got stream_channels={tuple(stream_channels)}')
        channels = stream_channels[0]
        self.cross_attention = CrossModalAttention(channels, num_heads,
                                                   mix_heads)
        self.rgb_gate = ConsensusGate(channels, channels, dropout)
        self.flow_gate = ConsensusGate(channels, channels, dropout)
        heads = (channels, num_classes, attention_channels, kernel_size,
                 pool_kernel)
        self.rgb_heads = StreamHeads(*heads)
        self.flow_heads = StreamHeads(*heads)
        init_convolutions(self)

    def forward(self, inputs: Tensor, valid: Tensor) -> BranchOutput:
        """(N, D, T), (N, 1, T) bool -> :class:`BranchOutput`."""
        rgb, flow = self.cross_attention(*self.split_streams(inputs), valid)
        rgb, flow = (self.rgb_gate(rgb, flow,
                                   valid), self.flow_gate(flow, rgb, valid))
        rgb_cas, rgb_attention = self.rgb_heads(rgb, valid)
        flow_cas, flow_attention = self.flow_heads(flow, valid)
        attention = (rgb_attention + flow_attention) / 2
        cas = append_background(rgb_cas + flow_cas, attention) * valid
        return BranchOutput(
            torch.cat([rgb, flow], 1), cas, attention,
            (rgb_attention, flow_attention))

    def score(self, output: BranchOutput, valid: Tensor) -> Scores:
        """:func:`class_score`; for the video ``softmax_C`` of the pooled
        action cluster, whose size the scores say."""
        action, _, _ = pool_clusters(output, valid)
        return Scores(class_score(output), output.attention, action.softmax(1))


def class_score(output: BranchOutput) -> Tensor:
    """``(softmax_C(cas) + attention) / 2``: (N, C, T) in [0, 1]."""
    return (output.cas[:, :-1].softmax(1) + output.attention) / 2


def pool_clusters(output: BranchOutput,
                  valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Video-level logits of the action and of the background cluster.

    Returns:
        tuple[Tensor, Tensor, Tensor]: Rank-weighted mean of the CAS over
        the action snippets and plain mean over the others, both (N, C);
        the action snippets (N, C, T) bool, through which no gradient flows.
    """
    cas = output.cas[:, :-1]
    with torch.no_grad():
        score = class_score(output)
        rank = snippet_rank(score, valid)
        action = refine_clusters(cas, rank,
                                 cluster_snippets(score, rank, valid))
        background = ~action & valid
    mean = (cas * background).sum(-1) / background.sum(-1).clamp(min=1)
    return rank_pool(cas, rank, action), mean, action


def rank_pool(cas: Tensor, rank: Tensor, chosen: Tensor) -> Tensor:
    """Mean over the chosen snippets with weights 1/2, 1/3, ... by rank:
    (N, C, T), (N, C, T) from 0, (N, C, T) bool -> (N, C).

    The weights are divided by their sum where it exceeds 1: one or two
    snippets alone do not count in full.
    """
    weight = chosen / (rank + 2)
    return (cas * weight).sum(-1) / weight.sum(-1).clamp(min=1)


def cluster_snippets(score: Tensor, rank: Tensor, valid: Tensor) -> Tensor:
    """The upper of two parts of the snippets of each class by their scores:
    (N, C, T), their :func:`snippet_rank`, (N, 1, T) bool -> (N, C, T) bool.

    In descending order, a snippet is action while it is at least as near to
    the centre of those before it as to the lowest score; snippet i of them
    weighs 1 / i in the centre. (As the released code does one snippet after
    the other.) The lowest belongs to it only where it is the best.
    """
    ordered = torch.zeros_like(score).scatter(-1, rank, score * valid)
    place = torch.arange(score.size(-1), device=score.device)
    last = valid.sum(-1, keepdim=True) - 1
    lowest = ordered.gather(-1, last.expand(-1, score.size(1), -1))
    weight = 1 / (place + 1)
    centre = (ordered * weight).cumsum(-1) / weight.cumsum(-1)
    near = centre[..., :-1] - ordered[..., 1:] <= ordered[..., 1:] - lowest
    count = 1 + (near & (place[1:] < last)).cumprod(-1).sum(-1, keepdim=True)
    return (rank < count) & valid


def refine_clusters(cas: Tensor, rank: Tensor, action: Tensor) -> Tensor:
    """Drop the tail of each cluster that only dilutes the class: CAS, rank
    and a cluster of leading snippets, (N, C, T), -> a part of the cluster.

    In descending order of the score, the running mean of the CAS is compared
    with the cluster's rank-weighted mean; as many leading snippets stay as
    there are places where it is not below, or all if there is none.
    """
    reference = rank_pool(cas, rank, action).unsqueeze(-1)
    ordered = torch.zeros_like(cas).scatter(-1, rank, cas * action)
    count = torch.arange(1, cas.size(-1) + 1, device=cas.device)
    inside = count <= action.sum(-1, keepdim=True)
    good = (ordered.cumsum(-1) / count >= reference) & inside
    kept = good.sum(-1, keepdim=True)
    return action & ((rank < kept) | (kept == 0))


@MODELS.register_module()
class ACRLoss(WTALLoss):
    """``L_action + L_background + 0.1 L_GCE``.

    The attention of each stream learns the union of the present classes'
    clusters by generalised cross-entropy.
    """

    def classify(self, output: BranchOutput, label: Tensor,
                 valid: Tensor) -> dict[str, Tensor]:
        """See :class:`WTALLoss`."""
        action, background, _ = pool_clusters(output, valid)
        return dict(
            loss_action=mil_loss(action, label),
            loss_background=background_loss(background))

    def further_terms(self, output: BranchOutput, label: Tensor, valid: Tensor,
                      progress: float) -> dict[str, Tensor]:
        """See :class:`WTALLoss`."""
        chosen = pool_clusters(output, valid)[2]
        present = chosen & (label > 0).unsqueeze(-1)
        union = present.any(1, keepdim=True)
        terms = torch.stack([
            gce_loss(stream, union, valid)
            for stream in output.stream_attentions
        ])
        return dict(loss_gce=0.1 * terms.sum())


def background_loss(logits: Tensor) -> Tensor:
    """``mean -log(1 - softmax_C)`` of logits (N, C) that are pooled over the
    background snippets: no class owns the background."""
    prob = logits.softmax(1).clamp(max=1 - 1e-6)
    return -torch.log1p(-prob).mean()


def gce_loss(attention: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Generalised cross-entropy of an attention against a binary mask.

    ``(1 - p^0.7) / 0.7`` (Zhang and Sabuncu, NeurIPS 2018) with p the
    probability of the target: a mislabelled snippet pulls less than with
    cross-entropy. The means over the positives and over the negatives of each
    video are added. All are (N, 1, T), the attention in [0, 1], the others
    bool.
    """

    def side(prob: Tensor, chosen: Tensor) -> Tensor:
        loss = (1 - prob.clamp(min=1e-6)**0.7) / 0.7
        return masked_mean(loss, chosen).mean()

    return (side(attention, target & valid) +
            side(1 - attention, ~target & valid))
