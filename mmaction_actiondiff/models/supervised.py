# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Full supervision of the same branch: the ceiling of weak supervision."""
from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from .branch import BranchOutput
from .localizer import DataSamples, WeakLocalizer
from .objective import mil_loss, with_background
from .pooling import masked_mean, suppress_background, topk_pool
from .wtal.mil import RATIOS


class SnippetTarget(NamedTuple):
    """What the ground truth says of each snippet.

    Attributes:
        share (Tensor): Covered by each class, (N, C, T) in [0, 1].
        action (Tensor): Covered by any, (N, 1, T) in [0, 1].
        trusted (Tensor): (N, 1, T) bool, False on padding and on snippets
            that touch an ambiguous segment.
    """

    share: Tensor
    action: Tensor
    trusted: Tensor


def coverage(segments,
             seconds_per_snippet: float,
             length: int,
             offset: float = 0.) -> Tensor:
    """The share of each of ``length`` snippets that each segment covers:
    (G, 2) in seconds, G may be 0, -> (G, T) in [0, 1], on the CPU.

    Snippet i covers [i, i + 1) times ``seconds_per_snippet``, after
    ``offset`` seconds.
    """
    spans = torch.as_tensor(segments, dtype=torch.float64).cpu().view(-1, 2, 1)
    start, end = ((spans - offset) / seconds_per_snippet).unbind(1)
    place = torch.arange(length, dtype=torch.float64)
    return (end.minimum(place + 1) - start.maximum(place)).clamp(min=0).float()


@MODELS.register_module()
class SnippetSupervisionLoss(nn.Module):
    """Cross-entropy at each snippet, and what the base learns of videos.

    ``loss_attention`` is the binary cross-entropy of every attention against
    the union of the classes, for a branch with attentions of its own;
    ``loss_mil_suppressed`` trains the video-level
    scores as in the weakly supervised base.
    """

    def forward(self, output: BranchOutput, label: Tensor, valid: Tensor,
                target: SnippetTarget) -> dict[str, Tensor]:
        """All terms, finite scalars; see :class:`WTALLoss`."""
        suppressed = suppress_background(output.cas, output.attention)
        target_classes = with_background(label, 0.)
        losses = dict(
            loss_classification=snippet_loss(output.cas, target),
            loss_mil_suppressed=torch.stack([
                mil_loss(topk_pool(suppressed, valid, ratio), target_classes)
                for ratio in RATIOS
            ]).mean())
        if output.stream_attentions:  # else it is a function of the CAS
            attention = torch.cat(
                [output.attention, *output.stream_attentions], 1)
            losses['loss_attention'] = attention_loss(attention, target)
        return losses


def snippet_loss(cas: Tensor, target: SnippetTarget) -> Tensor:
    """Cross-entropy of ``softmax_K(cas)`` (N, K, T) at the trusted snippets.

    The classes share ``action`` in proportion to their share, the background
    gets the rest.
    """
    total = target.share.sum(1, keepdim=True).clamp(min=1e-6)
    classes = target.share * target.action / total
    wanted = torch.cat([classes, 1 - target.action], 1)
    loss = -(wanted * cas.log_softmax(1)).sum(1, keepdim=True)
    return masked_mean(loss, target.trusted).mean()


def attention_loss(attention: Tensor, target: SnippetTarget) -> Tensor:
    """Binary cross-entropy of attentions (N, A, T) at the trusted snippets."""
    with torch.autocast(attention.device.type, enabled=False):
        loss = F.binary_cross_entropy(
            attention.float(),
            target.action.expand_as(attention).float(),
            reduction='none')
    return masked_mean(loss.mean(1, keepdim=True), target.trusted).mean()


@MODELS.register_module()
class SupervisedLocalizer(WeakLocalizer):
    """A :class:`WeakLocalizer` trained with the segments of the videos.

    The objective gets the share of each snippet that the ground truth
    covers where a weak one gets a pseudo-mask. Times are those of the data
    sample: the transforms move the segments with the snippets they take.
    """

    loss_type = SnippetSupervisionLoss

    def loss(self, inputs: Tensor, valid: Tensor, label: Tensor,
             data_samples: DataSamples) -> dict[str, Tensor]:
        """(N, D, T), (N, 1, T) bool, (N, C) -> dict of finite scalars."""
        return self.loss_module(
            self.base_branch(inputs, valid), label, valid,
            self.snippet_targets(data_samples, valid))

    def snippet_targets(self, data_samples: DataSamples,
                        valid: Tensor) -> SnippetTarget:
        """What the network should say at each snippet, (N, 1, T) valid or
        not, according to ``gt_instances`` of the samples."""
        length = valid.size(-1)
        masks, weights = [], []
        for sample in data_samples:
            truth, unit = sample.gt_instances, sample.seconds_per_snippet
            offset = sample.get('snippet_offset', 0.)
            share = coverage(truth.segments, unit, length, offset)
            labels = torch.as_tensor(truth.labels, dtype=torch.long).cpu()
            masks.append(
                share.new_zeros(self.num_classes,
                                length).index_add(0, labels, share))
            unclear = coverage(
                sample.get('ambiguous', ()), unit, length, offset)
            weights.append(unclear.sum(0, keepdim=True) == 0)
        mask = torch.stack(masks).clamp(max=1).to(valid.device) * valid
        weight = torch.stack(weights).to(valid.device) & valid
        return SnippetTarget(mask, mask.amax(1, keepdim=True), weight)
