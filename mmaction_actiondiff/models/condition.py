"""The action-related condition: what guides the diffusion.

Dimension letters: N videos, E embedding channels, F condition channels,
C classes, K = C + 1 with the background last, T snippets.
"""
from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

if TYPE_CHECKING:
    from .diffusion_head import Condition

MODES = ('attn_feat', 'topk_feat', 'class_feat', 'cas', 'cas_attn_feat',
         'input', 'attn_input')
EDGE = 2  # snippets on each side of a boundary that 'boundary' hides


@MODELS.register_module()
class ActionCondition(nn.Module):
    """What the base branch knows about actions, (N, F, T).

    With the feature X (N, E, T), the attention a and the union m of the
    pseudo-masks, ``P`` = layer norm over the channels of a 1x1 convolution
    and ``V`` = a 1x1 convolution:

    ================= ====================================================
    ``attn_feat``     ``a P(X)``
    ``topk_feat``     ``m P(X) + (1 - m) token``, a learned token: only
                      action snippets condition, action to action
    ``class_feat``    ``a P(X) + V(y_c cos(X, p_c))``, with the prototypes
                      ``p_c = sum_T softmax_T(cas_c) X``
    ``cas``           ``V(cas)``, without the background
    ``cas_attn_feat`` ``a P(X) + V(cas)``
    ``input``         ``P(inputs)``: the denoiser looks with eyes of its own,
                      so that its errors are not the base's
    ``attn_input``    ``a P(inputs)``
    ================= ====================================================

    The gates stand behind the norm, which would undo a factor before it; a
    sum of two convolutions is one over the concatenation.

    :meth:`hide` hides (zeroes) a part of it while training, so that the
    denoiser learns how actions look in time instead of copying. Each video
    draws one of: all of it is hidden; the snippets at the boundaries of its
    mask; one whole run of its mask; nothing.

    Args:
        num_classes (int): C.
        embed_channels (int): E.
        condition_channels (int): F. Defaults to 128.
        input_channels (int, optional): D, for the modes that read the inputs.
        mode (str): See the table. Defaults to 'attn_feat'.
        detach (bool): Stop the gradient into the base. Defaults to True.
        zero_prob (float): Probability of hiding all. Defaults to 0.2.
        boundary_prob (float): Of hiding the boundaries: two snippets on each
            side, where a mask smoothed by a Gaussian of 1.4 snippets has
            more than 0.3 of its steepest slope. Defaults to 0.2.
        segment_prob (float): Of hiding one run. Defaults to 0.2.
        label_noise (float): ``class_feat`` only, while training: every label
            is dropped, and one random label added to a video, with this
            probability, as predicted labels miss and invent classes.
            Defaults to 0.1.

    Raises:
        ValueError: For an unknown mode, missing ``input_channels``, or
            probabilities that are negative or sum to more than 1.
    """

    def __init__(self,
                 num_classes: int,
                 embed_channels: int,
                 condition_channels: int = 128,
                 input_channels: int | None = None,
                 mode: str = 'attn_feat',
                 detach: bool = True,
                 zero_prob: float = 0.2,
                 boundary_prob: float = 0.2,
                 segment_prob: float = 0.2,
                 label_noise: float = 0.1) -> None:
        super().__init__()
        if mode not in MODES:
            raise ValueError(
                f'condition mode must be one of {MODES}, got {mode!r}')
        self.hide_probs = (zero_prob, boundary_prob, segment_prob)
        if min(self.hide_probs) < 0 or sum(self.hide_probs) > 1 + 1e-6:
            raise ValueError(
                'zero_prob, boundary_prob and segment_prob must be >= 0 and '
                f'sum to <= 1, got {self.hide_probs}')
        self.num_classes = num_classes
        self.embed_channels = embed_channels
        self.condition_channels = condition_channels
        self.mode = mode
        self.detach = detach
        self.label_noise = label_noise
        self.reads_input = mode in ('input', 'attn_input')
        source = embed_channels
        if self.reads_input:
            if input_channels is None:
                raise ValueError(
                    f'condition mode {mode!r} needs input_channels')
            source = input_channels
        if mode != 'cas':
            self.feature = nn.Conv1d(source, condition_channels, 1)
            self.norm = nn.LayerNorm(condition_channels)
        if mode in ('class_feat', 'cas', 'cas_attn_feat'):
            self.class_map = nn.Conv1d(num_classes, condition_channels, 1)
        if mode == 'topk_feat':
            self.token = nn.Parameter(torch.zeros(condition_channels, 1))
            nn.init.trunc_normal_(self.token, std=0.02)

    def forward(self,
                feature: Tensor,
                cas: Tensor,
                attention: Tensor,
                mask: Tensor,
                label: Tensor,
                valid: Tensor | None = None,
                generator: torch.Generator | None = None,
                inputs: Tensor | None = None) -> Tensor:
        """Make the condition.

        Args:
            feature (Tensor): (N, E, T).
            cas (Tensor): (N, K, T), logits.
            attention (Tensor): (N, 1, T) in [0, 1].
            mask (Tensor): Pseudo-mask (N, C, T) in {0, 1}.
            label (Tensor): (N, C) multi-hot: the given labels in training,
                the predicted ones at test time.
            valid (Tensor, optional): (N, 1, T) bool. Defaults to all.
            generator (torch.Generator, optional): Draws the label noise, on
                the device of the feature. Defaults to torch's own.
            inputs (Tensor, optional): (N, D, T), for the modes that read it.

        Returns:
            Tensor: (N, F, T), zero where not valid.

        Raises:
            ValueError: When the channels do not fit, or inputs are missing.
        """
        if (feature.size(1), cas.size(1)) != (self.embed_channels,
                                              self.num_classes + 1):
            raise ValueError(
                f'expected a feature (N, {self.embed_channels}, T) and a cas '
                f'(N, {self.num_classes + 1}, T), got '
                f'{tuple(feature.shape)} and {tuple(cas.shape)}')
        if self.detach:
            feature, cas, attention = (feature.detach(), cas.detach(),
                                       attention.detach())
        if valid is None:
            valid = torch.ones_like(attention, dtype=torch.bool)
        if self.reads_input:
            if inputs is None:
                raise ValueError(f'condition mode {self.mode!r} needs inputs')
            feature = inputs
        cas = cas[:, :-1]
        union = mask.amax(1, keepdim=True)

        condition: Tensor | float = 0.
        if self.mode == 'topk_feat':
            condition = union * self.embed(feature) + (1 - union) * self.token
        elif self.mode != 'cas':
            condition = self.embed(feature)
            if self.mode != 'input':
                condition = attention * condition
        if self.mode == 'class_feat':
            if self.training:
                label = self.corrupt(label, generator)
            similarity = class_similarity(feature, cas, valid)
            condition = condition + self.class_map(
                similarity * label.unsqueeze(-1))
        elif self.mode in ('cas', 'cas_attn_feat'):
            condition = condition + self.class_map(cas)

        return condition * valid

    def hide(self,
             condition: Condition,
             union: Tensor,
             valid: Tensor,
             generator: torch.Generator | None = None) -> Condition:
        """Hide parts of the condition while training, see the class.

        Args:
            condition (Tensor | tuple[Tensor, ...]): (N, F, T), or what a
                linear map without bias has made of it, (N, ·, T) each.
            union (Tensor): Union of the pseudo-masks (N, 1, T) in {0, 1}.
            valid (Tensor): (N, 1, T) bool.
            generator (torch.Generator, optional): As in :meth:`forward`.

        Returns:
            Tensor | tuple[Tensor, ...]: The same, zero where hidden.
        """
        if not self.training:
            return condition
        kept = ~hidden_snippets(union, valid, self.hide_probs, generator)
        if isinstance(condition, Tensor):
            return condition * kept
        return tuple(share * kept for share in condition)

    def embed(self, feature: Tensor) -> Tensor:
        """(N, E, T) -> (N, F, T), normalised over the channels."""
        return self.norm(self.feature(feature).transpose(1, 2)).transpose(1, 2)

    def corrupt(self, label: Tensor,
                generator: torch.Generator | None) -> Tensor:
        """Drop and invent labels: (N, C) -> (N, C)."""
        num_videos, num_classes = label.shape
        kept, invented, which = torch.rand(
            (num_videos, num_classes + 2),
            generator=generator,
            device=label.device).split([num_classes, 1, 1], 1)
        classes = torch.arange(num_classes, device=label.device)
        extra = (invented < self.label_noise) & (
            classes == (which * num_classes).long())
        present = (label > 0) & (kept >= self.label_noise)
        return (present | extra).to(label.dtype)


def class_similarity(feature: Tensor, cas: Tensor, valid: Tensor) -> Tensor:
    """Cosine between each snippet and the prototype of each class.

    Args:
        feature (Tensor): (N, E, T).
        cas (Tensor): (N, C, T), logits.
        valid (Tensor): (N, 1, T) bool.

    Returns:
        Tensor: (N, C, T) in [-1, 1].
    """
    share = cas.masked_fill(~valid, -torch.inf).softmax(-1)
    prototypes = share @ feature.transpose(1, 2)  # (N, C, E)
    return F.normalize(prototypes, dim=2) @ F.normalize(feature, dim=1)


def hidden_snippets(union: Tensor,
                    valid: Tensor,
                    probs: tuple[float, float, float],
                    generator: torch.Generator | None = None) -> Tensor:
    """Draw what each video hides: all, the boundaries, one run or nothing.

    Args:
        union (Tensor): Union of the masks (N, 1, T) in {0, 1}.
        valid (Tensor): (N, 1, T) bool.
        probs (tuple[float, float, float]): Of the first three.
        generator (torch.Generator, optional): On the device of ``union``.

    Returns:
        Tensor: (N, 1, T) bool.
    """
    action = (union > 0) & valid
    choice, which = torch.rand((2, len(union), 1, 1),
                               generator=generator,
                               device=union.device)
    all_end = probs[0]
    boundary_end = all_end + probs[1]
    segment_end = boundary_end + probs[2]

    edge = (action[..., 1:] != action[..., :-1]) & valid[..., 1:]
    boundary = F.max_pool1d(
        F.pad(edge.to(union.dtype), (EDGE, EDGE)), 2 * EDGE, 1) > 0

    start = action & ~F.pad(action[..., :-1], (1, 0))
    run = start.cumsum(-1)  # 1, 2, ... from each start on
    chosen = (which * run[..., -1:]).long() + 1
    segment = action & (run == chosen)

    return torch.where(
        choice < all_end, True,
        torch.where(choice < boundary_end, boundary,
                    segment & (choice < segment_end)))
