"""ACRNet: two streams that attend to each other, two heads on each.

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

from ..branch import (BaseBranch, BranchOutput, MaskedConv, Scores,
                      append_background)
from ..objective import WTALLoss, mil_loss
from ..pooling import masked_avg_pool, snippet_rank
from .co2net import ConsensusGate


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
        super().__init__(num_classes, stream_channels, sum(stream_channels))
        if (len(stream_channels) != 2
                or stream_channels[0] != stream_channels[1]
                or stream_channels[0] % num_heads):
            raise ValueError(
                'ACRBranch needs two streams of equal width, a multiple of '
                f'{num_heads=}, got stream_channels={tuple(stream_channels)}')
        channels = stream_channels[0]
        self.cross_attention = CrossModalAttention(channels, num_heads)
        self.rgb_gate = ConsensusGate(channels, channels)
        self.flow_gate = ConsensusGate(channels, channels)
        heads = (channels, num_classes, attention_channels, kernel_size,
                 pool_kernel)
        self.rgb_heads = StreamHeads(*heads)
        self.flow_heads = StreamHeads(*heads)

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
        """``(softmax_C(cas) + attention) / 2``; for the video ``softmax_C``
        of the pooled action cluster, whose size the scores say."""
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


@MODELS.register_module()
class ACRLoss(WTALLoss):
    """``L_action + L_background + attention_weight * L_GCE``.

    The attention of each stream learns the union of the present classes'
    clusters by generalised cross-entropy (its two halves are summed, over
    both streams).

    Args:
        attention_weight (float): Defaults to 0.1, the paper's lambda.
    """

    def __init__(self, attention_weight: float = 0.1) -> None:
        super().__init__()
        self.attention_weight = attention_weight

    def classify(self, output: BranchOutput, label: Tensor,
                 valid: Tensor) -> dict[str, Tensor]:
        """See :class:`WTALLoss`."""
        action, background, _ = pool_clusters(output, valid)
        return dict(
            loss_action=mil_loss(action, label),
            loss_background=background_loss(background))

    def forward(self,
                output: BranchOutput,
                label: Tensor,
                valid: Tensor,
                progress: float = 0.5) -> dict[str, Tensor]:
        """See :class:`WTALLoss`."""
        losses = self.classify(output, label, valid)
        _, _, chosen = pool_clusters(output, valid)
        present = chosen & (label > 0).unsqueeze(-1)
        union = present.any(1, keepdim=True).to(label.dtype)
        attention = torch.stack([
            gce_loss(stream, union, valid)
            for stream in output.stream_attentions
        ]).sum()
        losses['loss_gce'] = self.attention_weight * 2 * attention
        return losses


def background_loss(logits: Tensor) -> Tensor:
    """``mean -log(1 - softmax_C)``: no class owns the background.

    Args:
        logits (Tensor): (N, C), pooled over the background snippets.
    """
    prob = logits.softmax(1).clamp(max=1 - 1e-6)
    return -torch.log1p(-prob).mean()


def gce_loss(attention: Tensor,
             target: Tensor,
             valid: Tensor,
             q: float = 0.7) -> Tensor:
    """Generalised cross-entropy of an attention against a binary mask.

    ``(1 - p^q) / q`` (Zhang and Sabuncu, NeurIPS 2018) with p the probability
    of the target, averaged over positives and negatives apart, then halved:
    a mislabelled snippet pulls less than with cross-entropy.

    Args:
        attention, target (Tensor): (N, 1, T), ``target`` in {0, 1}.
    """
    positive = (target > 0) & valid
    negative = (target <= 0) & valid

    def side(prob: Tensor, chosen: Tensor) -> Tensor:
        loss = (1 - prob.clamp(min=1e-6)**q) / q
        return (loss * chosen).sum() / chosen.sum().clamp(min=1)

    return (side(attention, positive) + side(1 - attention, negative)) / 2
