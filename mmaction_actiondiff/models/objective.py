# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""The contract of a weakly supervised loss, and the loss of all of them."""
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .branch import BranchOutput


class WTALLoss(nn.Module):
    """Loss of a base branch, from video-level labels.

    It stands alone in a ``WeakLocalizer``, or as ``base`` in an
    ``ActionDiffLoss``, which applies :meth:`classify` once more to the
    weakened and to the completed output.
    """

    def forward(self,
                output: BranchOutput,
                label: Tensor,
                valid: Tensor,
                progress: float = 0.5) -> dict[str, Tensor]:
        """All terms, finite scalars; every key starts with ``loss_``, else a
        ValueError is raised.

        Args:
            output (BranchOutput): Of the branch.
            label (Tensor): (N, C) multi-hot.
            valid (Tensor): (N, 1, T) bool; no term sees the rest.
            progress (float): Share of the training that is over, in [0, 1].
        """
        terms = self.classify(output, label, valid) | self.further_terms(
            output, label, valid, progress)
        # MMEngine adds up those with "loss" in their name
        other = [key for key in terms if not key.startswith('loss_')]
        if other:
            raise ValueError(f'{type(self).__name__}: the name of a term '
                             f'starts with "loss_", got {other}')
        return terms

    def classify(self, output: BranchOutput, label: Tensor,
                 valid: Tensor) -> dict[str, Tensor]:
        """The terms that compare pooled scores with the labels alone."""
        raise NotImplementedError

    def further_terms(self, output: BranchOutput, label: Tensor, valid: Tensor,
                      progress: float) -> dict[str, Tensor]:
        """The other terms of a method; by default none."""
        return {}


def mil_loss(video_logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of logits (N, K) against a multi-hot target (N, K),
    normalised here to a distribution (W-TALC)."""
    target = target / target.sum(1, keepdim=True).clamp(min=1)
    return -(target * video_logits.log_softmax(1)).sum(1).mean()


def with_background(label: Tensor, value: float) -> Tensor:
    """Append the background's label: (N, C) -> (N, K)."""
    return F.pad(label, (0, 1), value=value)
