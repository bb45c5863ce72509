"""The top-k masking strategy: snippet scores -> binary pseudo-labels.

Dimension letters: N videos, C classes, T snippets.
"""
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


@MODELS.register_module()
class TopKMaskGenerator:
    """Choose the k best snippets of every class that a video contains.

    A pure function: no parameters, no state, no gradient. There are exactly k
    ones; of equal scores next to each other (a saturated plateau) the middle
    is chosen first, otherwise the earlier snippet.

    Args:
        k_mode (str): 'mass', where k follows the class and the video: the
            effective number of snippets that carry its score,
            ``(sum_T s)^2 / sum_T s^2``, clipped to ``[n / max_ratio,
            n / min_ratio]`` for a video of n snippets; or 'ratio', the
            abstract's ``k = max(1, floor(n / ratio))``. Defaults to 'mass'.
        ratio (float): r of ``k_mode='ratio'``. Defaults to 7.
        min_ratio, max_ratio (float): Bounds of ``k_mode='mass'``. Default to
            2 and 16.
        ignore_ratio (float, optional): A second, wider mask of
            ``floor(n / ignore_ratio)`` snippets. Where the two agree they are
            trusted; what only the wider one chooses is neither action nor
            background, the ignore band. None is the abstract's binary mask.
            Defaults to 2.

    Raises:
        ValueError: For a ratio below 1, an unknown ``k_mode``, bounds in the
            wrong order, or an ignore band that would always be empty.
    """

    def __init__(self,
                 k_mode: str = 'mass',
                 ratio: float = 7,
                 min_ratio: float = 2,
                 max_ratio: float = 16,
                 ignore_ratio: float | None = 2) -> None:
        if k_mode not in ('ratio', 'mass'):
            raise ValueError(f"k_mode must be 'ratio' or 'mass', got {k_mode}")
        if not (1 <= min_ratio <= max_ratio and ratio >= 1):
            raise ValueError('expected ratio >= 1 and 1 <= min_ratio <= '
                             f'max_ratio, got {ratio=}, {min_ratio=}, '
                             f'{max_ratio=}')
        smallest = ratio if k_mode == 'ratio' else max_ratio
        if ignore_ratio is not None and not 1 <= ignore_ratio < smallest:
            raise ValueError(
                f'ignore_ratio must lie in [1, {smallest}) to leave a band '
                f'around a mask of at least n / {smallest} snippets, got '
                f'{ignore_ratio}')
        self.k_mode = k_mode
        self.ratio = ratio
        self.min_ratio = min_ratio
        self.max_ratio = max_ratio
        self.ignore_ratio = ignore_ratio

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
        score = snippet_score.detach()
        present = (label > 0).unsqueeze(-1) & valid
        rank = plateau_rank(score.masked_fill(~valid, -torch.inf))
        length = valid.sum(-1, keepdim=True)  # (N, 1, 1)

        chosen = (rank < self.num_chosen(score, length, valid)) & present
        trusted = present
        if self.ignore_ratio is not None:
            background = rank >= (length / self.ignore_ratio).floor()
            trusted = present & (chosen | background)
        return PseudoMask(
            mask=chosen.to(score.dtype),
            weight=trusted.to(score.dtype),
            agnostic=chosen.any(1, keepdim=True).to(score.dtype))

    def num_chosen(self, score: Tensor, length: Tensor,
                   valid: Tensor) -> Tensor:
        """k of each video (N, 1, 1), or of each of its classes (N, C, 1)."""
        if self.k_mode == 'ratio':
            return (length / self.ratio).floor().clamp(min=1)
        score = score * valid
        mass = score.sum(
            -1, keepdim=True)**2 / (score**2).sum(
                -1, keepdim=True).clamp(min=1e-12)
        k = mass.round().minimum((length / self.min_ratio).floor())
        return k.maximum((length / self.max_ratio).floor()).clamp(min=1)


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
