# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Average recall of class-agnostic proposals (numpy only)."""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .ap import temporal_iou


class RecallCurve(NamedTuple):
    """AR@AN.

    Attributes:
        recall (np.ndarray): (K, 100) in [0, 1], by threshold and by hundredth
            of the retrieved proposals.
        average (np.ndarray): (100,), its mean over the thresholds.
        num_proposals (np.ndarray): (100,), mean number of proposals per video.
        auc (float): Area under ``average``, as a share of ``num_proposals``'
            range from 0 (the curve starts at the first point, so a perfect
            one has 99 %).
    """
    recall: np.ndarray
    average: np.ndarray
    num_proposals: np.ndarray
    auc: float


def average_recall(ground_truth: Sequence[np.ndarray],
                   proposals: Sequence[np.ndarray],
                   scores: Sequence[np.ndarray],
                   tiou_thrs: Sequence[float] = tuple(
                       np.linspace(0.5, 0.95, 10)),
                   max_proposals: float = 100) -> RecallCurve:
    """Average recall against the average number of proposals (AR@AN).

    The definition of ActivityNet's proposal task: every video keeps the same
    *share* of its proposals, chosen so that they are ``max_proposals`` on
    average; recall counts instances overlapped by at least the threshold.

    Args:
        ground_truth (Sequence[np.ndarray]): Segments (G, 2) of each video.
        proposals (Sequence[np.ndarray]): Segments (P, 2) of each video.
        scores (Sequence[np.ndarray]): Their scores (P,).
        tiou_thrs (Sequence[float]): K thresholds.
        max_proposals (float): Mean number of proposals at the curve's end.

    Returns:
        RecallCurve: The curve; recall is 0 without proposals.

    Raises:
        ValueError: If there is no instance.
    """
    num_videos = len(ground_truth)
    num_gt = sum(len(segments) for segments in ground_truth)
    if num_gt == 0:
        raise ValueError('recall is undefined without ground truth')
    total = sum(len(segments) for segments in proposals)
    share = max_proposals * num_videos / max(total, 1)
    kept = [
        min(int(len(segments) * share), len(segments))
        for segments in proposals
    ]
    retrieved = sum(kept)
    shares = np.arange(1, 101) / 100 * (
        max_proposals * num_videos / max(retrieved, 1))
    thrs = np.asarray(tiou_thrs)[:, None]
    found = np.zeros((len(thrs), 100))
    for truth, segments, score, num in zip(ground_truth, proposals, scores,
                                           kept):
        if num == 0 or len(truth) == 0:
            continue
        order = np.argsort(-score, kind='stable')[:num]
        # best overlap with each instance after the first n proposals
        best = np.maximum.accumulate(
            temporal_iou(segments[order][:, None], truth), axis=0)
        best = np.concatenate([np.zeros((1, len(truth))), best])
        taken = np.minimum((num * shares).astype(np.int64), num)
        found += (best[taken] >= thrs[..., None]).sum(-1)
    recall = found / num_gt
    average = recall.mean(0)
    num_proposals = shares * retrieved / num_videos
    steps = np.diff(num_proposals) * (average[1:] + average[:-1]) / 2
    auc = steps.sum() / num_proposals[-1] if retrieved else 0.
    return RecallCurve(recall, average, num_proposals, float(auc))
