# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""DELU: CO2-Net's network and objective, and what the evidence is unsure of.

Source: M. Chen et al., "Dual-Evidential Learning for Weakly-supervised
Temporal Action Localization", ECCV 2022; its network is CO2-Net's
(:class:`CrossModalBranch`); THUMOS14 AVG 0.1:0.7: 46.4.
"""
from __future__ import annotations

import torch
from mmaction.registry import MODELS
from torch import Tensor

from ..branch import BranchOutput
from ..pooling import masked_mean, snippet_rank, suppress_background
from .co2net import CO2NetLoss, guide_gap

# Of the published code for THUMOS14 (for ActivityNet 1.2: 1.2, 0.2, 0.2).
EVIDENTIAL_WEIGHT = 1.3
PROGRESSIVE_WEIGHT = 0.4
AMPLITUDE = 0.7


def evidence(logits: Tensor) -> Tensor:
    """``exp(clip(logits, -10, 10))``, non-negative support of each class."""
    return logits.clamp(-10, 10).exp()


def evidential_loss(video_logits: Tensor, label: Tensor) -> Tensor:
    """Generalised evidential loss of multi-label videos.

    With the Dirichlet parameters ``alpha = evidence + 1``, ``S = sum_C
    alpha`` and the uncertainty ``u = C / S``:
    ``sum_c g_c (log S - log alpha_c)``, where the certainty is shared out
    among the labels by how little evidence they have:
    ``g_c = (1 - sg u) |y| (y_c / alpha_c) / sum_j (y_j / alpha_j)``.

    (N, C), (N, C) multi-hot -> the mean over the videos, where one without a
    label counts 0.
    """
    alpha = evidence(video_logits) + 1
    strength = alpha.sum(1, keepdim=True)
    certainty = 1 - (alpha.size(1) / strength).detach()
    share = label / alpha
    share = share / share.sum(1, keepdim=True).clamp(min=1e-8)
    weight = certainty * label.sum(1, keepdim=True) * share
    return (weight * (strength.log() - alpha.log())).sum(1).mean()


def snippet_uncertainty(logits: Tensor) -> Tensor:
    """``u = K / S`` of each snippet: (N, K, T) -> (N, 1, T) in (0, 1]."""
    return logits.size(1) / (evidence(logits) + 1).sum(1, keepdim=True)


def curriculum_weight(uncertainty: Tensor, valid: Tensor,
                      progress: float) -> Tensor:
    """Weights that move from the certain to the uncertain snippets.

    ``1 + 0.7 tanh((2 progress - 1) phi)``, where phi rises with the rank of
    the uncertainty (N, 1, T), from -1 for the surest snippet to 1. It is 1 on
    average over a video.
    """
    rank = snippet_rank(-uncertainty, valid)  # 0: the surest
    phi = 2 * (rank + 0.5) / valid.sum(-1, keepdim=True) - 1
    return 1 + AMPLITUDE * torch.tanh((2 * progress - 1) * phi)


def pool_by_attention(x: Tensor, attention: Tensor, valid: Tensor,
                      ratio: float) -> Tensor:
    """Mean over the ``T / ratio`` snippets, one at least, of highest
    attention: (N, C, T), (N, 1, T), (N, 1, T) bool -> (N, C)."""
    k = (valid.sum(-1, keepdim=True) / ratio).floor().clamp(min=1)
    chosen = (snippet_rank(attention.detach(), valid) < k) & valid
    return (x * chosen).sum(-1) / k[..., 0]


@MODELS.register_module()
class DELULoss(CO2NetLoss):
    """CO2-Net's terms, :func:`evidential_loss`, and the guide term once more,
    weighted by :func:`curriculum_weight`.

    The uncertainty ranks snippets here; the released code indexes with the
    sorting permutation instead of the ranks, so that its weights do not
    follow the uncertainty. Easy snippets come first, as the abstract says.

    Args:
        evidential_ratio (float): T / k of the pooling by attention. Defaults
            to 9 (ActivityNet 1.2: 5).
        kwargs: Of :class:`CO2NetLoss`.
    """

    guide_weight = 0.4

    def __init__(self, evidential_ratio: float = 9, **kwargs) -> None:
        super().__init__(**kwargs)
        self.evidential_ratio = evidential_ratio

    def further_terms(self, output: BranchOutput, label: Tensor, valid: Tensor,
                      progress: float) -> dict[str, Tensor]:
        """See :class:`WTALLoss`."""
        losses = super().further_terms(output, label, valid, progress)
        suppressed = suppress_background(output.cas, output.attention)
        pooled = pool_by_attention(suppressed[:, :-1], output.attention, valid,
                                   self.evidential_ratio)
        losses['loss_evidential'] = (
            EVIDENTIAL_WEIGHT * evidential_loss(pooled, label))
        weight = curriculum_weight(
            snippet_uncertainty(suppressed.detach()), valid, progress)
        gap = guide_gap(
            torch.cat([output.attention, *output.stream_attentions], 1),
            output.cas)
        losses['loss_progressive'] = (
            PROGRESSIVE_WEIGHT * masked_mean(weight * gap, valid).mean())
        return losses
