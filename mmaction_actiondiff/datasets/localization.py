# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""From a record of WTALDataset to what MMAction2's localizers take.

BMN, BSN (TEM, PEM) and TCANet read features of a fixed temporal scale and
ActivityNet's annotation keys. With these transforms before MMAction2's own
``GenerateLocalizationLabels`` and ``PackLocalizationInputs`` they train, fully
supervised, on the same files as the weakly supervised methods.

L are the steps of the fixed scale, P the proposals.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from mmaction.registry import TRANSFORMS

from ..dumps import read_dump
from .transforms import check_finite


@TRANSFORMS.register_module()
@dataclass
class LocalizerRecord:
    """Adds the keys of MMAction2's ``ActivityNetDataset`` to a record.

    ``duration_second`` is the time that the T snippets cover, hence
    ``duration_frame = feature_frame = T``: a frame of theirs is a snippet of
    ours, and the localizers need ``feature_extraction_interval=1``.
    ``annotations`` lists ``segment`` (s after the first snippet starts) and
    ``label`` (class index).
    Requires ``feature`` (T, D) and the record of ``WTALDataset``.

    Args:
        require_segments (bool): Whether to refuse a video without segments,
            of which the localizers cannot learn.

    Raises:
        ValueError: If a video has no segments and is to have some.
    """

    require_segments: bool = True

    def __call__(self, results: dict) -> dict:
        if self.require_segments and not len(results['segments']):
            raise ValueError(
                f'{results["video_name"]} has no annotated segment, and the '
                'localizers of MMAction2 learn from segments alone: annotate '
                'it, or leave it out with train_dataloader.dataset.exclude')
        num_snippets = len(results['feature'])
        segments = results['segments'] - results.get('snippet_offset', 0.)
        results.update(
            duration_second=num_snippets * results['seconds_per_snippet'],
            duration_frame=num_snippets,
            feature_frame=num_snippets,
            annotations=[
                dict(segment=segment, label=label) for segment, label in zip(
                    segments.tolist(), results['segment_labels'].tolist())
            ])
        return results


@TRANSFORMS.register_module()
@dataclass
class ResizeLocalizerFeature:
    """Resamples ``feature`` (T, D) to ``raw_feature``, float32 (D, L).

    Step ``i`` covers ``[i, i + 1) * T / L`` snippets. Its value is the mean
    of ``ceil(T / L)`` evenly spaced points of the linear interpolation
    between snippet centres, so that a long video is averaged, not
    subsampled. For ``T <= L`` this is ``torch.nn.functional.interpolate``
    in linear mode; where L divides T, the mean of T / L snippets.

    Args:
        length (int): L, the localizer's ``temporal_dim``.

    Raises:
        ValueError: If ``length < 1``, or a feature value is not finite.
    """

    length: int

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError(f'length must be >= 1, got {self.length}')

    def __call__(self, results: dict) -> dict:
        feature = np.array(results['feature'], dtype=np.float32)
        check_finite(feature, results['feature_path'])
        num = len(feature)
        points = -(-num // self.length)
        total = self.length * points
        place = (np.arange(total) + 0.5) * num / total - 0.5
        place = np.clip(place, 0, num - 1)
        low = place.astype(np.int64)
        weight = (place - low).astype(np.float32)[:, None]
        high = np.minimum(low + 1, num - 1)
        value = feature[low] * (1 - weight) + feature[high] * weight
        value = value.reshape(self.length, points, -1).mean(1)
        results['raw_feature'] = np.ascontiguousarray(value.T)
        return results


@TRANSFORMS.register_module()
@dataclass
class LoadLocalizerProposals:
    """Adds another localizer's proposals and, matched to them, ``gt_bbox``.

    TCANet refines proposals, but MMAction2 has no transform that loads any.
    Its loss compares proposal ``j`` with box ``j``, so that each proposal
    needs the segment it overlaps best: give the model ``gt_bbox`` from here
    instead of from ``GenerateLocalizationLabels``.

    Adds ``proposals``, float32 (P, 3): start and end as shares of
    ``duration_second`` and the score, best first; and ``gt_bbox``, float32
    (P, 2), the segment with the largest overlap as shares, zeros for a video
    without segments.

    Args:
        proposals_file (str): What ``tools/test.py --dump`` wrote for a
            proposal localizer such as BMN.
        top_k (int): Largest P.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If ``top_k < 1``, or the file is no dump or lacks a video.
    """

    proposals_file: str
    top_k: int

    def __post_init__(self) -> None:
        if self.top_k < 1:
            raise ValueError(f'top_k must be >= 1, got {self.top_k}')
        self.proposals = {
            item['video_name']: [(*proposal['segment'], proposal['score'])
                                 for proposal in item['proposal_list']]
            for item in read_dump(self.proposals_file)[0]
        }

    def __call__(self, results: dict) -> dict:
        name = results['video_name']
        if not self.proposals.get(name):
            raise ValueError(
                f'{self.proposals_file}: no proposals of {name}; it has '
                f'{len(self.proposals)} videos')
        duration = results['duration_second']
        proposals = np.array(self.proposals[name])
        proposals = proposals[np.argsort(-proposals[:, 2],
                                         kind='stable')][:self.top_k]
        proposals[:, :2] /= duration
        truth = results['segments'] - results.get('snippet_offset', 0.)
        truth = np.clip(truth / duration, 0, 1)
        matched = np.zeros((len(proposals), 2))
        if len(truth):
            start, end = proposals[:, 0, None], proposals[:, 1, None]
            inner = np.minimum(end, truth[:, 1]) - np.maximum(
                start, truth[:, 0])
            outer = end - start + truth[:, 1] - truth[:, 0] - inner
            matched = truth[(inner / outer).argmax(1)]
        results['proposals'] = proposals.astype(np.float32)
        results['gt_bbox'] = matched.astype(np.float32)
        return results
