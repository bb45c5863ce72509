# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Average precision of scored segments (numpy only).

Dimension legend: P detections, G ground-truth instances, C classes,
K overlap thresholds.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Instances(NamedTuple):
    """Segments (N, 2) of many videos in any unit, with the index of the video
    (N,), the class in [0, C) (N,) and, but for ground truth, the score (N,) of
    each."""
    videos: np.ndarray
    segments: np.ndarray
    labels: np.ndarray
    scores: np.ndarray | None = None


def temporal_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of segments: (..., 2), broadcast against
    (..., 2), -> (...) in [0, 1]; 0 where one is empty or reversed."""
    inner = np.minimum(first[..., 1], second[..., 1]) - np.maximum(
        first[..., 0], second[..., 0])
    # the sum of the lengths first, as other evaluators have it: it decides
    # about overlaps that equal a threshold but for the rounding
    outer = (first[..., 1] - first[..., 0]) + (second[..., 1] -
                                               second[..., 0]) - inner
    return np.divide(inner, outer, out=np.zeros_like(inner), where=inner > 0)


def average_precision(ground_truth: Instances,
                      detections: Instances,
                      num_classes: int,
                      tiou_thrs: Sequence[float],
                      interpolated: bool = True) -> np.ndarray:
    """Average precision of each class at each overlap threshold.

    Detections are taken by descending score; **equal scores keep the order in
    which they are given**. Each takes, among the instances of its video and
    class that overlap it by at least the threshold and are still free, the
    one with the largest overlap (the last given among equals), and is a true
    positive; if there is none it is a false positive. This is the rule of
    ActivityNet's evaluator, down to the choice among equal overlaps.

    Args:
        ground_truth (Instances): G instances. An empty or reversed one counts
            and cannot be found.
        detections (Instances): P detections with scores.
        num_classes (int): C.
        tiou_thrs (Sequence[float]): K thresholds in (0, 1].
        interpolated (bool): Whether the precision at a recall is the largest
            one at this or a higher recall (VOC 2011), or the raw one. In both
            cases it is summed over the recall steps.

    Returns:
        np.ndarray: (K, C) in [0, 1]; NaN for classes without ground truth.

    Raises:
        ValueError: If a number is not finite, a label not in [0, C), or a
            threshold not in (0, 1].
    """
    _check(ground_truth, 'ground truth', num_classes)
    _check(detections, 'detections', num_classes)
    if not all(0 < thr <= 1 for thr in tiou_thrs):
        raise ValueError(f'tiou_thrs must be in (0, 1], got {tiou_thrs}')
    # by class, then score, then as given: true positives by threshold
    order = np.lexsort((-np.asarray(detections.scores), detections.labels))
    labels, segments = detections.labels[order], detections.segments[order]
    hit = np.zeros((len(tiou_thrs), len(order)), dtype=bool)
    own = _by_video_and_class(detections.videos[order], labels, num_classes)
    truth = _by_video_and_class(ground_truth.videos, ground_truth.labels,
                                num_classes)
    for key in own.keys() & truth.keys():
        overlap = temporal_iou(segments[own[key]][:, None],
                               ground_truth.segments[truth[key]])
        for row, thr in enumerate(tiou_thrs):
            hit[row, own[key]] = _match(overlap, thr)

    num_gt = np.bincount(ground_truth.labels, minlength=num_classes)
    ap = np.full((len(tiou_thrs), num_classes), np.nan)
    for label in np.flatnonzero(num_gt):
        for row, hits in enumerate(hit[:, labels == label]):
            place = 1 + np.flatnonzero(hits)
            precision = np.arange(1, len(place) + 1) / place
            if interpolated:
                # between hits precision only falls: their envelope is enough
                precision = np.maximum.accumulate(precision[::-1])
            ap[row, label] = precision.sum() / num_gt[label]
    return ap


def _check(instances: Instances, name: str, num_classes: int) -> None:
    labels = instances.labels
    if len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
        raise ValueError(
            f'labels of the {name} must be in [0, {num_classes}), got '
            f'{labels.min()} to {labels.max()}')
    for values in (instances.segments, instances.scores):
        if values is not None and not np.isfinite(values).all():
            bad = np.flatnonzero(
                ~np.isfinite(values.reshape(len(labels), -1)).all(1))
            raise ValueError(
                f'{name}: {len(bad)} segments or scores are not finite, the '
                f'first is {values[bad[0]]} at position {bad[0]}')


def _by_video_and_class(videos: np.ndarray, labels: np.ndarray,
                        num_classes: int) -> dict[int, np.ndarray]:
    """Ascending places of the segments of each video and class."""
    key = videos * num_classes + labels
    order = np.argsort(key, kind='stable')
    keys, first = np.unique(key[order], return_index=True)
    return dict(zip(keys.tolist(), np.split(order, first[1:])))


def _match(overlap: np.ndarray, thr: float) -> np.ndarray:
    """Which detections, best first, take an instance: (P, G) -> bool (P,)."""
    hit = np.zeros(len(overlap), dtype=bool)
    free = np.where(overlap >= thr, overlap, 0)[:, ::-1]
    while len(places := np.flatnonzero(free.any(1))):
        hit[places[0]] = True
        free[:, free[places[0]].argmax()] = 0
        free[places[0]] = 0
    return hit
