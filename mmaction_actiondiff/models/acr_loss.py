"""ACRNet's objective: classify the action and the background cluster.

Source: "Weakly-supervised Temporal Action Localization with Adaptive
Clustering and Refining Network", ICME 2023. Dimension letters: N videos,
C classes, T snippets.
"""
from __future__ import annotations

import torch
from mmaction.registry import MODELS
from torch import Tensor, nn

from .branches.acr import ACROutput
from .losses import gce_loss, mil_loss


def background_loss(logits: Tensor) -> Tensor:
    """``mean -log(1 - softmax_C)``: no class owns the background.

    Args:
        logits (Tensor): (N, C), pooled over the background snippets.
    """
    prob = logits.softmax(1).clamp(max=1 - 1e-6)
    return -torch.log1p(-prob).mean()


@MODELS.register_module()
class ACRLoss(nn.Module):
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

    def forward(self, branch: ACROutput, label: Tensor, valid: Tensor,
                *_) -> dict[str, Tensor]:
        """All three terms.

        Args:
            branch (ACROutput): Of the ``ACRBranch``.
            label (Tensor): (N, C) multi-hot.
            valid (Tensor): (N, 1, T) bool.

        Returns:
            dict[str, Tensor]: Finite scalars.
        """
        action, background, chosen = branch.pool(valid)
        present = chosen & (label > 0).unsqueeze(-1)
        union = present.any(1, keepdim=True).to(label.dtype)
        attention = torch.stack([
            gce_loss(stream, union, valid)
            for stream in branch.stream_attentions
        ]).sum()
        return dict(
            loss_action=mil_loss(action, label),
            loss_background=background_loss(background),
            loss_gce=self.attention_weight * 2 * attention)
