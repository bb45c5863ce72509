"""Every term of the objective, one function per equation.

Dimension letters: N videos, E embedding channels, C classes, K = C + 1 with
the background last, T snippets. ``valid`` (N, 1, T) marks what is not
padding; no term sees the rest. ``docs/method.md`` 6 lists them.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from .branches.base import (BranchOutput, masked_mean, suppress_background,
                            topk_pool)

if TYPE_CHECKING:
    from .diffusion_head import DenoisedOutput
    from .mask_generator import PseudoMask


def mil_loss(video_logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy against the label distribution (W-TALC).

    Args:
        video_logits (Tensor): (N, K).
        target (Tensor): (N, K) multi-hot, normalised here.
    """
    target = target / target.sum(1, keepdim=True).clamp(min=1)
    return -(target * video_logits.log_softmax(1)).sum(1).mean()


def norm_loss(attention: Tensor, valid: Tensor) -> Tensor:
    """Mean attention: actions are sparse (CO2-Net, L_norm)."""
    return masked_mean(attention, valid).mean()


def guide_loss(attention: Tensor, cas: Tensor, valid: Tensor) -> Tensor:
    """``mean |1 - attention - softmax_K(cas)_background|`` (CO2-Net)."""
    background = cas.softmax(1)[:, -1:]
    return masked_mean((1 - attention - background).abs(), valid).mean()


def mutual_loss(first: Tensor, second: Tensor, valid: Tensor) -> Tensor:
    """Each stream's attention is the other's target (CO2-Net, L_ml)."""

    def mse(x: Tensor, target: Tensor) -> Tensor:
        return masked_mean((x - target.detach())**2, valid).mean()

    return (mse(first, second) + mse(second, first)) / 2


def co_activity_loss(feature: Tensor,
                     cas: Tensor,
                     label: Tensor,
                     valid: Tensor,
                     margin: float = 0.5) -> Tensor:
    """Videos that share a class look alike where it is active.

    W-TALC (Paul et al., ECCV 2018): with class-wise attention
    ``softmax_T(cas_c)``, high and low region features H and L, and cosine
    distance d, the mean over pairs (i, j) that share a class of
    ``(relu(d(Hi,Hj) - d(Hi,Lj) + margin)
    + relu(d(Hi,Hj) - d(Li,Hj) + margin)) / 2``. Zero without such a pair.

    Args:
        feature (Tensor): (N, E, T).
        cas (Tensor): (N, K, T).
        label (Tensor): (N, C) multi-hot.
    """
    video, action = label.nonzero(as_tuple=True)  # M present (video, class)
    same = action.unsqueeze(0) == action.unsqueeze(1)
    pair = same.triu(diagonal=1)  # distinct videos: a class occurs once each
    valid = valid[video]
    lowest = torch.finfo(cas.dtype).min
    weight = cas[video, action].unsqueeze(1).masked_fill(~valid,
                                                         lowest).softmax(-1)
    rest = (1 - weight) * valid
    rest = rest / (valid.sum(-1, keepdim=True) - 1).clamp(min=1)
    region = torch.cat([weight, rest], 1)  # (M, 2, T)
    embedded = torch.einsum('met,mrt->mre', feature[video], region)
    high, low = F.normalize(embedded, dim=-1).unbind(1)
    near = 1 - high @ high.T
    apart = 1 - high @ low.T  # [i, j] = d(Hi, Lj)
    hinge = (near - apart + margin).relu() + (near - apart.T + margin).relu()
    return (hinge * pair).sum() / 2 / pair.sum().clamp(min=1)


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


def uncertainty_margin_loss(cas: Tensor, mask: Tensor, valid: Tensor,
                            margin: float) -> Tensor:
    """``(relu(margin - |mean_T cas m|) + |mean_T cas (1 - m)|)^2``.

    Feature-magnitude separation (Lee et al., AAAI 2021) on the CAS, as the
    authors' earlier code has it; the norm is over the classes.

    Args:
        cas, mask (Tensor): (N, C, T), logits and {0, 1}.
    """

    def magnitude(x: Tensor) -> Tensor:
        return (masked_mean(x, valid)**2).sum(1).add(1e-12).sqrt()

    action = magnitude(cas * mask)
    background = magnitude(cas * (1 - mask))
    return ((margin - action).relu() + background).square().mean()


def learned_entries(pseudo: PseudoMask, label: Tensor, valid: Tensor,
                    num_negatives: int | None) -> Tensor:
    """Which entries of the mask the denoiser is to learn: (N, C, T) in {0,1}.

    The present classes where the mask is trusted, and ``num_negatives``
    randomly drawn absent classes per video (None: all), whose mask is empty.
    """
    if num_negatives == 0:
        return pseudo.weight
    if num_negatives is None:
        return pseudo.weight + ((label <= 0).unsqueeze(-1) & valid)
    lottery = torch.rand(
        label.shape, device=label.device).masked_fill(label > 0, 2.)
    num_negatives = min(num_negatives, label.size(1))
    last = lottery.topk(num_negatives, dim=1, largest=False).values[:, -1:]
    drawn = (lottery <= last) & (label <= 0)
    return pseudo.weight + (drawn.unsqueeze(-1) & valid)


def diffusion_loss(denoised: DenoisedOutput,
                   mask: Tensor,
                   weight: Tensor,
                   kind: str = 'bce') -> Tensor:
    """``sum(w l(o, m)) / sum(w)``, scaled by the timestep's SNR weight.

    Normalised by the number of weighted entries, never by C: averaging over
    200 classes would leave nothing to learn from.

    Args:
        denoised (DenoisedOutput): With the logits o and probabilities p
            (N, C, T), and ``snr_weight`` (N,) in [0, 1], the min-SNR weight
            (Hang et al., ICCV 2023) of the sampled timesteps.
        mask (Tensor): m (N, C, T) in {0, 1}.
        weight (Tensor): w (N, C, T).
        kind (str): 'bce' of ``sigmoid(o)``, 'mse' between p and m, or 'ce' of
            the softmax over the classes and a background of logit 0. For
            'ce' the classes that claim a snippet share it, the background
            gets the rest, and a snippet weighs as much as its least trusted
            class.

    Raises:
        ValueError: For another ``kind``.
    """
    if kind == 'ce':
        share = mask / mask.sum(1, keepdim=True).clamp(min=1)
        target = torch.cat([share, 1 - share.sum(1, keepdim=True)], 1)
        logits = F.pad(denoised.logits, (0, 0, 0, 1))
        loss = -(target * logits.log_softmax(1)).sum(1, keepdim=True)
        weight = weight.amin(1, keepdim=True)
    elif kind == 'bce':
        loss = F.binary_cross_entropy_with_logits(
            denoised.logits, mask, reduction='none')
    elif kind == 'mse':
        loss = (denoised.prob - mask)**2
    else:
        raise ValueError(
            f"diffusion loss must be 'bce', 'ce' or 'mse', got {kind}")
    if denoised.snr_weight is not None:
        loss = loss * denoised.snr_weight.view(-1, 1, 1)
    return (loss * weight).sum() / weight.sum().clamp(min=1)


def smoothness_loss(logits: Tensor, label: Tensor, valid: Tensor) -> Tensor:
    """Truncated smoothness of the denoised sequence over the present classes.

    ``mean min((log p_t - sg log p_{t-1})^2, 16)`` (MS-TCN, Farha and Gall,
    CVPR 2019, with ``p = sigmoid(o)``).
    """
    log_prob = F.logsigmoid(logits)
    step = (log_prob[..., 1:] - log_prob[..., :-1].detach())**2
    chosen = label.unsqueeze(-1) * (valid[..., 1:] & valid[..., :-1])
    return (step.clamp(max=16) * chosen).sum() / chosen.sum().clamp(min=1)


def consistency_loss(branch: BranchOutput,
                     fused: BranchOutput,
                     generated: DenoisedOutput,
                     label: Tensor,
                     valid: Tensor,
                     teacher: BranchOutput | None = None) -> Tensor:
    """The base's attention follows the diffusion, the fused CAS the teacher.

    ``MSE(attention, sg max_c p_c y_c)`` and, where the masks come from an EMA
    teacher, ``MSE(softmax(fused cas), sg softmax(teacher cas))`` summed over
    the K classes.
    """
    any_action = (generated.prob * label.unsqueeze(-1)).amax(1, True)
    loss = masked_mean((branch.attention - any_action.detach())**2,
                       valid).mean()
    if teacher is not None:
        gap = fused.cas.softmax(1) - teacher.cas.detach().softmax(1)
        loss = loss + masked_mean(gap**2, valid).sum(1).mean()
    return loss


def with_background(label: Tensor, value: float) -> Tensor:
    """Append the background's label: (N, C) -> (N, K)."""
    return F.pad(label, (0, 1), value=value)


@MODELS.register_module()
class ActionDiffLoss(nn.Module):
    """The weighted sum of the terms above.

    A weight of 0 switches a term off, and it is then not computed. The terms
    of the diffusion branch are left out when it did not run (warm-up, or a
    localizer without one).

    Args:
        mil_ratio (float | Sequence[float]): r of the pooling; the loss is
            the mean over several. Defaults to 7 (THUMOS14).
        mil_weight (float): Of L_mil and L_mil_s on the base. Defaults to 1.
        suppressed_weight (float): Of L_mil_s next to L_mil. Defaults to 1.
        fused_weight (float): Of the same two on the fused branch, times the
            ramp. Defaults to 1.
        norm_weight, guide_weight, mutual_weight, co_activity_weight (float):
            CO2-Net's terms. Default to 0.8, 0.8, 1 and 1.
        gce_weight, margin_weight (float): Default to 0.
        margin (float): Of ``uncertainty_margin_loss``. Defaults to 1.
        diffusion_weight (float): Defaults to 0.5.
        diffusion_kind (str): 'bce', 'mse' or 'ce', the last for a diffusion
            head with ``x_0_activation='softmax'``. Defaults to 'bce'.
        num_negatives (int, optional): Absent classes per video in the
            diffusion loss; None for all, as 'ce' needs. Defaults to 1.
        smooth_weight (float): Of the truncated smoothness. Defaults to 0.1.
        consistency_weight (float): Times the ramp. Defaults to 0.1.

    Raises:
        ValueError: For a ratio below 1, or 'ce' without all negatives.
    """

    def __init__(self,
                 mil_ratio: float | Sequence[float] = 7,
                 mil_weight: float = 1.,
                 suppressed_weight: float = 1.,
                 fused_weight: float = 1.,
                 norm_weight: float = 0.8,
                 guide_weight: float = 0.8,
                 mutual_weight: float = 1.,
                 co_activity_weight: float = 1.,
                 gce_weight: float = 0.,
                 margin_weight: float = 0.,
                 margin: float = 1.,
                 diffusion_weight: float = 0.5,
                 diffusion_kind: str = 'bce',
                 num_negatives: int | None = 1,
                 smooth_weight: float = 0.1,
                 consistency_weight: float = 0.1) -> None:
        super().__init__()
        if isinstance(mil_ratio, (int, float)):
            mil_ratio = [mil_ratio]
        if min(mil_ratio) < 1:
            raise ValueError(f'mil_ratio must be >= 1, got {mil_ratio}')
        if diffusion_kind == 'ce' and num_negatives is not None:
            raise ValueError("diffusion_kind='ce' learns all classes of a "
                             'snippet at once: set num_negatives=None, got '
                             f'{num_negatives}')
        self.mil_ratios = mil_ratio
        self.mil_weight = mil_weight
        self.suppressed_weight = suppressed_weight
        self.fused_weight = fused_weight
        self.norm_weight = norm_weight
        self.guide_weight = guide_weight
        self.mutual_weight = mutual_weight
        self.co_activity_weight = co_activity_weight
        self.gce_weight = gce_weight
        self.margin_weight = margin_weight
        self.margin = margin
        self.diffusion_weight = diffusion_weight
        self.diffusion_kind = diffusion_kind
        self.num_negatives = num_negatives
        self.smooth_weight = smooth_weight
        self.consistency_weight = consistency_weight

    def forward(self,
                branch: BranchOutput,
                label: Tensor,
                valid: Tensor,
                pseudo: PseudoMask | None = None,
                denoised: DenoisedOutput | None = None,
                generated: DenoisedOutput | None = None,
                fused: BranchOutput | None = None,
                teacher: BranchOutput | None = None,
                ramp: float = 1.) -> dict[str, Tensor]:
        """All terms that apply.

        Args:
            branch (BranchOutput): Of the base.
            label (Tensor): (N, C) multi-hot.
            valid (Tensor): (N, 1, T) bool.
            pseudo (PseudoMask, optional): The pseudo-labels.
            denoised (DenoisedOutput, optional): One training step of the
                diffusion head, from the noised mask.
            generated (DenoisedOutput, optional): What it makes of pure
                noise, the source of ``fused``.
            fused (BranchOutput, optional): After fusion.
            teacher (BranchOutput, optional): Of the EMA teacher.
            ramp (float): Progress of the warm-up in [0, 1].

        Returns:
            dict[str, Tensor]: Finite scalars, every key starts with
            ``loss_``.
        """
        losses = self._base_terms(branch, label, valid)
        if pseudo is not None:
            losses.update(self._mask_terms(branch, pseudo, valid))
        if pseudo and denoised and generated and fused:
            losses.update(
                self._diffusion_terms(branch, label, valid, pseudo, denoised,
                                      generated, fused, teacher, ramp))
        return losses

    def _mil_terms(self, branch: BranchOutput, label: Tensor, valid: Tensor,
                   weight: float, suffix: str) -> dict[str, Tensor]:
        """L_mil (background present) and L_mil_s (background suppressed)."""

        def pooled_loss(cas: Tensor, background: float) -> Tensor:
            target = with_background(label, background)
            return weight * torch.stack([
                mil_loss(topk_pool(cas, valid, ratio), target)
                for ratio in self.mil_ratios
            ]).mean()

        losses = {f'loss_mil{suffix}': pooled_loss(branch.cas, 1.)}
        if self.suppressed_weight:
            suppressed = suppress_background(branch.cas, branch.attention)
            losses[f'loss_mil_suppressed{suffix}'] = (
                self.suppressed_weight * pooled_loss(suppressed, 0.))
        return losses

    def _base_terms(self, branch: BranchOutput, label: Tensor,
                    valid: Tensor) -> dict[str, Tensor]:
        losses = self._mil_terms(branch, label, valid, self.mil_weight, '')
        attentions = (branch.attention, *branch.stream_attentions)
        if self.norm_weight:
            losses['loss_norm'] = self.norm_weight * torch.stack(
                [norm_loss(a, valid) for a in attentions]).mean()
        if self.guide_weight:
            losses['loss_guide'] = self.guide_weight * torch.stack(
                [guide_loss(a, branch.cas, valid) for a in attentions]).mean()
        if self.mutual_weight and len(branch.stream_attentions) == 2:
            losses['loss_mutual'] = self.mutual_weight * mutual_loss(
                *branch.stream_attentions, valid)
        if self.co_activity_weight:
            losses['loss_co_activity'] = (
                self.co_activity_weight *
                co_activity_loss(branch.feature, branch.cas, label, valid))
        return losses

    def _mask_terms(self, branch: BranchOutput, pseudo: PseudoMask,
                    valid: Tensor) -> dict[str, Tensor]:
        losses = {}
        if self.gce_weight:
            attentions = branch.stream_attentions or (branch.attention, )
            losses['loss_gce'] = self.gce_weight * torch.stack(
                [gce_loss(a, pseudo.agnostic, valid)
                 for a in attentions]).mean()
        if self.margin_weight:
            losses['loss_margin'] = (
                self.margin_weight * uncertainty_margin_loss(
                    branch.cas[:, :-1], pseudo.mask, valid, self.margin))
        return losses

    def _diffusion_terms(self, branch: BranchOutput, label: Tensor,
                         valid: Tensor, pseudo: PseudoMask,
                         denoised: DenoisedOutput, generated: DenoisedOutput,
                         fused: BranchOutput, teacher: BranchOutput | None,
                         ramp: float) -> dict[str, Tensor]:
        losses = {}
        if self.diffusion_weight:
            weight = learned_entries(pseudo, label, valid, self.num_negatives)
            losses['loss_diffusion'] = (
                self.diffusion_weight * diffusion_loss(
                    denoised, pseudo.mask, weight, self.diffusion_kind))
        if self.smooth_weight:
            losses['loss_smooth'] = self.smooth_weight * smoothness_loss(
                denoised.logits, label, valid)
        if self.fused_weight and fused is not branch:
            losses.update(
                self._mil_terms(fused, label, valid, self.fused_weight * ramp,
                                '_fused'))
        if self.consistency_weight:
            losses['loss_consistency'] = (
                self.consistency_weight * ramp * consistency_loss(
                    branch, fused, generated, label, valid, teacher))
        return losses
