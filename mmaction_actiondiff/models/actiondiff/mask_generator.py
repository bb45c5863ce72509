# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""The top-k masking strategy: snippet scores -> binary pseudo-labels."""
from __future__ import annotations

from typing import NamedTuple

import torch
from mmaction.registry import MODELS
from torch import Tensor


class PseudoMask(NamedTuple):
    """Pseudo-labels of a batch; no gradient flows through them.

    Attributes:
        mask (Tensor): (N, C, T), 1 on the chosen snippets of the classes
            that the video contains, else 0.
        weight (Tensor): (N, C, T), 1 where ``mask`` is to be trusted, 0 in the
            ignore band, on padding and for absent classes.
        agnostic (Tensor): (N, 1, T), union of ``mask`` over the classes.
    """

    mask: Tensor
    weight: Tensor
    agnostic: Tensor

    @property
    def background(self) -> Tensor:
        """(N, C, T) bool: certainly not this class, which the video
        contains."""
        return (self.weight > 0) & (self.mask <= 0)


@MODELS.register_module()
class TopKMaskGenerator:
    """Choose the k best snippets of every class that a video contains.

    A pure function: no parameters, no state, no gradient.

    Args:
        k_mode (str): 'level', where k follows the class and the video: as
            many snippets as reach ``core`` times its highest score; what lies
            between that and ``outside`` times it is neither action nor
            background, the ignore band. Or 'ratio', the abstract's
            ``k = max(1, floor(n / ratio))`` of n snippets, a binary mask
            without a band; of equal scores next to each other (a saturated
            plateau) the middle is chosen first, otherwise the earlier
            snippet. Defaults to 'level'.
        core, outside (float): Levels of ``k_mode='level'``, in (0, 1]. Default
            to 0.5 and 0.2.
        ratio (float): r of ``k_mode='ratio'``. Defaults to 7.

    Raises:
        ValueError: For a ratio below 1, an unknown ``k_mode``, or levels out
            of range or order.
    """

    def __init__(self,
                 k_mode: str = 'level',
                 core: float = 0.5,
                 outside: float = 0.2,
                 ratio: float = 7) -> None:
        if k_mode not in ('level', 'ratio'):
            raise ValueError(
                f"k_mode must be 'level' or 'ratio', got {k_mode!r}")
        if not (0 < outside <= core <= 1 and ratio >= 1):
            raise ValueError('expected ratio >= 1 and 0 < outside <= core <= '
                             f'1, got {ratio=}, {outside=}, {core=}')
        self.k_mode = k_mode
        self.core = core
        self.outside = outside
        self.ratio = ratio

    @torch.no_grad()
    def __call__(self, snippet_score: Tensor, label: Tensor,
                 valid: Tensor) -> PseudoMask:
        """Make the masks.

        Args:
            snippet_score (Tensor): (N, C, T), non-negative.
            label (Tensor): (N, C) multi-hot, the classes of each video.
            valid (Tensor): (N, 1, T) bool.

        Returns:
            PseudoMask: The masks, in the dtype of ``snippet_score``.
        """
        score = snippet_score.detach() * valid
        present = (label > 0).unsqueeze(-1) & valid
        if self.k_mode == 'level':
            highest = score.amax(-1, keepdim=True)
            # a class that scores nothing anywhere has no core
            chosen = (score >= self.core * highest) & (score > 0) & present
            trusted = present & (chosen | (score <= self.outside * highest))
        else:
            k = (valid.sum(-1, keepdim=True) / self.ratio).floor()
            rank = plateau_rank(score.masked_fill(~valid, -torch.inf))
            chosen = (rank < k.clamp(min=1)) & present
            trusted = present
        return PseudoMask(
            mask=chosen.to(score.dtype),
            weight=trusted.to(score.dtype),
            agnostic=chosen.any(1, keepdim=True).to(score.dtype))


def plateau_rank(score: Tensor) -> Tensor:
    """Place of each snippet in the descending order of its class, from 0.

    Equal neighbours are ordered from the middle of their run outwards.

    Args:
        score (Tensor): (N, C, T).

    Returns:
        Tensor: (N, C, T) long.
    """
    length = score.size(-1)
    place = torch.arange(length, device=score.device).expand_as(score)
    step = score[..., 1:] != score[..., :-1]
    edge = torch.ones_like(score[..., :1], dtype=torch.bool)
    first = torch.cat([edge, step], -1)
    last = torch.cat([step, edge], -1)
    start = (place * first).cummax(-1).values
    end = (place + (~last) * length).flip(-1).cummin(-1).values.flip(-1)
    off_centre = (2 * place - start - end).abs()
    order = off_centre.argsort(dim=-1, stable=True)
    order = order.gather(
        -1,
        score.gather(-1, order).argsort(dim=-1, descending=True, stable=True))
    return torch.empty_like(order).scatter_(-1, order, place)
