# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""From snippet scores to scored intervals in seconds (numpy only).

threshold -> runs -> outer-inner contrast -> (soft) NMS -> seconds.

Dimension legend: C classes, T snippets (or samples of an up-sampled curve),
R curves, K thresholds, P proposals. A ``span`` is a pair (start, end) of
sample indices, end exclusive; a ``segment`` is a pair in seconds.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmaction.registry import TASK_UTILS


def upsample(scores: np.ndarray,
             factor: int,
             place: str = 'centre') -> np.ndarray:
    """Interpolate curves linearly to a ``factor`` times finer grid:
    (..., T) -> (..., T * factor).

    Sample ``j`` of the result covers ``[j, j + 1) / factor`` snippets.

    Args:
        place (str): Where in its snippet a value sits. 'centre': the curve is
            constant before the first and behind the last centre. 'start', as
            in CoLA and ACRNet: the curve goes on straight behind the last.

    Raises:
        ValueError: For another place, or a factor that is no integer >= 1.
    """
    if int(factor) != factor or factor < 1:
        raise ValueError(f'factor must be an integer >= 1, got {factor}')
    if place not in ('centre', 'start'):
        raise ValueError(f"place must be 'centre' or 'start', got {place!r}")
    if factor == 1:
        return scores
    length = scores.shape[-1]
    position = np.arange(length * factor) / factor
    if place == 'centre':
        position = np.clip(position + 0.5 / factor - 0.5, 0, length - 1)
    left = np.minimum(position.astype(np.int64), max(length - 2, 0))
    right = np.minimum(left + 1, length - 1)
    weight = position - left
    return scores[..., left] * (1 - weight) + scores[..., right] * weight


def threshold_spans(
    curve: np.ndarray, thresholds: Sequence[float] | np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the maximal runs above each threshold.

    Args:
        curve (np.ndarray): Finite values (T,) or (R, T).
        thresholds (Sequence[float]): K thresholds in any order. A sample is
            in a run of threshold ``h`` if its value is ``> h``.

    Returns:
        tuple: Spans (P, 2), the curve (P,) and the threshold (P,) that each
        was found with, ordered by curve, threshold, start.
    """
    curve = np.atleast_2d(curve)
    levels = np.sort(np.asarray(thresholds, dtype=np.float64))
    num_curves, length = curve.shape
    above = np.zeros((num_curves, len(levels), length + 2), dtype=np.int8)
    above[..., 1:-1] = curve[:, None] > levels[:, None]
    step = np.diff(above)
    # starts and ends alternate on each curve and level: they pair up
    row, level, start = np.nonzero(step == 1)
    end = np.nonzero(step == -1)[-1]
    return np.stack([start, end], axis=1), row, levels[level]


def oic_score(curve: np.ndarray,
              spans: np.ndarray,
              outer_ratio: float = 0.25,
              rows: np.ndarray | None = None) -> np.ndarray:
    """Outer-inner contrast (AutoLoc, ECCV 2018): inner minus outer mean.

    The outer region is ``outer_ratio`` times the span's length on each side,
    rounded up on the left and down on the right, as in all public code, and
    clipped at the ends of the video. Where nothing is outside, the outer mean
    is 0.

    Args:
        curve (np.ndarray): Values (T,) or (R, T).
        spans (np.ndarray): Non-empty spans (P, 2) within [0, T].
        outer_ratio (float): See above.
        rows (np.ndarray, optional): The curve (P,) each span is scored on.
            Defaults to the first.

    Returns:
        np.ndarray: Contrast (P,).
    """
    curve = np.atleast_2d(curve).astype(np.float64)
    if rows is None:
        rows = np.zeros(len(spans), dtype=np.int64)
    area = np.pad(curve.cumsum(axis=1), ((0, 0), (1, 0)))
    start, end = spans[:, 0], spans[:, 1]
    margin = outer_ratio * (end - start)
    first = np.maximum(np.floor(start - margin), 0).astype(np.int64)
    last = np.minimum(np.floor(end + margin), curve.shape[1]).astype(np.int64)
    inner = area[rows, end] - area[rows, start]
    outer = area[rows, last] - area[rows, first] - inner
    outside = (last - first) - (end - start)
    return inner / (end - start) - outer / np.maximum(outside, 1)


def soft_nms(spans: np.ndarray,
             scores: np.ndarray,
             labels: np.ndarray | None = None,
             method: str = 'gaussian',
             sigma: float = 0.3,
             tiou_thr: float = 0.,
             end_pad: float = 0.,
             min_score: float | None = None,
             max_num: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Non-maximum suppression (Bodla et al., ICCV 2017), class by class.

    Takes the best candidate again and again; each time, the scores ``s_j`` of
    its class's candidates of temporal IoU ``o_j > tiou_thr`` with it become

    - ``gaussian``: ``s_j * exp(-o_j ** 2 / sigma)``,
    - ``hard``: nothing; they are dropped.

    MMAction2's ``soft_nms(proposals, alpha, thr, thr, top_k)`` is the
    ``gaussian`` of ``sigma=alpha, tiou_thr=thr, max_num=top_k + 1``.

    Args:
        spans (np.ndarray): Non-empty intervals (P, 2) in any unit.
        scores (np.ndarray): Scores (P,).
        labels (np.ndarray, optional): Classes (P,). Defaults to one class.
        method (str): 'gaussian' or 'hard'.
        sigma (float): Width of the Gaussian.
        tiou_thr (float): IoU up to which candidates do not interfere.
        end_pad (float): For the IoU, intervals end this much later (the "+ 1"
            of detectors whose ends are inclusive).
        min_score (float, optional): Candidates are dropped once below it.
        max_num (int, optional): Stop after this many. Defaults to no limit.

    Returns:
        tuple[np.ndarray, np.ndarray]: Indices (M,) of the kept candidates by
        descending new score, and these scores (M,). Ties go to the lower
        label, the earlier start, the earlier end.

    Raises:
        ValueError: On an unknown method, a parameter out of range or an
            empty interval.
    """
    if method not in ('gaussian', 'hard'):
        raise ValueError(
            f"method must be 'gaussian' or 'hard', got {method!r}")
    if not (tiou_thr >= 0 and end_pad >= 0 and sigma > 0):
        raise ValueError('expected tiou_thr and end_pad >= 0, sigma > 0, got '
                         f'{tiou_thr}, {end_pad} and {sigma}')
    if len(spans) and not (spans[:, 1] > spans[:, 0]).all():
        bad = spans[np.argmin(spans[:, 1] > spans[:, 0])]
        raise ValueError(f'spans must satisfy start < end, got {bad}')
    if labels is None:
        labels = np.zeros(len(spans), dtype=np.int64)
    floor = -np.inf if min_score is None else min_score

    def suppress(start: np.ndarray, end: np.ndarray,
                 score: np.ndarray) -> tuple[list[int], list[float]]:
        """Places of the kept ones of a class, and their new scores."""
        end = end + end_pad
        keep: list[int] = []
        kept: list[float] = []
        while len(keep) < (len(score) if max_num is None else max_num):
            best = int(score.argmax())
            if score[best] < floor or score[best] == -np.inf:
                break
            keep.append(best)
            kept.append(score[best])
            score[best] = -np.inf
            inter = np.minimum(end, end[best]) - np.maximum(start, start[best])
            union = end[best] - start[best] - inter + end - start
            # Negative where disjoint, hence never above the threshold.
            tiou = inter / union
            hit = (tiou > tiou_thr) & (score > -np.inf)
            if method == 'hard':
                score[hit] = -np.inf
            else:
                score[hit] *= np.exp(tiou[hit]**2 / -sigma)
        return keep, kept

    keeps, news = [np.empty(0, dtype=np.int64)], [np.empty(0)]
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        own = own[np.lexsort((spans[own, 1], spans[own, 0]))]
        start, end = spans[own].astype(np.float64).T
        keep, kept = suppress(start, end, scores[own].astype(np.float64))
        keeps.append(own[keep])
        news.append(np.array(kept))
    index, new = np.concatenate(keeps), np.concatenate(news)
    order = np.argsort(-new, kind='stable')[:max_num]
    return index[order], new[order]


def _check_unit_range(name: str, value: np.ndarray) -> np.ndarray:
    """As float64, refusing what is not a score in [0, 1]."""
    value = np.asarray(value, dtype=np.float64)
    # The slack is for float16 and float32 rounding; NaN is in no range.
    good = (value >= -1e-3) & (value <= 1 + 1e-3)
    if not good.all():
        raise ValueError(f'{name} must be in [0, 1], got {value[~good][0]}')
    return value


@TASK_UTILS.register_module()
@dataclass
class ProposalGenerator:
    """Turn the scores of one video into scored segments.

    For each class that the localizer has chosen, runs above many thresholds
    of two signals become candidates: (i) the class-agnostic attention (as
    CO2-Net), whose runs every chosen class shares, and (ii) the class's own
    curve (as CoLA). A candidate scores its outer-inner contrast on that curve,
    joined with the video-level score. Seconds appear in the last step only.

    Args:
        attention_thrs (Sequence[float]): Thresholds of (i). Defaults to none:
            where a video holds several classes, its boundaries would be the
            same for all of them.
        class_score_thrs (Sequence[float], optional): Thresholds of (ii); an
            empty list switches it off. Defaults to 0, 0.025 ... 0.9.
        curve (str): Of a class: 'product' of class score and attention, or
            'class' score alone. Defaults to 'product'.
        curve_power (float): The curve, in [0, 1], is raised to this power
            (> 0), for runs and contrast. Below 1, the best snippets count
            for less and a whole action for more. Defaults to 0.6.
        normalize (bool): Whether (ii) thresholds the curve after a min-max
            normalisation over the video. Defaults to True.
        branch_contrast (bool): Whether the contrast is measured on the curve
            that the base branch gives for it. Defaults to False.
        mute_below_thr (bool): Whether for the contrast of (ii), what lies
            below the candidate's own threshold counts as 0. Defaults to
            False.
        upsample_factor (int): Curves are interpolated this many times finer
            before thresholding. Defaults to 1.
        snippet_place (str): See :func:`upsample`. Defaults to 'centre'.
        outer_ratio (float): See :func:`oic_score`. Defaults to 0.5: outside
            as much as inside. The published codes have 0.25.
        video_score_rule (str): How the video-level score v joins the contrast
            o with the weight g: 'product' is ``o v^g``, 'sum' is ``o + g v``,
            as in the published codes. Defaults to 'product'.
        video_score_weight (float): g. Defaults to 0.5.
        boundary_pad (float): Snippets added to each side of a final segment.
            A threshold is crossed at snippet centres, so half a snippet is
            the a-priori value. Defaults to 0.5.
        min_length (float): Shorter candidates are dropped, in snippets
            before padding. Defaults to 2: one snippet alone is no action.
        distinct (bool): Whether a run found with several thresholds is one
            candidate, or as many. Defaults to True.
        nms (dict): ``type`` is the method of :func:`soft_nms`, the rest its
            parameters; ``end_pad`` is in snippets. Defaults to the Gaussian
            with a sigma of 0.3.
        min_score (float, optional): Candidates are dropped once below it.
            Defaults to 0.001.
        max_per_video (int, optional): At most this many segments; None is no
            limit. Defaults to 200.

    Raises:
        ValueError: If no threshold is given or a value is out of range.
    """

    attention_thrs: Sequence[float] = ()
    class_score_thrs: Sequence[float] | None = None
    curve: str = 'product'
    curve_power: float = 0.6
    normalize: bool = True
    branch_contrast: bool = False
    mute_below_thr: bool = False
    upsample_factor: int = 1
    snippet_place: str = 'centre'
    outer_ratio: float = 0.5
    video_score_rule: str = 'product'
    video_score_weight: float = 0.5
    boundary_pad: float = 0.5
    min_length: float = 2.
    distinct: bool = True
    nms: dict[str, Any] | None = None
    min_score: float | None = 1e-3
    max_per_video: int | None = 200

    def __post_init__(self) -> None:
        own: Any = self.class_score_thrs
        if own is None:
            own = np.arange(37) / 40
        self._thrs = dict(
            attention_thrs=np.array(self.attention_thrs, float),
            class_score_thrs=np.array(own, float))
        if not any(thrs.size for thrs in self._thrs.values()):
            raise ValueError('attention_thrs and class_score_thrs are both '
                             'empty: give at least one threshold')
        for name, thrs in self._thrs.items():
            if not ((thrs >= 0) & (thrs <= 1)).all():
                raise ValueError(
                    f'{name} must be in [0, 1], got {thrs.tolist()}')
        for name, other in (('curve', 'class'), ('video_score_rule', 'sum')):
            if getattr(self, name) not in ('product', other):
                raise ValueError(f"{name} must be 'product' or {other!r}, got "
                                 f'{getattr(self, name)!r}')
        for name in ('outer_ratio', 'boundary_pad', 'min_length'):
            if not getattr(self, name) >= 0:
                raise ValueError(
                    f'{name} must be >= 0, got {getattr(self, name)}')
        if not self.curve_power > 0:
            raise ValueError(
                f'curve_power must be > 0, got {self.curve_power}')
        if self.max_per_video is not None and self.max_per_video < 1:
            raise ValueError('max_per_video must be >= 1 or None, got '
                             f'{self.max_per_video}')
        if self.mute_below_thr and self.distinct:
            raise ValueError('with mute_below_thr=True the score of a run '
                             'depends on its threshold: set distinct=False')
        nms = dict(self.nms or {})
        self._nms: dict[str, Any] = dict(
            min_score=self.min_score,
            max_num=self.max_per_video,
            method=nms.pop('type', 'gaussian')) | nms
        # both refuse what is out of range
        self._refine(np.zeros(1))
        soft_nms(np.empty((0, 2)), np.empty(0), **self._nms)
        self._nms['end_pad'] = self._nms.get('end_pad',
                                             0) * self.upsample_factor

    def __call__(
        self,
        class_score: np.ndarray,
        attention: np.ndarray,
        video_score: np.ndarray,
        classes: np.ndarray,
        seconds_per_snippet: float,
        duration: float | None = None,
        offset: float = 0.,
        contrast: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Localise the actions of one video.

        Args:
            class_score, attention, video_score (np.ndarray): See ``Scores``:
                (C, T), (T,) and (C,) in [0, 1].
            classes (np.ndarray): Indices (M,) of the classes to localise.
            seconds_per_snippet (float): Snippet ``i`` covers ``[i, i + 1)``
                times this, after ``offset``.
            duration (float, optional): Length of the video in seconds, to
                which segments are clipped. Defaults to that of T snippets.
            offset (float): Seconds at which snippet 0 starts.
            contrast (np.ndarray, optional): The branch's curve for the
                contrast, finite, (C, T); for ``branch_contrast``.

        Returns:
            tuple: Segments (P, 2) float64 in seconds, labels (P,) int64 and
            scores (P,) float64, by descending score.

        Raises:
            ValueError: If shapes do not agree, a score is not finite or not
                in [0, 1], a time is not positive, or the branch's curve is
                asked for and missing.
        """
        class_score = _check_unit_range('class_score', class_score)
        attention = _check_unit_range('attention', attention)
        video_score = _check_unit_range('video_score', video_score)
        if (class_score.ndim != 2 or not class_score.size
                or attention.shape != class_score.shape[1:]
                or video_score.shape != class_score.shape[:1]):
            raise ValueError(
                'expected class_score (C, T), attention (T,), video_score '
                f'(C,), got {class_score.shape}, {attention.shape}, '
                f'{video_score.shape}')
        if duration is None:
            duration = offset + len(attention) * seconds_per_snippet
        if not (seconds_per_snippet > 0 and duration > 0):
            raise ValueError(
                'seconds_per_snippet and duration must be > 0, got '
                f'{seconds_per_snippet} and {duration}')
        if not self.branch_contrast:
            contrast = None
        elif contrast is None:
            raise ValueError(
                'proposal_generator.branch_contrast=True needs a base branch '
                'that gives such a curve (Scores.contrast), and no fusion')

        classes = np.asarray(classes)
        if classes.ndim != 1 or (classes.size
                                 and classes.dtype.kind not in 'iu'):
            raise ValueError(
                'expected indices (M,) of the classes to localise, before '
                f'seconds_per_snippet (0.1.0 had none), got {classes!r}')
        classes = classes.astype(np.int64)
        curve = class_score[classes]
        if self.curve == 'product':
            curve = curve * attention
        curve = curve.clip(0, 1)**self.curve_power
        spans, rows, scores = self._candidates(
            self._refine(curve),
            self._refine(attention).clip(0, 1),
            None if contrast is None else self._refine(contrast[classes]))
        video = video_score[classes[rows]].clip(min=0)
        if self.video_score_rule == 'sum':
            scores += self.video_score_weight * video
        else:
            scores *= video**self.video_score_weight
        keep, scores = soft_nms(spans, scores, rows, **self._nms)

        snippets = spans[keep] / self.upsample_factor
        snippets = snippets + [-self.boundary_pad, self.boundary_pad]
        segments = np.clip(offset + snippets * seconds_per_snippet, 0.,
                           duration)
        real = segments[:, 1] > segments[:, 0]
        return segments[real], classes[rows[keep]][real], scores[real]

    def _refine(self, curve: np.ndarray) -> np.ndarray:
        return upsample(curve, self.upsample_factor, self.snippet_place)

    def _candidates(
        self, curve: np.ndarray, attention: np.ndarray,
        contrast: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Spans (P, 2), their rows of the chosen classes, their contrast."""
        own, rows, thrs = threshold_spans(
            min_max(curve) if self.normalize else curve,
            self._thrs['class_score_thrs'])
        shared, _, _ = threshold_spans(attention, self._thrs['attention_thrs'])
        every = np.arange(len(curve))
        spans = np.concatenate([own, np.tile(shared, (len(every), 1))])
        rows = np.concatenate([rows, np.repeat(every, len(shared))])
        muted = np.full(len(rows), -np.inf)
        if self.mute_below_thr:
            muted[:len(own)] = thrs
        if self.distinct:
            # its contrast depends on a candidate's class and place alone
            base = curve.shape[1] + 1
            key = (rows * base + spans[:, 0]) * base + spans[:, 1]
            first = np.unique(key, return_index=True)[1]
            spans, rows, muted = spans[first], rows[first], muted[first]
        long = np.diff(spans)[:, 0] >= self.min_length * self.upsample_factor
        spans, rows, muted = spans[long], rows[long], muted[long]
        scores = np.empty(len(rows))
        contrast = curve if contrast is None else contrast
        for thr in np.unique(muted):
            group = muted == thr
            scores[group] = oic_score(
                np.where(contrast < thr, 0, contrast), spans[group],
                self.outer_ratio, rows[group])
        return spans, rows, scores


def min_max(curve: np.ndarray) -> np.ndarray:
    """Normalise each curve (R, T) to [0, 1].

    A constant curve marks the whole video, unless it is zero; its rounding
    errors are no boundaries.
    """
    low = curve.min(axis=1, keepdims=True)
    high = curve.max(axis=1, keepdims=True)
    flat = high - low <= 1e-6 * high
    span = np.where(flat, 1., high - low)
    return np.where(flat, curve > 0, (curve - low) / span)
