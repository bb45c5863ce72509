# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""The contract of a base branch: raw outputs, and a step that scores them."""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .pooling import topk_pool


class BranchOutput(NamedTuple):
    """What every base branch returns, before any scoring.

    Attributes:
        feature (Tensor): Embedded features (N, E, T).
        cas (Tensor): Class activation sequence (N, K, T), logits. A method
            without a background class derives one.
        attention (Tensor): Class-agnostic actionness (N, 1, T) in [0, 1].
        stream_attentions (tuple[Tensor, ...]): The attention of each stream,
            (N, 1, T) in [0, 1]; empty for a branch whose attention follows
            from the CAS, which ActionDiff's fusion treats in another way.
        branch_loss (Tensor, optional): A scalar that the branch adds to the
            losses of its method.
    """

    feature: Tensor
    cas: Tensor
    attention: Tensor
    stream_attentions: tuple[Tensor, ...] = ()
    branch_loss: Tensor | None = None

    def float(self) -> BranchOutput:
        """The same in float32."""
        streams = tuple(x.float() for x in self.stream_attentions)
        loss = self.branch_loss
        return BranchOutput(self.feature.float(), self.cas.float(),
                            self.attention.float(), streams,
                            None if loss is None else loss.float())


class Scores(NamedTuple):
    """What a localizer says of its videos; the fusion maps these to these.

    Attributes:
        class_score (Tensor): Of each class at each snippet, (N, C, T) in
            [0, 1].
        attention (Tensor): Class-agnostic actionness (N, 1, T) in [0, 1]; a
            signal of its own, not a function of the class scores.
        video_score (Tensor): Whether the video contains each class, (N, C)
            in [0, 1].
        contrast (Tensor, optional): The curve (N, C, T), of any range, whose
            outer-inner contrast scores the proposals. None: the product of
            class score and attention.
    """

    class_score: Tensor
    attention: Tensor
    video_score: Tensor
    contrast: Tensor | None = None

    @property
    def snippet_score(self) -> Tensor:
        """``class_score * attention``, (N, C, T) in [0, 1]: what masks are
        made of."""
        return self.class_score * self.attention


class BaseBranch(nn.Module):
    """A network from snippet features to a class activation sequence.

    Padding: ``inputs`` are zero where not ``valid`` (the localizer sees to
    it), and so must everything be that :meth:`forward` returns. What it
    returns at a valid snippet must not depend on the amount of padding behind
    it: convolutions over time are :class:`MaskedConv`, averages over time
    those of ``models/pooling.py``.

    Args:
        num_classes (int): C, without the background.
        stream_channels (Sequence[int]): Channels of the streams in
            ``inputs``, appearance first.
        embed_channels (int): E.
        video_ratio (float): Video scores pool the best ``T / video_ratio``
            snippets.

    Attributes:
        video_score_thr (float): The video score from which on a class is
            localised; it belongs to what :meth:`score` calls a video score.
    """

    video_score_thr = 0.2

    def __init__(self,
                 num_classes: int,
                 stream_channels: Sequence[int],
                 embed_channels: int,
                 video_ratio: float = 10) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.stream_channels = tuple(stream_channels)
        self.embed_channels = embed_channels
        self.video_ratio = video_ratio
        # Mixed precision ends here: what follows takes logarithms.
        self.register_forward_hook(lambda _, __, output: output.float())

    def forward(self, inputs: Tensor, valid: Tensor) -> BranchOutput:
        """(N, D, T), (N, 1, T) bool -> :class:`BranchOutput`."""
        raise NotImplementedError

    def score(self, output: BranchOutput, valid: Tensor) -> Scores:
        """Turn the raw output of :meth:`forward` into scores.

        By default as CO2-Net's code does: ``softmax_K(cas)`` without the
        background; ``attention * cas`` for the contrast, and for the video
        ``softmax_K`` of its best snippets.

        Args:
            output (BranchOutput): Of this branch, weakened or not.
            valid (Tensor): (N, 1, T) bool.
        """
        gated = output.attention * output.cas
        video = topk_pool(gated, valid, self.video_ratio).softmax(1)
        return Scores(
            output.cas.softmax(1)[:, :-1], output.attention, video[:, :-1],
            gated[:, :-1])

    def split_streams(self, inputs: Tensor) -> list[Tensor]:
        """Cut ``inputs`` (N, D, T) into its streams along the channels.

        Raises:
            ValueError: When D is not the sum of ``stream_channels``.
        """
        channels = self.stream_channels
        if inputs.size(1) != sum(channels):
            raise ValueError(
                f'The branch was built for {channels} = {sum(channels)} '
                'feature channels (rgb, flow), got inputs of shape '
                f'{tuple(inputs.shape)}; set model.stream_channels to what '
                'the feature files hold.')
        return list(inputs.split(list(channels), dim=1))


class MaskedConv(nn.Conv1d):
    """1-D convolution of the same length whose output is zero on padding.

    Its input must be zero there, too: an outer tap reads it.
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 kernel_size: int = 1) -> None:
        if kernel_size % 2 == 0:
            raise ValueError(f'kernel_size must be odd, got {kernel_size}')
        super().__init__(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(N, in, T) -> (N, out, T), zero where not ``valid``."""
        return super().forward(x) * valid


def append_background(cas: Tensor, attention: Tensor) -> Tensor:
    """The background's logit of a method that has none.

    ``logsumexp_C(cas) - logit(attention)``, hence ``softmax_K = [attention
    softmax_C(cas), 1 - attention]``: (N, C, T), (N, 1, T) -> (N, K, T).
    """
    # in half precision 1 - 1e-6 is 1
    cas, attention = cas.float(), attention.float()
    background = cas.logsumexp(1, keepdim=True) - attention.logit(eps=1e-6)
    return torch.cat([cas, background], 1)
