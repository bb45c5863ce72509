# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""The networks of a localizer as one ``torch.export`` program.

A server or a C++ program runs it without this package: features go in, scores
come out. Proposals (``proposals.py``, numpy alone) are made of these.
Dimension letters: C classes, D feature channels, T snippets.
"""
from __future__ import annotations

import inspect
import json
import os

import torch
from torch import Tensor, nn

from .files import whole_file
from .models.localizer import WeakLocalizer


class NetworkPart(nn.Module):
    """What of a trained localizer is a function of tensors."""

    def __init__(self, localizer: WeakLocalizer) -> None:
        super().__init__()
        self.localizer = localizer
        self.needs_noise = 'noise' in inspect.signature(
            localizer.single_pass).parameters

    def forward(self,
                inputs: Tensor,
                valid: Tensor,
                noise: Tensor | None = None) -> dict[str, Tensor]:
        """Every network once, the sampler with one step.

        Args:
            inputs (Tensor): Features (1, D, T); what is not valid is ignored.
            valid (Tensor): (1, 1, T) bool, false where padded at the end.
            noise (Tensor, optional): (1, C, T) standard normal, for models
                with a diffusion branch.

        Returns:
            dict[str, Tensor]: ``class_score`` (1, C, T), ``attention``
            (1, 1, T), ``video_score`` (1, C), all in [0, 1], and, for a model
            that has one, ``contrast`` (1, C, T); see ``Scores``.
        """
        inputs = inputs.masked_fill(~valid, 0)
        scores = self.localizer.single_pass(
            inputs, valid, *([noise] if self.needs_noise else []))
        return {k: v for k, v in scores._asdict().items() if v is not None}


def export_network(localizer: WeakLocalizer,
                   path: str | os.PathLike,
                   num_snippets: int,
                   classes: tuple[str, ...] = ()) -> None:
    """Write the networks as a program (``torch.export.load`` reads it).

    The program takes exactly ``num_snippets``; ``valid`` says which of them
    are padding, and the padding changes nothing. Its extra file
    ``actiondiff.json`` has the ``classes``, ``stream_channels``,
    ``num_snippets``, ``video_score_thr`` and whether it ``needs_noise``.

    Args:
        localizer (WeakLocalizer): A trained one.
        path (str | PathLike): Ends in ``.pt2``.
        num_snippets (int): T, at least the longest video.
        classes (tuple[str]): Names, stored with the program.

    Raises:
        ValueError: If ``path`` has another ending, or ``num_snippets`` < 1.
    """
    if not os.fspath(path).endswith('.pt2'):
        raise ValueError(f'{path}: expected a name that ends in .pt2')
    if num_snippets < 1:
        raise ValueError(f'num_snippets must be >= 1, got {num_snippets}')
    network = NetworkPart(localizer).cpu().eval()
    channels = sum(localizer.base_branch.stream_channels)
    example = [
        torch.zeros(1, channels, num_snippets),
        torch.ones(1, 1, num_snippets, dtype=torch.bool)
    ]
    if network.needs_noise:
        example.append(torch.zeros(1, localizer.num_classes, num_snippets))
    facts = dict(
        classes=classes,
        stream_channels=localizer.base_branch.stream_channels,
        num_snippets=num_snippets,
        video_score_thr=localizer.video_score_thr,
        needs_noise=network.needs_noise)
    with torch.no_grad():
        program = torch.export.export(network, tuple(example))
    with whole_file(path) as file:
        torch.export.save(
            program, file, extra_files={'actiondiff.json': json.dumps(facts)})
