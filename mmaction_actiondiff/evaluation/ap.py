# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Average precision of scored segments (numpy only).

Dimension legend: P detections, G ground-truth instances, C classes,
K overlap thresholds.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

# candidate pairs that are held in memory at a time
_PAIRS = 1 << 21


class Instances(NamedTuple):
    """Segments of many videos.

    Attributes:
        videos (np.ndarray): Index of the video of each segment, int (N,).
        segments (np.ndarray): Start and end, float (N, 2), in any unit.
        labels (np.ndarray): Class index in [0, C), int (N,).
        scores (np.ndarray, optional): Float (N,); None for ground truth.
    """
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

    All detections choose at once and an instance keeps the one with the best
    score, the others choosing anew (deferred acceptance). As every instance
    ranks the detections alike, this ends in the same matching as going
    through them one by one.

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
    num_gt = np.bincount(ground_truth.labels, minlength=num_classes)
    ap = np.full((len(tiou_thrs), num_classes), np.nan)
    ap[:, num_gt > 0] = 0
    if len(ground_truth.labels) == 0 or len(detections.labels) == 0:
        return ap

    order = np.argsort(-np.asarray(detections.scores), kind='stable')
    labels = detections.labels[order]
    # place of each detection among those of its class, from 1
    by_class = np.argsort(labels, kind='stable')
    count = np.bincount(labels, minlength=num_classes)
    place = np.empty(len(order), dtype=np.int64)
    place[by_class] = 1 + np.arange(len(order)) - np.repeat(
        np.cumsum(count) - count, count)

    detection, instance, iou = _candidates(ground_truth, detections, order,
                                           num_classes, min(tiou_thrs))
    for row, thr in enumerate(tiou_thrs):
        # candidates are sorted by falling overlap: a prefix of each is left
        keep = iou >= thr
        matched = np.sort(
            _match(detection[keep], instance[keep], len(ground_truth.labels)))
        for label in np.unique(labels[matched]):
            hits = matched[labels[matched] == label]
            precision = np.arange(1, len(hits) + 1) / place[hits]
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


def _candidates(ground_truth: Instances, detections: Instances,
                order: np.ndarray, num_classes: int,
                thr: float) -> tuple[np.ndarray, ...]:
    """Pairs of one video and class that overlap by at least ``thr``.

    Returns:
        tuple: Detection (as place in ``order``), instance and overlap, sorted
        by detection, then by falling overlap, then by falling instance.
    """
    key = ground_truth.videos * num_classes + ground_truth.labels
    by_key = np.argsort(key, kind='stable')
    key = key[by_key]
    wanted = (detections.videos * num_classes + detections.labels)[order]
    first = np.searchsorted(key, wanted)
    count = np.searchsorted(key, wanted, side='right') - first
    parts = []
    for start, stop in _chunks(count):
        num = count[start:stop]
        detection = np.repeat(np.arange(start, stop), num)
        offset = np.arange(len(detection)) - np.repeat(
            np.cumsum(num) - num, num)
        instance = by_key[first[detection] + offset]
        iou = temporal_iou(detections.segments[order[detection]],
                           ground_truth.segments[instance])
        keep = np.flatnonzero(iou >= thr)
        keep = keep[np.lexsort((-instance[keep], -iou[keep], detection[keep]))]
        parts.append((detection[keep], instance[keep], iou[keep]))
    detection, instance, iou = (np.concatenate(part) for part in zip(*parts))
    return detection, instance, iou


def _chunks(count: np.ndarray) -> Iterator[tuple[int, int]]:
    total = np.cumsum(count)
    start = 0
    while start < len(count):
        done = total[start - 1] if start else 0
        stop = int(np.searchsorted(total, done + _PAIRS, side='right'))
        stop = max(stop, start + 1)
        yield start, stop
        start = stop


def _match(detection: np.ndarray, instance: np.ndarray,
           num_instances: int) -> np.ndarray:
    """The detections that get an instance, by deferred acceptance; a lower
    number has precedence. ``detection`` ascends, and ``instance`` holds the
    candidates of each, best first."""
    names, cursor = np.unique(detection, return_index=True)
    stop = np.append(cursor[1:], len(detection))
    nobody = len(names)
    holder = np.full(num_instances, nobody)
    active = np.arange(nobody)
    while len(active):
        target = instance[cursor[active]]
        cursor[active] += 1
        before = holder[target]
        np.minimum.at(holder, target, active)
        after = holder[target]
        ousted = np.unique(before[(before != after) & (before != nobody)])
        active = np.concatenate([active[after != active], ousted])
        active = active[cursor[active] < stop[active]]
    return names[holder[holder != nobody]]
