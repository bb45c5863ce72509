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

    ``k = max(1, floor(n / ratio))`` for a video of n snippets. Ties go to the
    earlier snippet, so that there are exactly k ones.
    It is a pure function: no parameters, no state, no gradient, and no loop
    over time, classes or videos.

    Args:
        ratio (float): r. Defaults to 7.
        k_mode (str): 'ratio'; or 'mass', where k follows the class and the
            video: the effective number of snippets that carry its score,
            ``(sum_T s)^2 / sum_T s^2``, clipped to ``[n / max_ratio,
            n / min_ratio]``. Defaults to 'ratio'.
        min_ratio, max_ratio (float): Bounds of ``k_mode='mass'``. Default to
            2 and 16.
        ignore_ratio (float, optional): A second, wider mask of
            ``floor(n / ignore_ratio)`` snippets. Where the two agree they are
            trusted; what only the wider one chooses is neither action nor
            background, the ignore band. Defaults to None, the abstract's
            binary mask.

    Raises:
        ValueError: For a ratio below 1 or an unknown ``k_mode``.
    """

    def __init__(self,
                 ratio: float = 7,
                 k_mode: str = 'ratio',
                 min_ratio: float = 2,
                 max_ratio: float = 16,
                 ignore_ratio: float | None = None) -> None:
        given = [ratio, min_ratio, max_ratio]
        if ignore_ratio is not None:
            given.append(ignore_ratio)
        if min(given) < 1:
            raise ValueError(f'ratio must be >= 1, got ratio={ratio}, '
                             f'min_ratio={min_ratio}, max_ratio={max_ratio}, '
                             f'ignore_ratio={ignore_ratio}')
        if k_mode not in ('ratio', 'mass'):
            raise ValueError(f"k_mode must be 'ratio' or 'mass', got {k_mode}")
        self.ratio = ratio
        self.k_mode = k_mode
        self.min_ratio = min_ratio
        self.max_ratio = max_ratio
        self.ignore_ratio = ignore_ratio

    @torch.no_grad()
    def __call__(self,
                 snippet_score: Tensor,
                 label: Tensor | None = None,
                 valid: Tensor | None = None) -> PseudoMask:
        """Make the masks.

        Args:
            snippet_score (Tensor): (N, C, T), any range for
                ``k_mode='ratio'``, non-negative for 'mass'.
            label (Tensor, optional): (N, C) multi-hot, the classes of each
                video. Defaults to all classes.
            valid (Tensor, optional): (N, 1, T) bool. Defaults to all.

        Returns:
            PseudoMask: The masks, in the dtype of ``snippet_score``.
        """
        score = snippet_score.detach()
        if valid is None:
            valid = score.new_ones(
                score.size(0), 1, score.size(2), dtype=torch.bool)
        if label is None:
            label = score.new_ones(score.shape[:2])
        present = (label > 0).unsqueeze(-1) & valid
        rank = self._rank(score, valid)
        length = valid.sum(-1, keepdim=True)  # (N, 1, 1)

        chosen = (rank < self._k(score, length, valid)) & present
        trusted = present
        if self.ignore_ratio is not None:
            background = rank >= (length / self.ignore_ratio).floor()
            trusted = present & (chosen | background)
        return PseudoMask(
            mask=chosen.to(score.dtype),
            weight=trusted.to(score.dtype),
            agnostic=chosen.any(1, keepdim=True).to(score.dtype))

    def _k(self, score: Tensor, length: Tensor, valid: Tensor) -> Tensor:
        """k of each video (N, 1, 1), or of each of its classes (N, C, 1)."""
        if self.k_mode == 'ratio':
            return (length / self.ratio).floor().clamp(min=1)
        score = score * valid
        mass = score.sum(
            -1, keepdim=True)**2 / (score**2).sum(
                -1, keepdim=True).clamp(min=1e-12)
        k = mass.round().minimum((length / self.min_ratio).floor())
        return k.maximum((length / self.max_ratio).floor()).clamp(min=1)

    @staticmethod
    def _rank(score: Tensor, valid: Tensor) -> Tensor:
        """Position of each snippet in the descending order of its class."""
        score = score.masked_fill(~valid, -torch.inf)
        order = score.argsort(dim=-1, descending=True, stable=True)
        positions = torch.arange(score.size(-1), device=score.device)
        return torch.empty_like(order).scatter_(-1, order,
                                                positions.expand_as(order))
