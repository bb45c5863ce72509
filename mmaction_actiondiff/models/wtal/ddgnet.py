# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""DDG-Net: graphs over the action, the background and what is in between.

Source: X. Tang et al., "DDG-Net: Discriminability-Driven Graph Network for
Weakly-supervised Temporal Action Localization", ICCV 2023 (THUMOS14 AVG
0.1:0.7: 47.3), on DELU. Follows the released code to 1e-5 (``tests/golden``).
D are the channels of one stream here.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from ..branch import BranchOutput
from ..objective import with_background
from ..pooling import masked_mean, snippet_rank
from .co2net import SLOPE, CrossModalBranch, init_convolutions
from .delu import DELULoss

THRESHOLD = 0.5  # of the attentions
SIMILARITY = 0.8  # of snippets that are joined
NEIGHBOURS = 10  # each snippet hears at most a tenth of the video
TEMPERATURE = 0.5  # of the weights in the consistency


class Graph(NamedTuple):
    """Who hears whom: column t of a matrix are the shares that snippet t
    takes of the others, in sum 1 or 0.

    Attributes:
        action, background (Tensor): Among the snippets that both streams
            call action, or background, (N, T, T).
        mixed (Tensor): What the other snippets, the ambiguous ones, take of
            these and of themselves, (N, T, T).
        is_action, is_background (Tensor): (N, 1, T) bool.
    """

    action: Tensor
    background: Tensor
    mixed: Tensor
    is_action: Tensor
    is_background: Tensor


@torch.no_grad()
def build_graph(rgb: Tensor, flow: Tensor, rgb_attention: Tensor,
                flow_attention: Tensor, valid: Tensor) -> Graph:
    """Join similar snippets; the inputs alone and the attentions decide.

    Args:
        rgb, flow (Tensor): (N, D, T).
        rgb_attention, flow_attention (Tensor): (N, 1, T) in [0, 1].
        valid (Tensor): (N, 1, T) bool.
    """
    high = torch.cat([rgb_attention, flow_attention], 1) >= THRESHOLD
    is_action = high.all(1, keepdim=True) & valid
    is_background = ~high.any(1, keepdim=True) & valid
    clear = is_action | is_background
    rgb, flow = F.normalize(rgb, dim=1), F.normalize(flow, dim=1)
    similarity = (rgb.mT @ rgb + flow.mT @ flow) / 2
    # the nearest of each column
    count = valid.sum(-1, keepdim=True) // NEIGHBOURS
    near = snippet_rank(similarity, valid) < count  # it is symmetric
    similarity = similarity * near.mT * (similarity >= SIMILARITY)

    def join(sources: Tensor, targets: Tensor) -> Tensor:
        return similarity * (sources.mT & targets)

    itself = torch.eye(valid.size(-1), device=valid.device) > 0
    ambiguous = ~clear & valid
    mixed = join(clear, ambiguous) + similarity * (itself & ambiguous)
    action, background, mixed = (
        F.normalize(x, p=1, dim=1)
        for x in (join(is_action, is_action),
                  join(is_background, is_background), mixed))
    return Graph(action, background, mixed, is_action, is_background)


class StreamGraph(nn.Module):
    """Two graph convolutions (D to D channels) of the action and two of the
    background."""

    def __init__(self, channels: int) -> None:
        super().__init__()

        def layers() -> nn.ModuleList:
            return nn.ModuleList(
                nn.Conv1d(channels, channels, 1) for _ in range(2))

        self.action, self.background = layers(), layers()

    def forward(self, x: Tensor, graph: Graph) -> tuple[Tensor, Tensor]:
        """(N, D, T) -> the features and how far averaging along the graph
        and its convolutions are apart, (N, D, T) and (N, 1, T)."""
        average = x @ (graph.action + graph.background + graph.mixed)
        action = background = x
        for layer in self.action:
            action = F.leaky_relu(layer(action) @ graph.action, SLOPE)
        for layer in self.background:
            background = F.leaky_relu(
                layer(background) @ graph.background, SLOPE)
        # of the convolved clear snippets, and of the ambiguous one itself
        source = torch.where(graph.is_action, action, background)
        source = torch.where(graph.is_action | graph.is_background, source, x)
        convolved = action + background + source @ graph.mixed
        distance = (average - convolved).norm(dim=1, keepdim=True)
        return x / 2 + (average + convolved) / 4, distance


@MODELS.register_module()
class DDGBranch(CrossModalBranch):
    """CO2-Net's branch with graphs in the place of the gates.

    Args:
        args, kwargs: Of :class:`CrossModalBranch`.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        del self.rgb_gate, self.flow_gate
        rgb, flow = self.stream_channels
        self.rgb_graph = StreamGraph(rgb)
        self.flow_graph = StreamGraph(flow)
        init_convolutions(self)

    def exchange(self, rgb: Tensor, flow: Tensor,
                 valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See :class:`CrossModalBranch`; the third is the consistency."""
        first, second = (self.rgb_attention(rgb, valid),
                         self.flow_attention(flow, valid))
        graph = build_graph(rgb, flow, first, second, valid)
        rgb, rgb_distance = self.rgb_graph(rgb, graph)
        flow, flow_distance = self.flow_graph(flow, graph)
        attention = (first + second).detach() / 2
        distance = (rgb_distance + flow_distance) / 2
        loss = consistency(distance, attention, graph.is_action) + consistency(
            distance, 1 - attention, graph.is_background)
        return rgb * valid, flow * valid, loss


def consistency(distance: Tensor, score: Tensor, chosen: Tensor) -> Tensor:
    """Mean distance over the chosen snippets, the surest first; mean over
    the videos that have some, 0 without. All are (N, 1, T).

    A snippet weighs ``exp((1 - 1 / score) / temperature)``, score in (0, 1].
    """
    weight = ((1 - 1 / score.clamp(min=1e-6)) / TEMPERATURE).exp() * chosen
    mean = (weight * distance).sum(-1) / weight.sum(-1).clamp(min=1e-3)
    return mean.sum() / chosen.any(-1).sum().clamp(min=1)


@MODELS.register_module()
class DDGLoss(DELULoss):
    """DELU's terms, 3.2 times the graphs' consistency, which is the branch's
    loss, and :func:`complementary_loss`.

    Args:
        kwargs: Of :class:`DELULoss`.
    """

    def further_terms(self, output: BranchOutput, label: Tensor, valid: Tensor,
                      progress: float) -> dict[str, Tensor]:
        """See :class:`WTALLoss`."""
        losses = super().further_terms(output, label, valid, progress)
        if output.branch_loss is None:
            raise ValueError("DDGLoss needs base_branch=dict(type="
                             "'DDGBranch'), which measures the consistency")
        losses['loss_consistency'] = 3.2 * output.branch_loss
        losses['loss_complementary'] = complementary_loss(
            output.cas, label, valid)
        return losses


def complementary_loss(cas: Tensor, label: Tensor, valid: Tensor) -> Tensor:
    """``mean_T sum_K -(1 - y) log(1 - softmax_K(cas))``: no snippet is of an
    absent class; the background is present. (N, K, T), (N, C) multi-hot."""
    absent = 1 - with_background(label, 1.).unsqueeze(-1)
    rest = (1 - cas.softmax(1)).clamp(min=1e-6)
    return masked_mean((-absent * rest.log()).sum(1, True), valid).mean()
