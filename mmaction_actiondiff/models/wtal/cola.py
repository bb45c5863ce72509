# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""CoLA: one convolution, one classifier, and a contrast of snippets.

Source: C. Zhang et al., "CoLA: Weakly-Supervised Temporal Action
Localization with Snippet Contrastive Learning", CVPR 2021 (THUMOS14 AVG
0.1:0.7: 40.9 in the paper, 41.7 with the released code, which this follows to
1e-5, ``tests/golden``).
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from ..branch import (BaseBranch, BranchOutput, MaskedConv, Scores,
                      append_background)
from ..objective import WTALLoss
from ..pooling import snippet_rank, topk_pool

INNER, OUTER = 3, 6  # windows m and M of the mining, in snippets
TEMPERATURE = 0.07  # of the contrast, divides the cosine similarity


@MODELS.register_module()
class CoLABranch(BaseBranch):
    """CoLA's network.

    The actionness is the sum of the activations over the classes; min-max
    normalised over the video it is the ``attention``.

    Args:
        embed_channels (int): E. Defaults to 2048, the paper's width.
        dropout (float): Before the classifier. Defaults to 0.7.
        kernel_size (int): Of the convolution, odd. Defaults to 3.
    """

    def __init__(self,
                 num_classes: int,
                 stream_channels: Sequence[int] = (1024, 1024),
                 embed_channels: int = 2048,
                 dropout: float = 0.7,
                 kernel_size: int = 3,
                 video_ratio: float = 5) -> None:
        super().__init__(num_classes, stream_channels, embed_channels,
                         video_ratio)
        self.embed = MaskedConv(
            sum(stream_channels), embed_channels, kernel_size)
        self.classifier = nn.Conv1d(embed_channels, num_classes, 1, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor, valid: Tensor) -> BranchOutput:
        """(N, D, T), (N, 1, T) bool -> :class:`BranchOutput`."""
        self.split_streams(inputs)  # refuses another width
        feature = self.embed(inputs, valid).relu()
        cas = self.classifier(self.dropout(feature)).relu()
        attention = normalise(cas.sum(1, keepdim=True), valid)
        return BranchOutput(feature,
                            append_background(cas, attention) * valid,
                            attention)

    def score(self, output: BranchOutput, valid: Tensor) -> Scores:
        """Each class, min-max normalised over the video; for the video
        ``softmax_C`` of the best snippets."""
        cas = output.cas[:, :-1].relu()
        video = topk_pool(cas, valid, self.video_ratio).softmax(1)
        return Scores(normalise(cas, valid), output.attention, video)


def normalise(x: Tensor, valid: Tensor) -> Tensor:
    """Min-max over the valid snippets, (N, C, T); 0 where constant."""
    low = x.masked_fill(~valid, torch.inf).amin(-1, keepdim=True)
    high = x.masked_fill(~valid, -torch.inf).amax(-1, keepdim=True)
    return (x - low) / (high - low).clamp(min=1e-6) * valid


@MODELS.register_module()
class CoLALoss(WTALLoss):
    """``L_action + 0.01 L_SniCo`` (CoLA).

    A video without hard snippets adds nothing to the contrast, where the
    released code contrasts arbitrary ones.

    Args:
        easy_ratio (float): T / k of the easy snippets and of the video-level
            pooling. Defaults to 5.
        hard_ratio (float): T / k of the hard snippets. Defaults to 20.

    Raises:
        ValueError: For a ratio below 1.
    """

    # the share of the snippets that the easy mining does not see, at random
    mining_dropout = 0.6

    def __init__(self, easy_ratio: float = 5, hard_ratio: float = 20) -> None:
        super().__init__()
        if min(easy_ratio, hard_ratio) < 1:
            raise ValueError('expected ratios >= 1, got '
                             f'{easy_ratio=}, {hard_ratio=}')
        self.easy_ratio = easy_ratio
        self.hard_ratio = hard_ratio

    def classify(self, output: BranchOutput, label: Tensor,
                 valid: Tensor) -> dict[str, Tensor]:
        """See :class:`WTALLoss`."""
        pooled = topk_pool(output.cas[:, :-1], valid, self.easy_ratio)
        return dict(loss_action=binary_loss(pooled, label))

    def further_terms(self, output: BranchOutput, label: Tensor, valid: Tensor,
                      progress: float) -> dict[str, Tensor]:
        """See :class:`WTALLoss`."""
        cas = output.cas[:, :-1].detach()
        actions, backgrounds = self.mine(cas.sum(1, keepdim=True), valid)
        terms = torch.stack([
            contrast(output.feature, hard, easy, other)
            for (easy, hard), (other, _) in ((actions, backgrounds),
                                             (backgrounds, actions))
        ])
        return dict(loss_contrast=0.01 * terms.sum())

    def mine(
            self, actionness: Tensor, valid: Tensor
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Easy and hard snippets of the action, then of the background:
        (N, 1, T), (N, 1, T) bool -> twice (easy, hard), each (N, 1, T) bool.
        """
        length = valid.sum(-1, keepdim=True)
        easy_k = (length / self.easy_ratio).floor().clamp(min=1)
        hard_k = (length / self.hard_ratio).floor().clamp(min=1)
        seen = valid & (torch.rand_like(actionness) >= self.mining_dropout)
        hard_action, hard_background = hard_regions(actionness, valid)
        return ((choose_top(actionness, seen, easy_k),
                 choose_top(actionness, hard_action,
                            hard_k)), (choose_top(-actionness, seen, easy_k),
                                       choose_top(actionness, hard_background,
                                                  hard_k)))


def hard_regions(actionness: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Snippets near the borders of the active intervals (CoLA): actionness
    (N, 1, T) -> hard actions and hard backgrounds, (N, 1, T) bool.

    Active is what exceeds the video's median. Hard actions lie just inside
    (eroded by INNER but not by OUTER), hard backgrounds just outside (dilated
    by OUTER but not by INNER).
    """
    median = actionness.masked_fill(~valid, torch.nan).nanquantile(
        0.5, dim=-1, keepdim=True)
    active = (actionness > median) & valid
    return (erode(active, INNER) & ~erode(active, OUTER),
            dilate(active, OUTER) & ~dilate(active, INNER) & valid)


def binary_loss(video_logits: Tensor, label: Tensor) -> Tensor:
    """Binary cross-entropy between ``softmax_C`` of logits (N, C) and the
    normalised labels (N, C) multi-hot.

    The mean over the C classes: with many of them it nearly vanishes.
    """
    target = label / label.sum(1, keepdim=True).clamp(min=1)
    log_prob = video_logits.log_softmax(1)
    log_rest = torch.log1p(-log_prob.exp().clamp(max=1 - 1e-6))
    return -(target * log_prob + (1 - target) * log_rest).mean()


def contrast(feature: Tensor, query: Tensor, key: Tensor,
             negative: Tensor) -> Tensor:
    """InfoNCE of a mean snippet against a mean and single ones (CoLA).

    Features (N, E, T) and three sets of snippets, (N, 1, T) bool -> the mean
    over the videos with none of the three empty; 0 without such a video.
    """

    def mean(chosen: Tensor) -> Tensor:
        total = (feature * chosen).sum(-1)
        return F.normalize(total / chosen.sum(-1).clamp(min=1), dim=1)

    anchor = mean(query)
    near = (anchor * mean(key)).sum(1, keepdim=True) / TEMPERATURE
    far = torch.einsum('ne,net->nt', anchor, F.normalize(feature,
                                                         dim=1)) / TEMPERATURE
    far = far.masked_fill(~negative[:, 0], torch.finfo(far.dtype).min)
    loss = torch.cat([near, far], 1).logsumexp(1) - near[:, 0]
    whole = (query.any(-1) & key.any(-1) & negative.any(-1))[:, 0]
    return (loss * whole).sum() / whole.sum().clamp(min=1)


def choose_top(score: Tensor, among: Tensor, k: Tensor) -> Tensor:
    """The k (N, 1, 1) best snippets of a set (N, 1, T) bool, fewer where it
    holds fewer: (N, 1, T) bool."""
    return (snippet_rank(score, among) < k) & among


def dilate(x: Tensor, size: int) -> Tensor:
    """Binary dilation of (N, 1, T) bool by a window of ``size`` snippets."""
    left = (size - 1) // 2
    padded = F.pad(x.float(), (left, size - 1 - left))
    return F.max_pool1d(padded, size, stride=1) > 0


def erode(x: Tensor, size: int) -> Tensor:
    """Binary erosion; beyond the ends there is background."""
    left = size // 2
    padded = F.pad((~x).float(), (left, size - 1 - left), value=1.)
    return F.max_pool1d(padded, size, stride=1) == 0
