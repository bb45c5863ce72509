"""Full supervision of the same branch: the ceiling of weak supervision.

Dimension letters: N videos, C classes, K = C + 1 with the background last,
T snippets, G ground-truth segments.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from .branches.base import (BranchOutput, masked_mean, suppress_background,
                            topk_pool)
from .losses import mil_loss, with_background
from .mask_generator import PseudoMask
from .weak_localizer import DataSamples, WeakLocalizer, valid_snippets


@MODELS.register_module()
class SupervisedLocalizer(WeakLocalizer):
    """A :class:`WeakLocalizer` trained with the segments of the videos.

    The objective gets the share of each snippet that the ground truth
    covers where a weak one gets a pseudo-mask. Times are those of the data
    sample: the transforms move the segments with the snippets they take.
    """

    def loss(self, inputs: Tensor,
             data_samples: DataSamples) -> dict[str, Tensor]:
        """(N, D, T) -> dict of finite scalars."""
        valid = valid_snippets(inputs, data_samples)
        return self.loss_module(
            self.base_branch(inputs, valid),
            self.stack_labels(inputs, data_samples), valid,
            self.snippet_targets(data_samples, valid))

    def snippet_targets(self, data_samples: DataSamples,
                        valid: Tensor) -> PseudoMask:
        """What the network should say at each snippet.

        Args:
            data_samples (Sequence[ActionDataSample]): With ``gt_instances``.
            valid (Tensor): (N, 1, T) bool.

        Returns:
            PseudoMask: ``mask`` is the covered share in [0, 1]; ``weight`` is
            0 on padding and on snippets that touch an ambiguous segment.
        """
        length = valid.size(-1)
        masks, weights = [], []
        for sample in data_samples:
            truth, unit = sample.gt_instances, sample.seconds_per_snippet
            share = coverage(truth.segments, unit, length)
            labels = torch.as_tensor(truth.labels, dtype=torch.long).cpu()
            masks.append(
                share.new_zeros(self.num_classes,
                                length).index_add(0, labels, share))
            unclear = coverage(sample.get('ambiguous', ()), unit, length)
            weights.append(unclear.sum(0, keepdim=True) == 0)
        mask = torch.stack(masks).clamp(max=1).to(valid.device) * valid
        weight = torch.stack(weights).to(valid.device) & valid
        return PseudoMask(mask,
                          weight.expand_as(mask).to(mask.dtype),
                          mask.amax(1, keepdim=True))


def coverage(segments, seconds_per_snippet: float, length: int) -> Tensor:
    """The share of each snippet that each segment covers.

    Args:
        segments (array-like): (G, 2) in seconds, G may be 0.
        seconds_per_snippet (float): Snippet i covers [i, i + 1) times this.
        length (int): T.

    Returns:
        Tensor: (G, T) in [0, 1], on the CPU.
    """
    spans = torch.as_tensor(segments, dtype=torch.float64).cpu().view(-1, 2, 1)
    start, end = (spans / seconds_per_snippet).unbind(1)
    place = torch.arange(length, dtype=torch.float64)
    return (end.minimum(place + 1) - start.maximum(place)).clamp(min=0).float()


@MODELS.register_module()
class SupervisedLoss(nn.Module):
    """Cross-entropy at each snippet, and what the base learns of videos.

    Args:
        attention_weight (float): Of the binary cross-entropy of every
            attention against the union of the classes. Defaults to 1.
        mil_weight (float): Of L_mil_s, which trains the video-level scores
            as in the weakly supervised base. Defaults to 1.
        mil_ratio (float): r of its pooling. Defaults to 7.
    """

    def __init__(self,
                 attention_weight: float = 1.,
                 mil_weight: float = 1.,
                 mil_ratio: float = 7) -> None:
        super().__init__()
        self.attention_weight = attention_weight
        self.mil_weight = mil_weight
        self.mil_ratio = mil_ratio

    def forward(self, branch: BranchOutput, label: Tensor, valid: Tensor,
                target: PseudoMask) -> dict[str, Tensor]:
        """All terms.

        Args:
            branch (BranchOutput): Of any branch.
            label (Tensor): (N, C) multi-hot.
            valid (Tensor): (N, 1, T) bool.
            target (PseudoMask): See :class:`SupervisedLocalizer`.

        Returns:
            dict[str, Tensor]: Finite scalars.
        """
        trusted = target.weight[:, :1] > 0
        attention = torch.cat([branch.attention, *branch.stream_attentions], 1)
        suppressed = suppress_background(branch.cas, branch.attention)
        pooled = topk_pool(suppressed, valid, self.mil_ratio)
        return dict(
            loss_classification=snippet_loss(branch.cas, target, trusted),
            loss_attention=self.attention_weight *
            attention_loss(attention, target.agnostic, trusted),
            loss_mil_suppressed=self.mil_weight *
            mil_loss(pooled, with_background(label, 0.)))


def snippet_loss(cas: Tensor, target: PseudoMask, trusted: Tensor) -> Tensor:
    """Cross-entropy of ``softmax_K(cas)`` at the trusted snippets.

    The classes share ``agnostic`` in proportion to their mask, the
    background gets the rest.

    Args:
        cas (Tensor): (N, K, T).
        target (PseudoMask): With ``mask`` (N, C, T) in [0, 1].
        trusted (Tensor): (N, 1, T) bool.
    """
    total = target.mask.sum(1, keepdim=True).clamp(min=1e-6)
    classes = target.mask * target.agnostic / total
    wanted = torch.cat([classes, 1 - target.agnostic], 1)
    loss = -(wanted * cas.log_softmax(1)).sum(1, keepdim=True)
    return masked_mean(loss, trusted).mean()


def attention_loss(attention: Tensor, target: Tensor,
                   trusted: Tensor) -> Tensor:
    """Binary cross-entropy of all attentions at the trusted snippets.

    Args:
        attention (Tensor): (N, A, T) in [0, 1], A attentions.
        target (Tensor): (N, 1, T) in [0, 1].
        trusted (Tensor): (N, 1, T) bool.
    """
    with torch.autocast(attention.device.type, enabled=False):
        loss = F.binary_cross_entropy(
            attention.float(),
            target.expand_as(attention).float(),
            reduction='none')
    return masked_mean(loss.mean(1, keepdim=True), trusted).mean()
