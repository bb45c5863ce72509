# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Averages and orders over the snippets of a video that skip the padding."""
from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d


def masked_mean(x: Tensor, valid: Tensor) -> Tensor:
    """Mean over the valid snippets: (N, c, T) -> (N, c, 1)."""
    weight = valid.to(x.dtype)
    return (x * weight).sum(
        -1, keepdim=True) / weight.sum(
            -1, keepdim=True).clamp(min=1)


def masked_avg_pool(x: Tensor, valid: Tensor, kernel_size: int) -> Tensor:
    """Moving average of the same length; outside the video there are zeros.

    Args:
        x (Tensor): (N, c, T).
        valid (Tensor): (N, 1, T) bool.
        kernel_size (int): Odd; 1 is none.
    """
    if kernel_size == 1:
        return x
    return avg_pool1d(
        x * valid, kernel_size, stride=1, padding=kernel_size // 2) * valid


def topk_pool(x: Tensor,
              valid: Tensor,
              ratio: float,
              among: Tensor | float = 1.) -> Tensor:
    """Multiple-instance pooling: mean of the k best snippets of each channel.

    ``k = max(1, floor(n / (ratio among)))`` with n the valid snippets of the
    video.

    Args:
        x (Tensor): (N, K, T).
        valid (Tensor): (N, 1, T) bool.
        ratio (float): r.
        among (Tensor | float): Among how many the snippets are divided,
            >= 1, (N, K) or one number. Defaults to 1.

    Returns:
        Tensor: (N, K).
    """
    k = (valid.sum(-1) / (ratio * among)).floor().clamp(min=1)
    longest = max(1, int(x.size(-1) / ratio))
    lowest = torch.finfo(x.dtype).min
    top = x.masked_fill(~valid, lowest).topk(longest, dim=-1).values
    chosen = torch.arange(longest, device=x.device) < k.unsqueeze(-1)
    return torch.where(chosen, top, 0).sum(-1) / k


def snippet_rank(score: Tensor, valid: Tensor) -> Tensor:
    """Place of each snippet in the descending order of its class, from 0.

    Ties go to the earlier snippet; padding comes last.

    Args:
        score (Tensor): (N, C, T).
        valid (Tensor): (N, 1, T) bool.

    Returns:
        Tensor: (N, C, T) long.
    """
    order = score.masked_fill(~valid, -torch.inf).argsort(
        dim=-1, descending=True, stable=True)
    place = torch.arange(score.size(-1), device=score.device)
    return torch.empty_like(order).scatter_(-1, order, place.expand_as(order))


def suppress_background(cas: Tensor, attention: Tensor) -> Tensor:
    """``attention * (cas - min_K cas) + min_K cas``: (N, K, T).

    Where the attention is low, all classes sink to the lowest logit.
    """
    lowest = cas.amin(1, keepdim=True)
    return attention * (cas - lowest) + lowest
