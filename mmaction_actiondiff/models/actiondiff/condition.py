# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""The action-related condition: what guides the diffusion."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

MODES = ('attn_input', 'input', 'topk_feat')
EDGE = 2  # snippets on each side of a boundary that may be hidden


@MODELS.register_module()
class ActionCondition(nn.Module):
    """What the diffusion is told about actions, (N, F, T).

    With the attention a, the union m of the pseudo-masks and ``P`` = layer
    norm over the channels of a 1x1 convolution (the gates stand behind the
    norm, which would undo a factor before it):

    ============== ========================================================
    ``attn_input`` ``a P(inputs)``: features of actions; the denoiser looks
                   by itself, so that its errors are not the base's
    ``input``      ``P(inputs)``
    ``topk_feat``  ``m P(X) + (1 - m) token``, X (N, E, T) the base's
                   features and a learned token: only action snippets
                   condition, action to action
    ============== ========================================================

    No gradient reaches the base. :meth:`hide` hides (zeroes) a part of the
    condition while training, so that the denoiser learns how actions look in
    time instead of copying. Each video draws one of: all of it is hidden; two
    snippets on each side of the boundaries of its mask; one whole run of its
    mask; nothing.

    Args:
        embed_channels (int): E.
        input_channels (int): D.
        condition_channels (int): F. Defaults to 128.
        mode (str): See the table. Defaults to 'attn_input'.

    Raises:
        ValueError: For an unknown mode.
    """

    # probabilities of hiding all, the boundaries, one run
    hide_probs = (0.2, 0.2, 0.2)

    def __init__(self,
                 embed_channels: int,
                 input_channels: int,
                 condition_channels: int = 128,
                 mode: str = 'attn_input') -> None:
        super().__init__()
        if mode not in MODES:
            raise ValueError(
                f'condition mode must be one of {MODES}, got {mode!r}')
        self.condition_channels = condition_channels
        self.mode = mode
        source = embed_channels if mode == 'topk_feat' else input_channels
        self.feature = nn.Conv1d(source, condition_channels, 1)
        self.norm = nn.LayerNorm(condition_channels)
        if mode == 'topk_feat':
            self.token = nn.Parameter(torch.zeros(condition_channels, 1))
            nn.init.trunc_normal_(self.token, std=0.02)

    def forward(self, inputs: Tensor, feature: Tensor, attention: Tensor,
                union: Tensor, valid: Tensor) -> Tensor:
        """Make the condition, (N, F, T), zero where not valid.

        Args:
            inputs (Tensor): (N, D, T).
            feature (Tensor): Of the base branch, (N, E, T).
            attention (Tensor): (N, 1, T) in [0, 1].
            union (Tensor): Of the pseudo-masks, (N, 1, T) in {0, 1}.
            valid (Tensor): (N, 1, T) bool.
        """
        if self.mode == 'topk_feat':
            embedded = self.embed(feature.detach())
            return (union * embedded + (1 - union) * self.token) * valid
        condition = self.embed(inputs)
        if self.mode == 'attn_input':
            condition = attention.detach() * condition
        return condition * valid

    def embed(self, feature: Tensor) -> Tensor:
        """(N, ·, T) -> (N, F, T), normalised over the channels."""
        return self.norm(self.feature(feature).transpose(1, 2)).transpose(1, 2)

    def hide(self, condition: Tensor, union: Tensor, valid: Tensor) -> Tensor:
        """Zero parts of the condition (N, F, T) while training, see the
        class; ``union`` and ``valid`` as in :meth:`forward`."""
        if not self.training:
            return condition
        return condition * ~hidden_snippets(union, valid, self.hide_probs)


def hidden_snippets(union: Tensor, valid: Tensor,
                    probs: tuple[float, float, float]) -> Tensor:
    """Draw what each video hides, (N, 1, T) bool: all, the boundaries, one
    run (with these ``probs``) or nothing; see :class:`ActionCondition`."""
    action = (union > 0) & valid
    choice, which = torch.rand((2, len(union), 1, 1), device=union.device)
    all_end = probs[0]
    boundary_end = all_end + probs[1]
    segment_end = boundary_end + probs[2]

    edge = (action[..., 1:] != action[..., :-1]) & valid[..., 1:]
    boundary = F.max_pool1d(
        F.pad(edge.to(union.dtype), (EDGE, EDGE)), 2 * EDGE, 1) > 0

    start = action & ~F.pad(action[..., :-1], (1, 0))
    run = start.cumsum(-1)  # 1, 2, ... from each start on
    chosen = (which * run[..., -1:]).long() + 1
    segment = action & (run == chosen)

    return torch.where(
        choice < all_end, True,
        torch.where(choice < boundary_end, boundary,
                    segment & (choice < segment_end)))
