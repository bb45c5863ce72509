"""The plainest multiple-instance network, whose background is the attention.

W-TALC (S. Paul et al., ECCV 2018) with the background class of BaS-Net
(P. Lee et al., AAAI 2020): it suits small features, where gates and
attentions of their own learn too late.

Dimension letters: N videos, D feature channels, E embedding channels,
C classes, K = C + 1 with the background last, T snippets.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from ..branch import BaseBranch, BranchOutput, MaskedConv, Scores
from ..objective import WTALLoss, mil_loss, with_background
from ..pooling import topk_pool


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
        dropout (float): Before every layer but the first. Defaults to 0.5.
        video_ratio (float): See :class:`BaseBranch`.
    """

    def __init__(self,
                 num_classes: int,
                 stream_channels: Sequence[int] = (1024, 1024),
                 embed_channels: int = 512,
                 hidden_layers: int = 1,
                 kernel_size: int = 3,
                 dropout: float = 0.5,
                 video_ratio: float = 10) -> None:
        super().__init__(num_classes, stream_channels, embed_channels,
                         video_ratio)
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
        """Video scores are ``softmax_K`` of the best snippets'
        log-probabilities: the background is a class of its own, and nothing
        else suppresses it."""
        pooled = topk_pool(output.cas.log_softmax(1), valid, self.video_ratio)
        return Scores(
            output.cas.softmax(1)[:, :-1], output.attention,
            pooled.softmax(1)[:, :-1])


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

    def pooled_loss(self, cas: Tensor, target: Tensor,
                    valid: Tensor) -> Tensor:
        """Mean over the ratios; (N, K, T) against (N, K) multi-hot."""
        return torch.stack([
            mil_loss(topk_pool(cas, valid, ratio), target)
            for ratio in self.mil_ratios
        ]).mean()

    def classify(self, output: BranchOutput, label: Tensor,
                 valid: Tensor) -> dict[str, Tensor]:
        """See :class:`WTALLoss`."""
        target = with_background(label, 1.)
        return dict(loss_mil=self.pooled_loss(output.cas, target, valid))

    def forward(self,
                output: BranchOutput,
                label: Tensor,
                valid: Tensor,
                progress: float = 0.5) -> dict[str, Tensor]:
        """See :class:`WTALLoss`."""
        return self.classify(output, label, valid)
