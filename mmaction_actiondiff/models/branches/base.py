"""The contract of a base branch.

Dimension letters: N videos, D feature channels, E embedding channels,
C classes, K = C + 1 with the background last, T snippets.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class BranchOutput(NamedTuple):
    """What every base branch returns.

    Attributes:
        feature (Tensor): Embedded features (N, E, T), zero where padded.
        cas (Tensor): Class activation sequence (N, K, T), logits.
        attention (Tensor): Class-agnostic actionness (N, 1, T) in [0, 1],
            zero where padded.
        stream_attentions (tuple[Tensor, ...]): The attention of each stream,
            (N, 1, T) in [0, 1]; empty for a branch that has none.
    """

    feature: Tensor
    cas: Tensor
    attention: Tensor
    stream_attentions: tuple[Tensor, ...] = ()

    def class_score(self) -> Tensor:
        """Foreground probability of every class, without the attention.

        Returns:
            Tensor: ``softmax_K(cas)[:C]``, (N, C, T) in [0, 1].
        """
        return self.cas.softmax(1)[:, :-1]

    def snippet_score(self) -> Tensor:
        """Foreground probability of every class, gated by the attention.

        Returns:
            Tensor: ``class_score * attention``, (N, C, T) in [0, 1], the
            default score of the mask generator.
        """
        return self.class_score() * self.attention

    def video_score(self, valid: Tensor, ratio: float) -> Tensor:
        """Probability that the video contains each class.

        Args:
            valid (Tensor): (N, 1, T) bool.
            ratio (float): Pool the best ``T / ratio`` snippets.

        Returns:
            Tensor: ``softmax_K`` of the best snippets of the
            background-suppressed CAS, (N, C) in [0, 1].
        """
        suppressed = suppress_background(self.cas, self.attention)
        return topk_pool(suppressed, valid, ratio).softmax(1)[:, :-1]


class BaseBranch(nn.Module):
    """A network from snippet features to a class activation sequence.

    A subclass maps ``(inputs (N, D, T), valid (N, 1, T) bool)`` to a
    :class:`BranchOutput`. What it returns at a valid snippet must not depend
    on the amount of padding behind it.
    """

    def forward(self, inputs: Tensor, valid: Tensor) -> BranchOutput:
        """See the class."""
        raise NotImplementedError

    def classify(self, feature: Tensor, valid: Tensor) -> Tensor:
        """The classifier alone, for a second pass over altered features.

        Args:
            feature (Tensor): (N, E, T).
            valid (Tensor): (N, 1, T) bool.

        Returns:
            Tensor: Class activation sequence (N, K, T), logits.
        """
        raise NotImplementedError


def split_streams(inputs: Tensor, stream_channels: tuple[int,
                                                         ...]) -> list[Tensor]:
    """Cut ``inputs`` (N, D, T) into its streams along the channels.

    Raises:
        ValueError: When D is not the sum of ``stream_channels``.
    """
    if inputs.size(1) != sum(stream_channels):
        raise ValueError(
            f'The branch was built for {tuple(stream_channels)} = '
            f'{sum(stream_channels)} feature channels (rgb, flow), got inputs '
            f'of shape {tuple(inputs.shape)}; set model.stream_channels to '
            'what the feature files hold.')
    return list(inputs.split(list(stream_channels), dim=1))


def topk_pool(x: Tensor, valid: Tensor, ratio: float) -> Tensor:
    """Multiple-instance pooling: mean of the k best snippets of each channel.

    ``k = max(1, floor(n / ratio))`` with n the valid snippets of the video.

    Args:
        x (Tensor): (N, K, T).
        valid (Tensor): (N, 1, T) bool.
        ratio (float): r.

    Returns:
        Tensor: (N, K).
    """
    k = (valid.sum(-1) / ratio).floor().clamp(min=1)  # (N, 1)
    longest = max(1, int(x.size(-1) / ratio))
    lowest = torch.finfo(x.dtype).min
    top = x.masked_fill(~valid, lowest).topk(longest, dim=-1).values
    chosen = torch.arange(longest, device=x.device) < k.unsqueeze(-1)
    return torch.where(chosen, top, 0).sum(-1) / k


def suppress_background(cas: Tensor, attention: Tensor) -> Tensor:
    """``attention * (cas - min_K cas) + min_K cas``: (N, K, T).

    Where the attention is low, all classes sink to the lowest logit.
    """
    lowest = cas.amin(1, keepdim=True)
    return attention * (cas - lowest) + lowest


def masked_mean(x: Tensor, valid: Tensor) -> Tensor:
    """Mean over the valid snippets: (N, c, T) -> (N, c, 1)."""
    weight = valid.to(x.dtype)
    return (x * weight).sum(
        -1, keepdim=True) / weight.sum(
            -1, keepdim=True).clamp(min=1)


def masked_avg_pool(x: Tensor, valid: Tensor, kernel_size: int) -> Tensor:
    """Moving average over valid snippets only, same length."""
    weight = valid.to(x.dtype)
    pool = nn.functional.avg_pool1d
    padding = kernel_size // 2
    total = pool(x * weight, kernel_size, stride=1, padding=padding)
    share = pool(weight, kernel_size, stride=1, padding=padding)
    return torch.where(valid, total / share.clamp(min=1e-6), 0)
