"""Fusion: the smooth diffusion output weakens the discriminative base.

In training it erases what the diffusion has found, so that the losses on the
rest make the base find whole actions; at test time both opinions make the
scores.

Dimension letters: N videos, E embedding channels, F denoiser channels,
C classes, K = C + 1 with the background last, T snippets.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from mmaction.registry import MODELS
from torch import Tensor, nn

from .branches.base import BranchOutput, masked_mean

if TYPE_CHECKING:
    from .diffusion_head import DenoisedOutput

MODES = ('blend', 'mixture', 'add', 'suppress', 'gate_feat', 'none')
TEACHING = ('blend', 'mixture', 'add', 'gate_feat')


def standardise_like(x: Tensor, reference: Tensor, valid: Tensor) -> Tensor:
    """Give ``x`` the mean and spread over time of ``reference``.

    Both (N, C, T); statistics per video and class, over valid snippets. The
    floor under the spread keeps an untrained, constant ``x`` (the denoiser
    starts with zeros) constant instead of blowing it up.
    """

    def moments(z: Tensor) -> tuple[Tensor, Tensor]:
        mean = masked_mean(z, valid)
        return mean, masked_mean((z - mean)**2, valid)

    mean_x, var_x = moments(x)
    mean_r, var_r = moments(reference)
    return (x - mean_x) * ((var_r + 1e-6) / (var_x + 1e-2)).sqrt() + mean_r


def with_rest(prob: Tensor) -> Tensor:
    """(N, C, T) in [0, 1] -> a distribution over K, the background last.

    Where independent classes claim more than 1 together, they share it.
    """
    prob = prob / prob.sum(1, keepdim=True).clamp(min=1)
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


@MODELS.register_module()
class Fusion(nn.Module):
    """Bring the diffusion output into the CAS and into the attention.

    One way in training, another at test time: what is to be weakened for the
    losses is what the proposals are made of.

    With the denoiser's logits ``o`` and probabilities ``p``,
    ``p_any = max_c p_c y_c`` and stop-gradient ``sg``:

    ============= ========================================================
    ``blend``     ``(1 - w) cas + w o'``, ``o'`` = o with the CAS's mean
                  and spread over time: peaks sink, valleys rise
    ``mixture``   ``log((1 - w) softmax_K(cas) + w p')``, ``p'`` = p with the
                  background as the rest: two opinions, averaged
    ``add``       ``cas + w o``
    ``suppress``  ``cas - w sg(p) relu(cas - mean_T cas)``: soft erasing
    ``gate_feat`` ``feature (1 - w sg(p_any)) + W hidden``, then a second
                  pass through the base's classifier: features that weaken
                  features
    ``none``      the base unchanged (ablation)
    ============= ========================================================

    The background logit stays the base's except for ``mixture`` and
    ``gate_feat``. The attention becomes ``(1 - w_a) attention + w_a p_any``.

    Args:
        mode (str): At test time, see the table. Defaults to 'mixture'.
        train_mode (str, optional): In training. None: as at test time.
            Defaults to 'suppress'.
        weight (float): w. Defaults to 0.5.
        attention_weight (float): w_a. Defaults to 0: where a video holds
            several classes, the largest score is high nearly everywhere.
        hidden_channels, embed_channels (int, optional): F and E, needed by
            ``gate_feat`` only.

    Raises:
        ValueError: For an unknown mode, missing channels, or ``gate_feat`` at
            test time that no training has taught.
    """

    def __init__(self,
                 mode: str = 'mixture',
                 train_mode: str | None = 'suppress',
                 weight: float = 0.5,
                 attention_weight: float = 0.,
                 hidden_channels: int | None = None,
                 embed_channels: int | None = None) -> None:
        super().__init__()
        train_mode = train_mode or mode
        for name in (mode, train_mode):
            if name not in MODES:
                raise ValueError(
                    f'fusion mode must be one of {MODES}, got {name}')
        if mode == 'gate_feat' != train_mode:
            raise ValueError("fusion mode 'gate_feat' has weights to learn: "
                             'set train_mode=None (the same in training), got '
                             f'train_mode={train_mode!r}')
        self.mode = mode
        self.train_mode = train_mode
        self.weight = weight
        self.attention_weight = attention_weight
        if 'gate_feat' in (mode, train_mode):
            if hidden_channels is None or embed_channels is None:
                raise ValueError(
                    "fusion mode 'gate_feat' needs hidden_channels and "
                    f'embed_channels, got {hidden_channels}, {embed_channels}')
            self.to_feature = nn.Conv1d(hidden_channels, embed_channels, 1)
            for parameter in self.to_feature.parameters():
                nn.init.zeros_(parameter)

    @property
    def teaches(self) -> bool:
        """Whether losses on the fused output reach the denoiser."""
        return self.train_mode in TEACHING or (self.train_mode != 'none'
                                               and self.attention_weight > 0)

    def forward(self,
                branch: BranchOutput,
                denoised: DenoisedOutput,
                label: Tensor,
                valid: Tensor,
                classify: Callable[[Tensor, Tensor], Tensor],
                ramp: float = 1.0) -> BranchOutput:
        """Fuse.

        Args:
            branch (BranchOutput): Of the base.
            denoised (DenoisedOutput): Logits and probabilities (N, C, T) and
                the latent action space (N, F, T).
            label (Tensor): (N, C) multi-hot; predicted ones at test time.
            valid (Tensor): (N, 1, T) bool.
            classify (Callable): The base's classifier, for ``gate_feat``.
            ramp (float): 0 = base alone … 1 = full fusion, the warm-up.

        Returns:
            BranchOutput: With fused feature, CAS and attention.
        """
        mode = self.train_mode if self.training else self.mode
        if mode == 'none':
            return branch
        weight = self.weight * ramp
        logits, prob = denoised.logits, denoised.prob
        any_action = (prob * label.unsqueeze(-1)).amax(1, keepdim=True)
        feature = branch.feature
        cas, background = branch.cas[:, :-1], branch.cas[:, -1:]
        if mode == 'blend':
            smooth = standardise_like(logits, cas, valid)
            cas = (1 - weight) * cas + weight * smooth
        elif mode == 'mixture':
            mixed = branch.cas.softmax(1).lerp(with_rest(prob), weight)
            cas, background = (mixed + 1e-6).log().split([cas.size(1), 1],
                                                         dim=1)
        elif mode == 'add':
            cas = cas + weight * logits
        elif mode == 'suppress':
            above = (cas - masked_mean(cas, valid)).relu()
            cas = cas - weight * prob.detach() * above
        if mode == 'gate_feat':
            feature = feature * (1 - weight * any_action.detach())
            feature = (feature +
                       ramp * self.to_feature(denoised.hidden)) * valid
            fused_cas = classify(feature, valid)
        else:
            fused_cas = torch.cat([cas, background], 1) * valid
        share = self.attention_weight * ramp
        attention = (1 - share) * branch.attention + share * any_action
        return branch._replace(
            feature=feature, cas=fused_cas, attention=attention * valid)
