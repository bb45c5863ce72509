"""One convolution, one classifier, no attention of its own.

Source: C. Zhang et al., "CoLA: Weakly-Supervised Temporal Action
Localization with Snippet Contrastive Learning", CVPR 2021 (THUMOS14 AVG
0.1:0.7: 40.9 in the paper, 41.7 with the released code; 9.5 GMAC at 750
snippets, 12.6 M parameters). Written from the paper.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmaction.registry import MODELS
from torch import Tensor, nn

from ..dropout import Dropout
from .base import BaseBranch, BranchOutput, split_streams, topk_pool
from .cross_modal import MaskedConv


class CoLAOutput(BranchOutput):
    """The C classes of ``cas`` are CoLA's own, non-negative."""

    def class_score(self) -> Tensor:
        """The activations of each class relative to its highest snippet.

        CoLA normalises each class over the video; the proposals subtract the
        minimum. (N, C, T) in [0, 1].
        """
        cas = self.cas[:, :-1].relu()
        return cas / cas.amax(-1, keepdim=True).clamp(min=1e-6)

    def video_score(self, valid: Tensor, ratio: float) -> Tensor:
        """``softmax_C`` of the best ``T / ratio`` snippets: (N, C)."""
        return topk_pool(self.cas[:, :-1], valid, ratio).softmax(1)


def add_background(cas: Tensor, attention: Tensor) -> Tensor:
    """Append the background's logit: (N, C, T), (N, 1, T) -> (N, K, T).

    It is ``logsumexp_C(cas) - logit(attention)``, hence
    ``softmax_K = [attention softmax_C(cas), 1 - attention]``: what follows
    sees a background although the method has none.
    """
    background = cas.logsumexp(1, keepdim=True) - attention.logit(eps=1e-6)
    return torch.cat([cas, background], 1)


@MODELS.register_module()
class CoLABranch(BaseBranch):
    """CoLA's network.

    The actionness is the sum of the activations over the classes; min-max
    normalised over the video, as CoLA does for its proposals, it is the
    ``attention``. A video of constant actionness is all action.

    Args:
        num_classes (int): C, without the background.
        stream_channels (Sequence[int]): Channels of the streams in
            ``inputs``. Defaults to (1024, 1024).
        embed_channels (int): E. Defaults to 2048, the paper's width.
        dropout (float): Before the classifier. Defaults to 0.7.
        kernel_size (int): Of the convolution, odd. Defaults to 3.
    """

    def __init__(self,
                 num_classes: int,
                 stream_channels: Sequence[int] = (1024, 1024),
                 embed_channels: int = 2048,
                 dropout: float = 0.7,
                 kernel_size: int = 3) -> None:
        super().__init__()
        self.stream_channels = tuple(stream_channels)
        self.embed_channels = embed_channels
        self.embed = MaskedConv(
            sum(stream_channels), embed_channels, kernel_size)
        self.classifier = nn.Conv1d(embed_channels, num_classes, 1, bias=False)
        self.dropout = Dropout(dropout)

    def forward(self, inputs: Tensor, valid: Tensor) -> CoLAOutput:
        """(N, D, T), (N, 1, T) bool -> :class:`CoLAOutput`."""
        split_streams(inputs, self.stream_channels)  # refuses another width
        feature = self.embed(inputs, valid).relu()
        cas = self.classify(feature, valid)
        return CoLAOutput(feature, cas,
                          normalise(cas[:, :-1].sum(1, keepdim=True), valid))

    def classify(self, feature: Tensor, valid: Tensor) -> Tensor:
        """(N, E, T) -> (N, K, T)."""
        cas = self.classifier(self.dropout(feature)).relu()
        attention = normalise(cas.sum(1, keepdim=True), valid)
        return add_background(cas, attention) * valid


def normalise(actionness: Tensor, valid: Tensor) -> Tensor:
    """Min-max over the valid snippets, (N, 1, T); 1 where constant."""
    low = actionness.masked_fill(~valid, torch.inf).amin(-1, keepdim=True)
    high = actionness.masked_fill(~valid, -torch.inf).amax(-1, keepdim=True)
    span = high - low
    flat = span <= 1e-6
    scaled = (actionness - low) / span.masked_fill(flat, 1)
    return scaled.masked_fill(flat, 1).clamp(0, 1) * valid
