"""From snippet scores to scored intervals in seconds (numpy only).

threshold -> runs -> outer-inner contrast -> (soft) NMS -> seconds.

Dimension legend: C classes, T snippets (or samples of an up-sampled curve),
R curves, K thresholds, P proposals. A ``span`` is a pair (start, end) of
sample indices, end exclusive; a ``segment`` is a pair in seconds.
"""
from __future__ import annotations

from typing import Any, Sequence

import numpy as np
from mmaction.registry import TASK_UTILS

_TINY = np.finfo(np.float64).tiny


def upsample(scores: np.ndarray, factor: int) -> np.ndarray:
    """Interpolate curves linearly to a ``factor`` times finer grid.

    The value of snippet ``i`` sits at its centre ``i + 0.5``; sample ``j`` of
    the result is the value at ``(j + 0.5) / factor``. Beyond the first and
    the last centre the curve is constant.

    Args:
        scores (np.ndarray): Curves (..., T).
        factor (int): Samples per snippet, >= 1.

    Returns:
        np.ndarray: Curves (..., T * factor).

    Raises:
        ValueError: If ``factor`` is not a positive integer.
    """
    if int(factor) != factor or factor < 1:
        raise ValueError(f'factor must be an integer >= 1, got {factor}')
    if factor == 1:
        return scores
    length = scores.shape[-1]
    place = (np.arange(length * factor) + 0.5) / factor - 0.5
    place = np.clip(place, 0, length - 1)
    left = np.minimum(place.astype(np.int64), max(length - 2, 0))
    right = np.minimum(left + 1, length - 1)
    weight = place - left
    return scores[..., left] * (1 - weight) + scores[..., right] * weight


def threshold_spans(
        curve: np.ndarray, thresholds: Sequence[float] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the maximal runs above each threshold, all at once.

    Time and memory grow with the number of curve samples and of runs found,
    not with their product with the number of thresholds.

    Args:
        curve (np.ndarray): Finite values (T,) or (R, T).
        thresholds (Sequence[float]): K thresholds in any order. A sample is
            in a run of threshold ``h`` if its value is ``> h``.

    Returns:
        tuple[np.ndarray, np.ndarray]: Spans (P, 2) int64 and the curve (P,)
        int64 each was found in, ordered by curve, threshold, start.
    """
    curve = np.atleast_2d(curve)
    num_curves, length = curve.shape
    levels = np.sort(np.asarray(thresholds, dtype=np.float64).ravel())
    # (R, T + 2): number of thresholds each sample is above; 0 outside.
    above = np.zeros((num_curves, length + 2), dtype=np.int64)
    above[:, 1:-1] = np.searchsorted(levels, curve, side='left')
    step = np.diff(above)
    floor = np.minimum(above[:, :-1], above[:, 1:])

    def crossings(rise: np.ndarray) -> np.ndarray:
        """One sorted integer per crossed threshold: (curve, level, time)."""
        row, time = np.nonzero(rise > 0)
        count = rise[row, time]
        nth = np.arange(count.sum()) - np.repeat(count.cumsum() - count, count)
        level = nth + np.repeat(row * len(levels) + floor[row, time], count)
        return np.sort(level * (length + 1) + np.repeat(time, count))

    # Per curve and level, starts and ends alternate: sorted, they pair up.
    key, start = np.divmod(crossings(step), length + 1)
    end = crossings(-step) % (length + 1)
    row = key // len(levels) if len(levels) else key
    return np.stack([start, end], axis=1), row


def oic_score(curve: np.ndarray,
              spans: np.ndarray,
              outer_ratio: float = 0.25,
              rows: np.ndarray | None = None) -> np.ndarray:
    """Outer-inner contrast (AutoLoc, ECCV 2018): inner minus outer mean.

    The outer region is ``outer_ratio`` times the span's length on each side,
    clipped at the ends of the video; fractions of a sample count as such.
    Where nothing is outside, the outer mean is 0.

    Args:
        curve (np.ndarray): Values (T,) or (R, T).
        spans (np.ndarray): Non-empty spans (P, 2) within [0, T].
        outer_ratio (float): Length of each outer part over the span's.
        rows (np.ndarray, optional): The curve (P,) each span is scored on.
            Defaults to the first.

    Returns:
        np.ndarray: Contrast (P,).
    """
    curve = np.atleast_2d(curve).astype(np.float64)
    length = curve.shape[1]
    if rows is None:
        rows = np.zeros(len(spans), dtype=np.int64)
    area = np.zeros((len(curve), length + 1))
    np.cumsum(curve, axis=1, out=area[:, 1:])

    def integral(place: np.ndarray) -> np.ndarray:
        """Area under the curve from 0 to a fractional place."""
        whole = np.minimum(place.astype(np.int64), length - 1)
        return area[rows, whole] + (place - whole) * curve[rows, whole]

    start, end = spans[:, 0], spans[:, 1]
    margin = outer_ratio * (end - start)
    outer_start = np.maximum(start - margin, 0.)
    outer_end = np.minimum(end + margin, float(length))
    inner = area[rows, end] - area[rows, start]
    outer = integral(outer_end) - integral(outer_start) - inner
    outer_length = (outer_end - outer_start) - (end - start)
    outer_mean = np.divide(
        outer, outer_length, out=np.zeros_like(outer), where=outer_length > 0)
    return inner / (end - start) - outer_mean


def soft_nms(spans: np.ndarray,
             scores: np.ndarray,
             labels: np.ndarray | None = None,
             method: str = 'gaussian',
             sigma: float = 0.3,
             tiou_thr: float = 0.,
             wide_tiou_thr: float | None = None,
             video_length: float = 1.,
             min_score: float = 0.,
             max_num: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Non-maximum suppression (Bodla et al., ICCV 2017), class by class.

    Takes the best candidate again and again; each time, the scores ``s_j`` of
    its class's candidates of temporal IoU ``o_j > thr`` with it become

    - ``gaussian``: ``s_j * exp(-o_j ** 2 / sigma)``,
    - ``linear``: ``s_j * (1 - o_j)``,
    - ``hard``: nothing; they are dropped.

    ``thr = tiou_thr + (wide_tiou_thr - tiou_thr) * width / video_length``
    for a candidate of that width (BSN, ECCV 2018). MMAction2's
    ``soft_nms(proposals, alpha, low_threshold, high_threshold, top_k)`` is
    the ``gaussian`` of ``sigma=alpha, tiou_thr=low_threshold,
    wide_tiou_thr=high_threshold, max_num=top_k + 1``.

    Args:
        spans (np.ndarray): Non-empty intervals (P, 2) in any unit.
        scores (np.ndarray): Scores (P,).
        labels (np.ndarray, optional): Classes (P,). Defaults to one class.
        method (str): 'gaussian', 'linear' or 'hard'.
        sigma (float): Width of the Gaussian; no effect on other methods.
        tiou_thr (float): IoU up to which candidates do not interfere.
        wide_tiou_thr (float, optional): The same for a candidate as long as
            the video. Defaults to ``tiou_thr``.
        video_length (float): Length of the video in the unit of ``spans``.
        min_score (float): Candidates are dropped once below it, >= 0.
        max_num (int, optional): Stop after this many. Defaults to no limit.

    Returns:
        tuple[np.ndarray, np.ndarray]: Indices (M,) of the kept candidates by
        descending new score, and these scores (M,). Ties go to the lower
        label, the earlier start, the earlier end.

    Raises:
        ValueError: On an unknown method, a parameter out of range or an
            empty interval.
    """
    if method not in ('gaussian', 'linear', 'hard'):
        raise ValueError("method must be 'gaussian', 'linear' or 'hard', "
                         f'got {method!r}')
    wide_tiou_thr = tiou_thr if wide_tiou_thr is None else wide_tiou_thr
    for name, value in dict(
            tiou_thr=tiou_thr, wide_tiou_thr=wide_tiou_thr,
            min_score=min_score).items():
        if value < 0:
            raise ValueError(f'{name} must be >= 0, got {value}')
    if sigma <= 0:
        raise ValueError(f'sigma must be > 0, got {sigma}')
    if labels is None:
        labels = np.zeros(len(spans), dtype=np.int64)

    order = np.flatnonzero(scores >= min_score)
    order = order[np.lexsort((spans[order, 1], spans[order,
                                                     0], labels[order]))]
    start, end = spans[order].astype(np.float64).T
    width = end - start
    if not (width > 0).all():
        bad = spans[order[np.argmin(width > 0)]]
        raise ValueError(f'spans must satisfy start < end, got {bad}')
    score = scores[order].astype(np.float64)
    thr = tiou_thr + (wide_tiou_thr - tiou_thr) * width / video_length

    # Candidates of one class are neighbours, sorted by start. Only those in
    # [first, last) can overlap a candidate: before, all ends are too early.
    label = labels[order]
    cuts = np.flatnonzero(label[1:] != label[:-1]) + 1
    bounds = list(zip([0, *cuts], [*cuts, len(order)])) if len(order) else []
    first, last = np.zeros_like(order), np.zeros_like(order)
    for low, high in bounds:
        latest_end = np.maximum.accumulate(end[low:high])
        first[low:high] = low + np.searchsorted(latest_end, start[low:high],
                                                'right')
        last[low:high] = low + np.searchsorted(start[low:high], end[low:high])

    top = np.array([low + score[low:high].argmax() for low, high in bounds],
                   dtype=np.int64)
    top_score = score[top]
    keep: list[int] = []
    kept_score: list[float] = []
    limit = len(order) if max_num is None else min(max_num, len(order))
    while len(keep) < limit:
        group = top_score.argmax()
        if top_score[group] < min_score:
            break
        best = top[group]
        keep.append(best)
        kept_score.append(top_score[group])
        near = slice(first[best], last[best])
        inter = np.minimum(end[near], end[best])
        inter -= np.maximum(start[near], start[best])
        # Negative where disjoint, hence never above the threshold.
        union = width[best] - inter
        union += end[near]
        union -= start[near]
        tiou = inter / union
        hit = tiou > thr[best]
        if method == 'hard':
            score[near][hit] = -np.inf
        else:
            decay = 1 - tiou
            if method == 'gaussian':
                decay = np.exp(tiou * tiou / -sigma)
            # Kept candidates are at -inf, which times 0 would be NaN.
            np.maximum(decay, _TINY, out=decay)
            np.multiply(score[near], decay, out=score[near], where=hit)
        score[best] = -np.inf
        low, high = bounds[group]
        top[group] = low + score[low:high].argmax()
        top_score[group] = score[top[group]]
    return order[keep], np.array(kept_score, dtype=np.float64)


def _distinct(keys: np.ndarray) -> np.ndarray:
    """Sorted distinct integers (three times faster than ``np.unique``)."""
    keys = np.sort(keys)
    return keys[np.diff(keys, prepend=-1) > 0]


def _check_unit_range(name: str, value: np.ndarray) -> np.ndarray:
    """As float64, refusing what is not a score in [0, 1]."""
    value = np.asarray(value, dtype=np.float64)
    if not np.isfinite(value).all():
        where = np.unravel_index(np.argmin(np.isfinite(value)), value.shape)
        raise ValueError(f'{name} must be finite, got {value[where]} at index '
                         f'{tuple(int(i) for i in where)}')
    # The slack is for float16 and float32 rounding.
    if value.size and (value.min() < -1e-3 or value.max() > 1 + 1e-3):
        raise ValueError(f'{name} must be in [0, 1], got values in '
                         f'[{value.min():.4g}, {value.max():.4g}]')
    return value


@TASK_UTILS.register_module()
class ProposalGenerator:
    """Turn the scores of one video into scored segments.

    For each class that the localizer has chosen, runs above many thresholds
    of two signals become candidates: (i) the class-agnostic attention (as
    CO2-Net), whose runs every chosen class shares, and (ii) class score times
    attention, min-max normalised over the video (as CoLA).
    A candidate scores the outer-inner contrast of ``score_curve`` plus
    ``video_score_weight`` times the video-level score. Seconds appear in the
    last step only.

    Args:
        attention_thrs (Sequence[float], optional): Thresholds of (i); an
            empty list switches it off. Defaults to 0.1 ... 0.9, 10 values.
        class_score_thrs (Sequence[float], optional): Thresholds of (ii); an
            empty list switches it off. Defaults to 0, 0.025 ... 0.9.
        upsample_factor (int): Curves are interpolated this many times finer
            before thresholding.
        score_curve (str): The curve of the contrast: 'class' score,
            'weighted' (times attention) or 'normalized' (weighted, min-max
            normalised over the video).
        outer_ratio (float): See :func:`oic_score`.
        video_score_weight (float): Weight of the video-level score.
        boundary_pad (float): Snippets added to each side of a final segment.
            A threshold is crossed at snippet centres, so half a snippet is
            the a-priori value. Defaults to 0.5.
        min_length (float): Shorter candidates are dropped, in snippets
            before padding. Defaults to 2: one snippet alone is no action.
        nms (dict, optional): ``type`` is the method of :func:`soft_nms`, the
            rest its parameters. None keeps all candidates.
        min_score (float): Candidates are dropped once below it, >= 0.
        max_per_video (int, optional): At most this many segments. None is no
            limit.

    Raises:
        ValueError: If no threshold is given or a value is out of range.
    """

    def __init__(self,
                 attention_thrs: Sequence[float] | None = None,
                 class_score_thrs: Sequence[float] | None = None,
                 upsample_factor: int = 1,
                 score_curve: str = 'weighted',
                 outer_ratio: float = 0.25,
                 video_score_weight: float = 0.2,
                 boundary_pad: float = 0.5,
                 min_length: float = 2.,
                 nms: dict[str, Any] | None = dict(type='gaussian', sigma=0.3),
                 min_score: float = 1e-3,
                 max_per_video: int | None = 200) -> None:
        self.attention_thrs = np.linspace(0.1, 0.9, 10) \
            if attention_thrs is None else np.array(attention_thrs, float)
        self.class_score_thrs = np.arange(37) / 40 \
            if class_score_thrs is None else np.array(class_score_thrs, float)
        if self.attention_thrs.size + self.class_score_thrs.size == 0:
            raise ValueError('attention_thrs and class_score_thrs are both '
                             'empty: give at least one threshold')
        if score_curve not in ('class', 'weighted', 'normalized'):
            raise ValueError("score_curve must be 'class', 'weighted' or "
                             f"'normalized', got {score_curve!r}")
        for name, value in dict(
                outer_ratio=outer_ratio,
                boundary_pad=boundary_pad,
                min_length=min_length,
                min_score=min_score).items():
            if value < 0:
                raise ValueError(f'{name} must be >= 0, got {value}')
        if max_per_video is not None and max_per_video < 1:
            raise ValueError(
                f'max_per_video must be >= 1 or None, got {max_per_video}')
        upsample(np.zeros(1), upsample_factor)  # refuses a bad factor
        self.nms = None
        if nms is not None:
            self.nms = dict(nms)
            self.nms['method'] = self.nms.pop('type', 'gaussian')
            soft_nms(np.empty((0, 2)), np.empty(0), **self.nms)  # refuses too
        self.upsample_factor = int(upsample_factor)
        self.score_curve = score_curve
        self.outer_ratio = outer_ratio
        self.video_score_weight = video_score_weight
        self.boundary_pad = boundary_pad
        self.min_length = min_length
        self.min_score = min_score
        self.max_per_video = max_per_video

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
            class_score (np.ndarray): Snippet scores (C, T) in [0, 1].
            attention (np.ndarray): Class-agnostic actionness (T,) in [0, 1].
            video_score (np.ndarray): Video-level scores (C,) in [0, 1].
            classes (np.ndarray): Indices (M,) of the classes to localise.
            seconds_per_snippet (float): Snippet ``i`` covers ``[i, i + 1)``
                times this, after ``offset``.
            duration (float, optional): Length of the video in seconds, to
                which segments are clipped. Defaults to that of T snippets.
            offset (float): Seconds at which snippet 0 starts. Defaults to 0.
            contrast (np.ndarray, optional): The curve of the contrast (C, T),
                finite, instead of ``score_curve``.

        Returns:
            tuple[np.ndarray, np.ndarray, np.ndarray]: Segments (P, 2) float64
            in seconds, labels (P,) int64 and scores (P,) float64, by
            descending score.

        Raises:
            ValueError: If shapes do not agree, or a score is not finite or
                not in [0, 1], or a time is not positive.
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

        classes = np.asarray(classes, dtype=np.int64)
        spans, rows, scores = self._candidates(
            class_score[classes], attention, video_score[classes],
            None if contrast is None else contrast[classes])
        spans, rows, scores = self._suppress(spans, rows, scores,
                                             len(attention))

        snippets = spans / self.upsample_factor
        snippets = snippets + [-self.boundary_pad, self.boundary_pad]
        segments = np.clip(offset + snippets * seconds_per_snippet, 0.,
                           duration)
        real = segments[:, 1] > segments[:, 0]
        return segments[real], classes[rows][real], scores[real]

    def _candidates(
        self, class_score: np.ndarray, attention: np.ndarray,
        video_score: np.ndarray, contrast: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distinct spans (P, 2), their rows of the chosen classes, scores."""
        weighted = upsample(class_score * attention, self.upsample_factor)
        low = weighted.min(axis=1, keepdims=True)
        high = weighted.max(axis=1, keepdims=True)
        # A constant curve marks the whole video, unless it is zero; its
        # rounding errors are no boundaries.
        flat = high - low <= 1e-6 * high
        normalized = np.where(flat, weighted > 0, (weighted - low) /
                              np.where(flat, 1., high - low))
        spans, rows = threshold_spans(normalized, self.class_score_thrs)
        shared, _ = threshold_spans(
            upsample(attention, self.upsample_factor), self.attention_thrs)

        # A candidate's score depends on its class and place alone: duplicates
        # of either family and any threshold are one candidate.
        base = weighted.shape[1] + 1
        shared_key = _distinct(shared[:, 0] * base + shared[:, 1])
        row_key = np.arange(len(class_score)) * base * base
        key = (rows * base + spans[:, 0]) * base + spans[:, 1]
        key = _distinct(
            np.concatenate([key, (row_key[:, None] + shared_key).ravel()]))
        key, end = np.divmod(key, base)
        rows, start = np.divmod(key, base)
        long = end - start >= self.min_length * self.upsample_factor
        rows = rows[long]
        spans = np.stack([start[long], end[long]], axis=1)

        curve = dict(
            weighted=weighted, normalized=normalized).get(self.score_curve)
        if contrast is not None:
            curve = upsample(contrast, self.upsample_factor)
        elif curve is None:
            curve = upsample(class_score, self.upsample_factor)
        scores = oic_score(curve, spans, self.outer_ratio, rows)
        scores += self.video_score_weight * video_score[rows]
        return spans, rows, scores

    def _suppress(
            self, spans: np.ndarray, rows: np.ndarray, scores: np.ndarray,
            num_snippets: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """NMS and the best ``max_per_video``, by descending score."""
        if self.nms is None:
            keep = np.flatnonzero(scores >= self.min_score)
            # The sort is stable, candidates are in order of row, start, end.
            keep = keep[np.argsort(-scores[keep], kind='stable')]
            keep = keep[:self.max_per_video]
            return spans[keep], rows[keep], scores[keep]
        keep, scores = soft_nms(
            spans,
            scores,
            rows,
            video_length=num_snippets * self.upsample_factor,
            min_score=self.min_score,
            max_num=self.max_per_video,
            **self.nms)
        return spans[keep], rows[keep], scores
