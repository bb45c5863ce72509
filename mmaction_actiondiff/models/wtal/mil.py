# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""The plainest multiple-instance network, whose background is the attention.

W-TALC (S. Paul et al., ECCV 2018) with the background class of BaS-Net
(P. Lee et al., AAAI 2020): it suits small features, where gates and
attentions of their own learn too late.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from ..branch import BaseBranch, BranchOutput, MaskedConv, Scores
from ..objective import WTALLoss, mil_loss, with_background
from ..pooling import suppress_background, topk_pool

# How much of a video its actions take is not known: pooling takes the best
# T / r snippets for each of these r, and the mean.
RATIOS = (7., 20., 80.)


@MODELS.register_module()
class ConvBranch(BaseBranch):
    """1x1 embedding, convolutions, classifier; any number of streams.

    Args:
        num_classes (int): C, without the background.
        stream_channels (Sequence[int]): Channels of the streams in
            ``inputs``. Defaults to (1024, 1024).
        embed_channels (int): E. Defaults to 512.
        hidden_layers (int): Convolutions. Defaults to 1.
        kernel_size (int): Of the convolutions, odd. Defaults to 3.
        dropout (float): Before every layer but the first. Defaults to 0.3.
    """

    video_score_thr = 0.02

    def __init__(self,
                 num_classes: int,
                 stream_channels: Sequence[int] = (1024, 1024),
                 embed_channels: int = 512,
                 hidden_layers: int = 1,
                 kernel_size: int = 3,
                 dropout: float = 0.3) -> None:
        super().__init__(num_classes, stream_channels, embed_channels)
        self.embed = MaskedConv(sum(stream_channels), embed_channels)
        self.hidden = nn.ModuleList(
            MaskedConv(embed_channels, embed_channels, kernel_size)
            for _ in range(hidden_layers))
        self.classifier = MaskedConv(embed_channels, num_classes + 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor, valid: Tensor) -> BranchOutput:
        """(N, D, T), (N, 1, T) bool -> :class:`BranchOutput`; the attention
        is ``1 - softmax_K(cas)_background``."""
        self.split_streams(inputs)  # refuses another width
        feature = F.leaky_relu(self.embed(inputs, valid), 0.2)
        hidden = feature
        for layer in self.hidden:
            hidden = F.leaky_relu(layer(self.dropout(hidden), valid), 0.2)
        cas = self.classifier(self.dropout(hidden), valid)
        return BranchOutput(feature, cas, (1 - cas.softmax(1)[:, -1:]) * valid)

    def score(self, output: BranchOutput, valid: Tensor) -> Scores:
        """``softmax_K(cas)``; for the video its mean over the very best
        snippets of each class, ``T / 80`` of them.

        Each class of a video has a score of its own, whatever the others
        have: a softmax over pooled logits leaves nothing to the second.
        """
        class_score = output.cas.softmax(1)[:, :-1]
        return Scores(class_score, output.attention,
                      topk_pool(class_score, valid, max(RATIOS)))


@MODELS.register_module()
class MILLoss(WTALLoss):
    """Cross-entropy of pooled scores against the video's labels (W-TALC).

    The background is present in every video (BaS-Net).

    Args:
        mil_ratio (float | Sequence[float]): r: the best ``T / r`` snippets
            are pooled. The loss is the mean over several. Defaults to 7.

    Raises:
        ValueError: For a ratio below 1.
    """

    def __init__(self, mil_ratio: float | Sequence[float] = 7) -> None:
        super().__init__()
        if isinstance(mil_ratio, (int, float)):
            mil_ratio = [mil_ratio]
        if min(mil_ratio) < 1:
            raise ValueError(f'mil_ratio must be >= 1, got {mil_ratio}')
        self.mil_ratios = mil_ratio

    def pooled_loss(self,
                    cas: Tensor,
                    target: Tensor,
                    valid: Tensor,
                    among: Tensor | float = 1.) -> Tensor:
        """Mean over the ratios; (N, K, T) against (N, K) multi-hot."""
        return torch.stack([
            mil_loss(topk_pool(cas, valid, ratio, among), target)
            for ratio in self.mil_ratios
        ]).mean()

    def classify(self, output: BranchOutput, label: Tensor,
                 valid: Tensor) -> dict[str, Tensor]:
        """See :class:`WTALLoss`."""
        target = with_background(label, 1.)
        return dict(loss_mil=self.pooled_loss(output.cas, target, valid))


@MODELS.register_module()
class PresentClassLoss(MILLoss):
    """Multiple-instance loss that uses which classes a video lacks, snippet
    by snippet.

    - ``loss_mil`` and ``loss_mil_suppressed`` are CO2-Net's two
      cross-entropies, on a CAS for whose snippets the video's classes compete:
      ``cas_c + log(softmax over the present classes)_c`` for a present class
      c; absent classes and the background stay. A video of one class is
      unchanged. The classes of a video share its time as well: of n classes,
      each pools the best ``T / (r sqrt(n))`` snippets, between all having the
      same snippets and none.
    - ``loss_present``: what is an action is one of the video's,
      ``- sum_t a_t log(sum_{c present} e^cas_c / sum_c e^cas_c) / sum_t a_t``
      with the attention a, through which no gradient flows (partial labels,
      T. Cour et al., JMLR 2011). It needs no k.

    Args:
        mil_ratio (Sequence[float]): See :class:`MILLoss`. Defaults to 7, 20
            and 80.
    """

    def __init__(self, mil_ratio: float | Sequence[float] = RATIOS) -> None:
        super().__init__(mil_ratio)

    def classify(self, output: BranchOutput, label: Tensor,
                 valid: Tensor) -> dict[str, Tensor]:
        """See :class:`WTALLoss`."""
        share = present_share(output.cas, label)
        cas = output.cas + F.pad(share * label.unsqueeze(-1), (0, 0, 0, 1))
        suppressed = suppress_background(cas, output.attention)
        present = label.sum(1, keepdim=True).clamp(min=1).expand_as(label)
        among = F.pad(present.sqrt(), (0, 1), value=1.)
        any_present = label.any(1, keepdim=True).unsqueeze(-1) & valid
        weight = output.attention.detach() * any_present
        logits = output.cas[:, :-1]
        gap = logits.logsumexp(
            1, keepdim=True) - present_logits(logits, label).logsumexp(
                1, keepdim=True)
        return dict(
            loss_mil=self.pooled_loss(cas, with_background(label, 1.), valid,
                                      among),
            loss_mil_suppressed=self.pooled_loss(suppressed,
                                                 with_background(label, 0.),
                                                 valid, among),
            loss_present=((gap * weight).sum((1, 2)) / weight.sum(
                (1, 2)).clamp(min=1e-6)).mean())


def present_logits(logits: Tensor, label: Tensor) -> Tensor:
    """(N, C, T) with the lowest number at absent classes."""
    absent = (label <= 0).unsqueeze(-1)
    return logits.masked_fill(absent, torch.finfo(logits.dtype).min / 2)


def present_share(cas: Tensor, label: Tensor) -> Tensor:
    """Log-softmax over the classes of each video, (N, K, T) -> (N, C, T);
    meaningless at absent classes."""
    return present_logits(cas[:, :-1], label).log_softmax(1)
