# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Fusion: the smooth diffusion output weakens the discriminative base.

In training it erases what the diffusion has found, so that the losses on the
rest make the base find whole actions; at test time both opinions make the
scores.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from ..branch import BranchOutput, Scores
from ..pooling import masked_mean
from .diffusion_head import DenoisedOutput
from .mask_generator import PseudoMask


@MODELS.register_module()
class ActionDiffFusion(nn.Module):
    """Bring the diffusion output into raw outputs and into scores.

    With the denoiser's probabilities ``p`` (N, C, T), the weight w and the
    stop-gradient ``sg``, training erases softly from the base's CAS what the
    diffusion has found (:meth:`weaken`),

    ``cas - w sg(p) relu(cas - mean_T cas)``,

    which teaches the base to find the rest, and averages both
    (:meth:`complete`),

    ``log((1 - w) sg(softmax_K cas) + w p_K)``,

    with the background in ``p_K``, which teaches the branch what the base
    lacks. A test averages the class scores (:meth:`forward`),

    ``(1 - w) class_score + w p``;

    the attention and the video scores stay the base's.

    Args:
        weight (float): w in [0, 1]. At test time 0 is the base alone, 1 the
            diffusion alone. Defaults to 0.5.

    Raises:
        ValueError: For a weight out of range.
    """

    def __init__(self, weight: float = 0.5) -> None:
        super().__init__()
        if not 0 <= weight <= 1:
            raise ValueError(f'fusion.weight must lie in [0, 1], got {weight}')
        self.weight = weight

    def weaken(self,
               output: BranchOutput,
               denoised: DenoisedOutput,
               pseudo: PseudoMask,
               valid: Tensor,
               ramp: Tensor | float = 1.) -> BranchOutput:
        """What the losses of training see.

        Erasing lets the next best snippets of a class rise. The class scores
        of those that its mask is certain are background get no gradient of
        their own, so that they do not. (Absent classes and attentions keep
        theirs. An attention that follows from the CAS would sink with the
        absent classes until nothing is an action: there all keep it.)

        Args:
            output (BranchOutput): Of the base.
            denoised (DenoisedOutput): Of the diffusion head.
            pseudo (PseudoMask): The masks.
            valid (Tensor): (N, 1, T) bool.
            ramp (Tensor | float): 0 = base alone … 1 = full fusion.
        """
        classes, background = output.cas[:, :-1], output.cas[:, -1:]
        above = (classes - masked_mean(classes, valid)).relu()
        share = self.weight * ramp * denoised.prob.detach()
        classes = (classes - share * above) * valid
        if output.stream_attentions:
            classes = torch.where(pseudo.background, classes.detach(), classes)
        return output._replace(cas=torch.cat([classes, background], 1))

    def complete(self, output: BranchOutput, denoised: DenoisedOutput,
                 valid: Tensor) -> BranchOutput:
        """What the branch is taught with: the average that a test makes.

        Args:
            output (BranchOutput): Of the base; gets no gradient.
            denoised (DenoisedOutput): Of the diffusion head.
            valid (Tensor): (N, 1, T) bool.
        """
        base = output.cas.detach().softmax(1)
        branch = F.pad(denoised.logits, (0, 0, 0, 1)).softmax(1)
        both = base.lerp(branch, self.weight)
        return BranchOutput(output.feature.detach(),
                            (both + 1e-6).log() * valid,
                            (1 - both[:, -1:]) * valid)

    def forward(self,
                base: Scores,
                denoised: DenoisedOutput,
                trust: Tensor | float = 1.) -> Scores:
        """What the proposals of a test are made of.

        Args:
            base (Scores): Of the base branch.
            denoised (DenoisedOutput): Of the diffusion head.
            trust (Tensor | float): Factor of the weight, in [0, 1].
        """
        difference = denoised.prob - base.class_score
        return Scores(base.class_score + self.weight * trust * difference,
                      base.attention, base.video_score)


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
