# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""The objective: the base's losses, and what the diffusion branch adds.

No term sees what is not ``valid``.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from ..branch import BranchOutput
from ..objective import WTALLoss
from ..wtal.mil import present_logits
from .diffusion_head import DenoisedOutput
from .mask_generator import PseudoMask


@MODELS.register_module()
class ActionDiffLoss(nn.Module):
    """``L_base + w_d L_diffusion + part (w_f L_fused + w_c L_completed)``.

    ``L_diffusion`` is the mean of :func:`diffusion_loss` over one random step
    and the pass from pure noise, where sampling starts. ``L_fused`` and
    ``L_completed`` are the classification terms of the base's loss on the
    weakened and on the completed output. A weight of 0 switches a term off,
    and it is then not computed.

    Args:
        base (dict, optional): Config of the base branch's loss
            (``models/wtal``). Defaults to ``PresentClassLoss``.
        diffusion_weight (float): w_d. Defaults to 1.
        fused_weight (float): w_f. Defaults to 1.
        completed_weight (float): w_c. Defaults to 1.

    Raises:
        ValueError: When ``base`` is no loss of a base branch.
    """

    def __init__(self,
                 base: dict | None = None,
                 diffusion_weight: float = 1.,
                 fused_weight: float = 1.,
                 completed_weight: float = 1.) -> None:
        super().__init__()
        self.base = MODELS.build({'type': 'PresentClassLoss', **(base or {})})
        if not isinstance(self.base, WTALLoss):
            raise ValueError('loss.base must be a loss of models/wtal, got '
                             f'{type(self.base).__name__}')
        self.diffusion_weight = diffusion_weight
        self.fused_weight = fused_weight
        self.completed_weight = completed_weight

    def forward(self,
                output: BranchOutput,
                label: Tensor,
                valid: Tensor,
                *,
                progress: float,
                pseudo: PseudoMask,
                denoised: DenoisedOutput,
                generated: DenoisedOutput,
                weakened: BranchOutput,
                completed: BranchOutput,
                part: Tensor | float = 1.) -> dict[str, Tensor]:
        """All terms, finite scalars; every key starts with ``loss_``.

        Args:
            output, label, valid, progress: See :class:`WTALLoss`.
            pseudo (PseudoMask): The pseudo-labels.
            denoised (DenoisedOutput): One training step of the diffusion
                head, from the noised mask.
            generated (DenoisedOutput): What the head makes of pure noise,
                where sampling starts: both learn the mask, half each.
            weakened (BranchOutput): ``output``, weakened by ``generated``.
            completed (BranchOutput): ``output``, averaged with the same.
            part (Tensor | float): How far both take part, in [0, 1]: the
                warm-up times the trust in the branch.
        """
        losses = self.base(output, label, valid, progress)
        if self.diffusion_weight:
            losses['loss_diffusion'] = self.diffusion_weight * torch.stack([
                diffusion_loss(answer.logits, pseudo, label, valid)
                for answer in (denoised, generated)
            ]).mean()
        for kind, weight, answer in (('fused', self.fused_weight, weakened),
                                     ('completed', self.completed_weight,
                                      completed)):
            if weight:
                terms = self.base.classify(answer, label, valid)
                losses.update({
                    f'{name}_{kind}': weight * part * term
                    for name, term in terms.items()
                })
        return losses


def diffusion_loss(logits: Tensor, pseudo: PseudoMask, label: Tensor,
                   valid: Tensor) -> Tensor:
    """Cross-entropy of the denoiser against the mask.

    ``sum_t w_t CE_t / sum_t w_t`` over the snippets of the batch, with the
    softmax over the classes and a background of logit 0. The classes that
    claim a snippet share it, the background gets the rest. A snippet that no
    class claims weighs 0 where a present class ignores it; absent classes are
    known to be absent. Logits are (N, C, T), labels (N, C) multi-hot.
    """
    target, weight = mask_target(pseudo, label, valid)
    log_prob = F.pad(logits, (0, 0, 0, 1)).log_softmax(1)
    loss = -(target * log_prob).sum(1, keepdim=True)
    return (loss * weight).sum() / weight.sum().clamp(min=1)


def mask_target(pseudo: PseudoMask, label: Tensor,
                valid: Tensor) -> tuple[Tensor, Tensor]:
    """What the denoiser is compared with: a distribution over the K classes
    of each snippet, (N, K, T), and the weight of the snippet, (N, 1, T)."""
    mask = pseudo.mask
    share = mask / mask.sum(1, keepdim=True).clamp(min=1)
    # sums of shares may exceed 1 by a rounding error
    rest = (1 - share.sum(1, keepdim=True)).clamp(min=0)
    target = torch.cat([share, rest], 1)
    absent = (label <= 0).unsqueeze(-1) & valid
    trusted = (pseudo.weight + absent).amin(1, keepdim=True)
    return target, trusted.maximum(mask.amax(1, keepdim=True))


@torch.no_grad()
def branch_skill(logits: Tensor, pseudo: PseudoMask, label: Tensor,
                 valid: Tensor) -> Tensor:
    """How much better the branch knows *when* the classes of a video occur
    than somebody who knows how long each takes in all; a scalar in [-1, 1].

    ``1 - sum_n CE_n / sum_n H_n``: CE_n is the mean cross-entropy of video n
    between its classes (and the background) against its mask, H_n the entropy
    of the mask's mean over time. Up to 0, the masks have no pattern that the
    branch can tell from the features. The logits (N, C, T) are those of a
    pass that has not seen the mask; labels are (N, C) multi-hot.
    """
    target, weight = mask_target(pseudo, label, valid)
    present = present_logits(logits, label)
    log_prob = F.pad(present, (0, 0, 0, 1)).log_softmax(1)
    size = weight.sum(-1).clamp(min=1)
    loss = -(target * log_prob * weight).sum((1, 2)) / size[:, 0]
    mean = (target * weight).sum(-1) / size
    entropy = -torch.xlogy(mean, mean).sum(1)
    skill = 1 - loss.sum() / entropy.sum().clamp(min=1e-6)
    return skill.clamp(min=-1)
