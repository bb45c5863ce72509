"""Fusion: the smooth diffusion output weakens the discriminative base.

In training it erases what the diffusion has found, so that the losses on the
rest make the base find whole actions; at test time both opinions make the
scores.

Dimension letters: N videos, C classes, K = C + 1 with the background last,
T snippets.
"""
from __future__ import annotations

import torch
from mmaction.registry import MODELS
from torch import Tensor, nn

from ..branch import BranchOutput, Scores
from ..pooling import masked_mean
from .diffusion_head import DenoisedOutput

TRAIN_MODES = ('suppress', 'mixture', 'none')


@MODELS.register_module()
class ActionDiffFusion(nn.Module):
    """Bring the diffusion output into raw outputs and into scores.

    With the denoiser's probabilities ``p`` (N, C, T), the weight w and the
    stop-gradient ``sg``, training weakens the base's CAS (:meth:`weaken`):

    ============ =========================================================
    ``suppress`` ``cas - w sg(p) relu(cas - mean_T cas)``: soft erasing; the
                 background stays
    ``mixture``  ``log((1 - w) softmax_K(cas) + w p)``, p with the background
                 as the rest: the losses teach the denoiser, too
    ``none``     the base unchanged (ablation)
    ============ =========================================================

    and a test averages the class scores, ``(1 - w) class_score + w p``
    (:meth:`forward`). The attention becomes
    ``(1 - w_a) attention + w_a max_c p_c y_c`` in both.

    Args:
        train_mode (str): See the table. Defaults to 'suppress'.
        weight (float): w in [0, 1]. At test time 0 is the base alone, 1 the
            diffusion alone. Defaults to 0.5.
        attention_weight (float): w_a in [0, 1]. Defaults to 0: where a video
            holds several classes, the largest score is high nearly everywhere.

    Raises:
        ValueError: For an unknown mode or a weight out of range.
    """

    def __init__(self,
                 train_mode: str = 'suppress',
                 weight: float = 0.5,
                 attention_weight: float = 0.) -> None:
        super().__init__()
        if train_mode not in TRAIN_MODES:
            raise ValueError(f'fusion.train_mode must be one of {TRAIN_MODES},'
                             f' got {train_mode!r}')
        if not (0 <= weight <= 1 and 0 <= attention_weight <= 1):
            raise ValueError('fusion weights must lie in [0, 1], got '
                             f'{weight=}, {attention_weight=}')
        self.train_mode = train_mode
        self.weight = weight
        self.attention_weight = attention_weight

    @property
    def teaches(self) -> bool:
        """Whether losses on the weakened output reach the denoiser."""
        return self.train_mode == 'mixture' or (self.train_mode != 'none'
                                                and self.attention_weight > 0)

    def weaken(self,
               output: BranchOutput,
               denoised: DenoisedOutput,
               label: Tensor,
               valid: Tensor,
               ramp: float = 1.) -> BranchOutput:
        """What the losses of training see.

        Args:
            output (BranchOutput): Of the base.
            denoised (DenoisedOutput): Of the diffusion head.
            label (Tensor): (N, C) multi-hot.
            valid (Tensor): (N, 1, T) bool.
            ramp (float): 0 = base alone … 1 = full fusion, the warm-up.
        """
        if self.train_mode == 'none':
            return output
        weight = self.weight * ramp
        if self.train_mode == 'mixture':
            mixed = output.cas.softmax(1).lerp(
                with_background(denoised.prob), weight)
            cas = (mixed + 1e-6).log()
        else:
            classes, background = output.cas[:, :-1], output.cas[:, -1:]
            above = (classes - masked_mean(classes, valid)).relu()
            classes = classes - weight * denoised.prob.detach() * above
            cas = torch.cat([classes, background], 1)
        return output._replace(
            cas=cas * valid,
            attention=self.fuse_attention(output.attention, denoised, label,
                                          valid, ramp))

    def forward(self, base: Scores, denoised: DenoisedOutput, classes: Tensor,
                valid: Tensor) -> Scores:
        """What the proposals of a test are made of.

        Args:
            base (Scores): Of the base branch; its video scores stay.
            denoised (DenoisedOutput): Of the diffusion head.
            classes (Tensor): The predicted ones, (N, C) multi-hot.
            valid (Tensor): (N, 1, T) bool.
        """
        return Scores(
            base.class_score.lerp(denoised.prob, self.weight) * valid,
            self.fuse_attention(base.attention, denoised, classes, valid),
            base.video_score)

    def fuse_attention(self,
                       attention: Tensor,
                       denoised: DenoisedOutput,
                       label: Tensor,
                       valid: Tensor,
                       ramp: float = 1.) -> Tensor:
        """(N, 1, T) -> (N, 1, T), see the class."""
        share = self.attention_weight * ramp
        if not share:
            return attention
        any_action = (denoised.prob * label.unsqueeze(-1)).amax(
            1, keepdim=True)
        return attention.lerp(any_action, share) * valid


def with_background(prob: Tensor) -> Tensor:
    """(N, C, T), at most 1 in sum -> (N, K, T), the background as the rest."""
    return torch.cat([prob, 1 - prob.sum(1, keepdim=True)], 1).clamp(min=0)


def peak_ratio(score: Tensor, label: Tensor, valid: Tensor) -> Tensor:
    """``max_T / mean_T`` of the present classes' score, averaged; a scalar.

    The measure of over-discrimination: it must not rise through fusion.

    Args:
        score (Tensor): (N, C, T), non-negative.
        label (Tensor): (N, C) multi-hot.
        valid (Tensor): (N, 1, T) bool.
    """
    peak = (score * valid).amax(-1)
    ratio = peak / masked_mean(score, valid).squeeze(-1).clamp(min=1e-6)
    return (ratio * label).sum() / label.sum().clamp(min=1)
