"""Why the mAP moved: what the curves and proposals of a test look like.

Dimension legend: T snippets, C classes, G ground-truth instances.
"""
from __future__ import annotations

from collections import defaultdict
from typing import Any, Mapping, Sequence

import numpy as np

from .metrics import PseudoMaskQuality, _numpy, _truth
from .precision import Instances, average_precision, temporal_iou
from .protocols import VideoDetections, VideoTruth

#: Class scores of ``pred_snippets``; a model without fusion has the last only.
STAGES = dict(before='base_score', after='score')
#: Parts of an instance in the generated data, in the order of ``phases``.
PHASES = ('start-up', 'core', 'tail')

#: Of the average precision by length.
TIOU_THRS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)

#: By the name of the video: label and spans (3, 2) of each instance.
Phases = Mapping[str, Sequence[tuple[int, np.ndarray]]]


def bin_names(edges: Sequence[float]) -> list[str]:
    """Names of the bins of lengths (s); each begins with its lower edge."""
    inner = [f'{a:g}–{b:g} s' for a, b in zip(edges, edges[1:])]
    return [f'< {edges[0]:g} s', *inner, f'≥ {edges[-1]:g} s']


def length_bins(segments: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    """Bin (G,) of each segment (G, 2) by its length."""
    # rounded: 4.2 - 3.6 is as long as 0.6
    return np.digitize(np.round(segments[:, 1] - segments[:, 0], 6), edges)


def count_instances(samples: Sequence[Mapping],
                    edges: Sequence[float]) -> dict[str, int]:
    """Number of ground-truth instances, ``all`` and in each bin."""
    bins = [length_bins(_truth(dict(s)).segments, edges) for s in samples]
    count = np.bincount(np.concatenate(bins), minlength=len(edges) + 1)
    return dict(
        all=int(count.sum()), **dict(zip(bin_names(edges), count.tolist())))


def read_phases(database: Mapping[str, Any], classes: Sequence[str]) -> Phases:
    """The phases that annotations (ActivityNet schema) may have."""
    index = {name: i for i, name in enumerate(classes)}
    return {
        name: [(index[item['label']], np.array(item['phases']))
               for item in video.get('annotations', ()) if 'phases' in item]
        for name, video in database.items()
    }


def peak_ratio(score: np.ndarray) -> np.ndarray:
    """``max_T / mean_T`` of each class, (T, C) -> (C,), as the fusion has it.

    High where a class shows in few snippets only.
    """
    return score.max(0) / np.maximum(score.mean(0), 1e-6)


def coverage(score: np.ndarray, spans: np.ndarray, labels: np.ndarray,
             seconds_per_snippet: float) -> np.ndarray:
    """Share of each span's snippets that its class's score reaches.

    A snippet is reached if the score is above a quarter of the largest one
    of its class in the video, and lies in a span if its centre does.

    Args:
        score (np.ndarray): (T, C).
        spans (np.ndarray): (G, 2), in seconds.
        labels (np.ndarray): (G,).
        seconds_per_snippet (float): Length of a snippet.

    Returns:
        np.ndarray: (G,) in [0, 1]; NaN for a span with no snippet.
    """
    centre = (np.arange(len(score)) + 0.5) * seconds_per_snippet
    inside = (centre >= spans[:, :1]) & (centre < spans[:, 1:])  # (G, T)
    reached = (score > score.max(0) / 4)[:, labels].T
    total = inside.sum(1)
    return np.divide(
        (inside & reached).sum(1),
        total,
        out=np.full(len(spans), np.nan),
        where=total > 0)


def recalled(truth: VideoTruth,
             found: VideoDetections,
             top: int = 3,
             tiou_thr: float = 0.5) -> np.ndarray:
    """Which instances (G,) one of the best ``top`` detections of their class
    in the video overlaps by at least ``tiou_thr``."""
    hit = np.zeros(len(truth.labels), dtype=bool)
    for label in np.unique(truth.labels):
        own = truth.labels == label
        rival = np.flatnonzero(found.labels == label)
        best = rival[np.argsort(-found.scores[rival], kind='stable')[:top]]
        iou = temporal_iou(truth.segments[own, None], found.segments[best])
        hit[own] = (iou >= tiou_thr).any(1)
    return hit


def owner_bins(truth: VideoTruth, found: VideoDetections,
               edges: Sequence[float]) -> np.ndarray:
    """Bin (P,) of the instance that each detection overlaps most, among those
    of its class in the video; -1 where it overlaps none."""
    bins = length_bins(truth.segments, edges)
    owner = np.full(len(found.labels), -1)
    for label in np.unique(truth.labels):
        own = np.flatnonzero(truth.labels == label)
        rival = np.flatnonzero(found.labels == label)
        iou = temporal_iou(truth.segments[own, None], found.segments[rival])
        owner[rival] = np.where(iou.max(0) > 0, bins[own[iou.argmax(0)]], -1)
    return owner


def precision_by_length(videos: Sequence[tuple[VideoTruth, VideoDetections]],
                        edges: Sequence[float],
                        num_classes: int) -> dict[str, float]:
    """mAP (%) over tIoU 0.1:0.7 of the instances of each length.

    A detection that belongs to an instance of another length
    (:func:`owner_bins`) is left out; one that overlaps nothing is a false
    positive of every length.

    Returns:
        dict[str, float]: ``all`` and every bin that has instances.
    """
    place = np.arange(len(videos))
    truths, founds = [t for t, _ in videos], [f for _, f in videos]
    truth = Instances(
        place.repeat([len(t.labels) for t in truths]),
        np.concatenate([t.segments for t in truths]),
        np.concatenate([t.labels for t in truths]))
    found = Instances(
        place.repeat([len(f.labels) for f in founds]),
        np.concatenate([f.segments for f in founds]),
        np.concatenate([f.labels for f in founds]),
        np.concatenate([f.scores for f in founds]))
    owner = np.concatenate([owner_bins(t, f, edges) for t, f in videos])
    bins = length_bins(truth.segments, edges)

    def those(every: Instances, chosen: np.ndarray) -> Instances:
        return Instances._make(None if x is None else x[chosen] for x in every)

    def average(wanted: np.ndarray, kept: np.ndarray) -> float:
        precision = average_precision(
            those(truth, wanted), those(found, kept), num_classes, TIOU_THRS)
        return 100 * float(np.nanmean(precision))

    result = dict(all=average(bins >= 0, owner >= -1))
    for number, name in enumerate(bin_names(edges)):
        if (bins == number).any():
            result[name] = average(bins == number,
                                   (owner == number) | (owner < 0))
    return result


def mask_quality(samples: Sequence[Mapping], curve: str) -> dict[str, float]:
    """:class:`PseudoMaskQuality` of a curve above 0.5.

    Over the present classes only: what the model masks for a class that it
    wrongly takes for present is an error of the video label, not of the mask.
    """
    metric = PseudoMaskQuality()
    for sample in samples:
        value = sample['pred_snippets'][curve]
        value = _numpy(value, *value.shape)
        present = np.unique(_truth(dict(sample)).labels)
        mask = np.zeros_like(value)
        mask[:, present] = value[:, present]
        metric.process(None, [dict(sample, pred_snippets=dict(mask=mask))])
    return metric.compute_metrics(metric.results)


def measure(samples: Sequence[Mapping[str, Any]],
            edges: Sequence[float],
            phases: Phases,
            top: int = 3) -> dict[str, float]:
    """All measures of one test.

    Args:
        samples (Sequence[Mapping]): What ``tools/test.py --dump`` stores,
            with ``gt_instances``, ``pred_instances``, ``pred_snippets``.
        edges (Sequence[float]): Between the bins of lengths, in seconds.
        phases (Mapping): What :func:`read_phases` returns; may be empty.
        top (int): Proposals per class and video that recall looks at.

    Returns:
        dict[str, float]: ``peak_ratio/WHEN`` (mean over the present classes
        of each video) and, in percent, ``coverage/WHEN`` and ``PHASE/WHEN``
        (mean over the instances), ``recall/all``, ``recall/BIN``,
        ``mAP/all``, ``mAP/BIN`` (:func:`precision_by_length`), and
        ``CURVE/precision``, ``/recall``, ``/tiou`` of ``mask`` and
        ``denoised``; WHEN as in :data:`STAGES`. What a test has not, or has
        no instance for, is left out.
    """
    values: dict[str, list[np.ndarray]] = defaultdict(list)
    videos = []
    for sample in samples:
        truth = _truth(dict(sample))
        seconds = truth.seconds_per_snippet
        proposals = sample['pred_instances']
        detections = VideoDetections(
            _numpy(proposals['segments'], -1, 2),
            _numpy(proposals['labels'], -1, dtype=np.int64),
            _numpy(proposals['scores'], -1))
        videos.append((truth, detections))
        hit = recalled(truth, detections, top)
        values['recall/all'].append(hit)
        length = length_bins(truth.segments, edges)
        for place, name in enumerate(bin_names(edges)):
            values[f'recall/{name}'].append(hit[length == place])
        for when, curve in STAGES.items():
            if curve not in sample['pred_snippets']:
                continue
            score = sample['pred_snippets'][curve]
            score = _numpy(score, *score.shape)
            values[f'peak_ratio/{when}'].append(
                peak_ratio(score[:, np.unique(truth.labels)]))
            values[f'coverage/{when}'].append(
                coverage(score, truth.segments, truth.labels, seconds))
            for label, spans in phases.get(sample['video_name'], ()):
                shares = coverage(score, spans, np.full(3, label), seconds)
                for phase, share in zip(PHASES, shares):
                    values[f'{phase}/{when}'].append(np.array([share]))
    found = {}
    for key, parts in values.items():
        every = np.concatenate(parts).astype(float)
        if not np.isnan(every).all():
            scale = 1 if key.startswith('peak_ratio') else 100
            found[key] = scale * float(np.nanmean(every))
    num_classes = samples[0]['pred_snippets']['score'].shape[1]
    found.update({
        f'mAP/{name}': value
        for name, value in precision_by_length(videos, edges,
                                               num_classes).items()
    })
    for curve in ('mask', 'denoised'):
        if all(curve in sample['pred_snippets'] for sample in samples):
            quality = mask_quality(samples, curve)
            found.update({
                f'{curve}/{key}': value
                for key, value in quality.items() if not np.isnan(value)
            })
    return found
