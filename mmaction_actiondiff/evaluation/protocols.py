# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Protocols: everything beside the detections that moves the number."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, NamedTuple

import numpy as np

from .ap import Instances, average_precision

_THUMOS_RANGES = ((0.1, 0.7), (0.1, 0.5), (0.3, 0.7))


@dataclass(frozen=True)
class Protocol:
    """How detections are evaluated.

    Attributes:
        name (str): Key in :data:`PROTOCOLS`.
        gt_unit (str): ``'seconds'``, or ``'snippets'``: times are multiplied
            by the rate of snippets and those of the ground truth rounded
            (half to even); instances that become empty count as missed.
            Detections on the snippet grid then overlap instances by exactly
            1/2 and the like, where the rounding error of their times in
            seconds decides: some 0.3 mAP on THUMOS14.
        exclude (tuple[str]): Videos that are left out.
        ambiguous (str): ``'drop'`` detections of any class that overlap an
            ambiguous span of the annotation, or ``'ignore'`` these spans.
        interpolated (bool): See :func:`average_precision`.
        tiou_thrs (tuple[float]): Overlap thresholds in (0, 1].
        averages (tuple[tuple[float, float]]): Ranges of thresholds, ends
            included, whose mean is reported; the first is the main one.
        outside (str): ``'drop'`` detections in videos that are excluded or
            have no segment in the ground truth, or count each as a
            ``'false_positive'``.

    Raises:
        ValueError: If a part has another value, or a range of ``averages``
            holds no threshold.
    """
    name: str
    gt_unit: str = 'seconds'
    exclude: tuple[str, ...] = ()
    ambiguous: str = 'ignore'
    interpolated: bool = True
    tiou_thrs: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    averages: tuple[tuple[float, float], ...] = _THUMOS_RANGES
    outside: str = 'drop'

    def __post_init__(self) -> None:
        for part, choices in (('gt_unit', ('seconds', 'snippets')),
                              ('ambiguous', ('ignore', 'drop')),
                              ('interpolated', (True, False)),
                              ('outside', ('drop', 'false_positive'))):
            if getattr(self, part) not in choices:
                raise ValueError(f'{part} must be one of {choices}, got '
                                 f'{getattr(self, part)!r}')
        thrs = self.tiou_thrs
        if not thrs or not all(0 < thr <= 1 for thr in thrs):
            raise ValueError(
                f'tiou_thrs must be numbers in (0, 1], got {thrs}')
        for low, high in self.averages:
            if not self.within(low, high).any():
                raise ValueError(f'no threshold of {thrs} is in the range '
                                 f'{low} to {high} of averages')

    def within(self, low: float, high: float) -> np.ndarray:
        """Which of the K thresholds are in a range, bool (K,)."""
        thrs = np.asarray(self.tiou_thrs)
        return (thrs > low - 1e-6) & (thrs < high + 1e-6)

    def settings(self) -> dict[str, Any]:
        """All parts but the name."""
        return {k: v for k, v in asdict(self).items() if k != 'name'}

    def __str__(self) -> str:
        preset = PROTOCOLS.get(self.name, Protocol(self.name)).settings()
        changed = [
            f'{k}={v}' for k, v in self.settings().items() if v != preset[k]
        ]
        return ' '.join([self.name] + changed)


# video_test_0001292 has ambiguous spans only; 0000270 is annotated far
# beyond its end, and 0001496 with another class than its video-level label.
_NO_ACTION = ('video_test_0001292', )
_NOT_IN_210 = _NO_ACTION + ('video_test_0000270', 'video_test_0001496')
_ANET_THRS = tuple(float(thr) for thr in np.arange(50, 100, 5) / 100)

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        # any data set
        Protocol('seconds'),
        # THUMOS14: the default; the CO2-Net, the UM/CoLA and the ACRNet
        # families of evaluation code
        Protocol('seconds212', exclude=_NO_ACTION),
        Protocol(
            'co2', gt_unit='snippets', exclude=_NO_ACTION, ambiguous='drop'),
        Protocol('um210', exclude=_NOT_IN_210),
        Protocol('acr', exclude=_NOT_IN_210, ambiguous='drop'),
        # ActivityNet v1.2, v1.3
        Protocol('anet', tiou_thrs=_ANET_THRS, averages=((0.5, 0.95), )))
}


def make_protocol(name: str, **parts: Any) -> Protocol:
    """A named protocol, some parts of it replaced.

    Args:
        name (str): Key in :data:`PROTOCOLS`.
        **parts: Attributes of :class:`Protocol`. New ``tiou_thrs`` without
            ``averages`` are averaged over their whole range.

    Raises:
        ValueError: If the name, a part or its value is unknown.
    """
    if name not in PROTOCOLS:
        raise ValueError(
            f'protocol must be one of {sorted(PROTOCOLS)}, got {name!r}')
    known = {item.name for item in fields(Protocol)} - {'name'}
    if not known.issuperset(parts):
        raise ValueError(f'parts of a protocol are {sorted(known)}, got '
                         f'{sorted(set(parts) - known)}')
    if 'tiou_thrs' in parts:
        thrs = tuple(float(thr) for thr in parts['tiou_thrs'])
        parts['tiou_thrs'] = thrs
        if thrs:
            parts.setdefault('averages', ((min(thrs), max(thrs)), ))
    if 'averages' in parts:
        parts['averages'] = tuple(_range(item) for item in parts['averages'])
    if 'exclude' in parts:
        parts['exclude'] = tuple(parts['exclude'])
    return replace(PROTOCOLS[name], **parts)


def _range(item: Any) -> tuple[float, float]:
    """``[0.1, 0.7]`` or ``'0.1:0.7'``."""
    try:
        low, high = item.split(':') if isinstance(item, str) else item
        return float(low), float(high)
    except (TypeError, ValueError):
        raise ValueError('averages are ranges like 0.1:0.7, got '
                         f'{item}') from None


class GroundTruth(NamedTuple):
    """Annotation of a video: ``segments`` (G, 2) in seconds and their class
    indices ``labels`` (G,), ``ambiguous`` spans (A, 2) in seconds, and the
    length of a snippet for protocols that count in snippets."""
    segments: np.ndarray
    labels: np.ndarray
    ambiguous: np.ndarray
    seconds_per_snippet: float


class Detections(NamedTuple):
    """Detections in a video: ``segments`` (P, 2) in seconds, their class
    indices ``labels`` (P,) and ``scores`` (P,)."""
    segments: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


@dataclass
class EvaluationResult:
    """Result of :func:`evaluate`; precisions are percentages.

    Attributes:
        protocol (Protocol): How it was evaluated.
        num_videos, num_gt, num_detections (int): What was evaluated.
        dropped_outside, dropped_ambiguous (int): Detections dropped outside
            these videos, and at ambiguous spans.
        ap (np.ndarray): By threshold and class, (K, C); NaN where a class
            has no instance.
        notes (list[str]): What the protocol needs and the ground truth lacks.
    """
    protocol: Protocol
    num_videos: int
    num_gt: int
    num_detections: int
    dropped_outside: int
    dropped_ambiguous: int
    ap: np.ndarray = field(repr=False)
    notes: list[str] = field(default_factory=list)

    def mean_ap(self) -> np.ndarray:
        """mAP at each threshold (K,): the mean over the classes that have
        instances, NaN if there is none."""
        present = ~np.isnan(self.ap).all(0)
        if not present.any():
            return np.full(len(self.ap), np.nan)
        return self.ap[:, present].mean(1)

    def by_threshold(self) -> dict[str, float]:
        """mAP by threshold, as in ``{'0.50': 33.5}``."""
        return {
            f'{thr:.2f}': float(value)
            for thr, value in zip(self.protocol.tiou_thrs, self.mean_ap())
        }

    def averages(self) -> dict[str, float]:
        """Mean of the mAP over ranges, as in ``{'0.10:0.70': 42.4}``."""
        mean_ap = self.mean_ap()
        return {
            f'{low:.2f}:{high:.2f}':
            float(mean_ap[self.protocol.within(low, high)].mean())
            for low, high in self.protocol.averages
        }

    def values(self) -> dict[str, float]:
        """mAP by threshold, then its averages."""
        return {**self.by_threshold(), **self.averages()}

    def table(self) -> str:
        """A table to read, with what it was computed on."""
        cells = self.values()
        widths = [max(len(key), 5) for key in cells]
        rows = [
            'tIoU    ' + '  '.join(f'{k:>{w}}' for k, w in zip(cells, widths)),
            'mAP (%) ' + '  '.join(f'{v:>{w}.2f}'
                                   for v, w in zip(cells.values(), widths)),
            f'protocol {self.protocol}: {self.num_videos} videos, '
            f'{self.num_gt} instances, {self.num_detections} detections'
        ]
        for number, where in ((self.dropped_outside, 'outside these videos'),
                              (self.dropped_ambiguous, 'at ambiguous spans')):
            if number:
                rows[-1] += f'; {number} {where} dropped'
        return '\n'.join(rows + [f'note: {note}' for note in self.notes])

    def to_dict(self) -> dict[str, Any]:
        """The numbers as plain values, for json. NaN becomes None."""

        def plain(values: dict[str, float]) -> dict[str, float | None]:
            return {k: None if np.isnan(v) else v for k, v in values.items()}

        content = vars(self) | dict(
            protocol=self.protocol.name,
            settings=self.protocol.settings(),
            mAP=plain(self.by_threshold()),
            average=plain(self.averages()))
        return {key: x for key, x in content.items() if key != 'ap'}


def evaluate(ground_truth: Mapping[str, GroundTruth],
             detections: Mapping[str, Detections], num_classes: int,
             protocol: Protocol) -> EvaluationResult:
    """Evaluates detections by a protocol; both by the name of the video.

    The result does not depend on the order of the videos: equal scores are
    ranked by the name of the video, then as given. Labels are in
    [0, num_classes).

    Raises:
        ValueError: If a detection is not finite, a label out of range, or a
            video of ``exclude`` neither in the ground truth nor one that the
            named protocol excludes.
    """
    preset = PROTOCOLS.get(protocol.name, protocol).exclude
    unknown = sorted(set(protocol.exclude).difference(ground_truth, preset))
    if unknown:
        raise ValueError(f'exclude names videos that are not in the ground '
                         f'truth: {", ".join(unknown)}')
    annotated = {n for n, truth in ground_truth.items() if len(truth.segments)}
    names = sorted(annotated.difference(protocol.exclude))
    outside = sorted(set(detections).difference(names))
    dropped_outside = 0
    if protocol.outside == 'drop':
        dropped_outside = sum(len(detections[n].scores) for n in outside)
        outside = []
    dropped_ambiguous = 0
    truth_parts, parts = [], []
    for video, name in enumerate(names + outside):
        own = detections.get(name)
        rate = 1.
        if video < len(names):
            truth = ground_truth[name]
            segments = truth.segments
            if protocol.gt_unit == 'snippets':
                rate = 1 / truth.seconds_per_snippet
                segments = np.rint(segments * rate)
            truth_parts.append((video, segments, truth.labels))
            if own is not None and protocol.ambiguous == 'drop':
                keep = ~_touches(own.segments, truth.ambiguous)
                dropped_ambiguous += int((~keep).sum())
                own = Detections(*(item[keep] for item in own))
        if own is not None:
            parts.append((video, own.segments * rate, own.labels, own.scores))
    instances = _join(truth_parts)
    scored = _join(parts)._replace(
        scores=np.concatenate([np.zeros(0)] + [part[3] for part in parts]))
    ap = average_precision(instances, scored, num_classes, protocol.tiou_thrs,
                           protocol.interpolated)
    notes = []
    if protocol.ambiguous == 'drop' and not any(
            len(ground_truth[name].ambiguous) for name in names):
        notes.append(
            f'{protocol.name} drops detections at ambiguous spans, but the '
            'ground truth has none (for THUMOS14 they are in '
            'Ambiguous_test.txt)')
    return EvaluationResult(protocol, len(names), len(instances.labels),
                            len(scored.labels), dropped_outside,
                            dropped_ambiguous, 100 * ap, notes)


def _touches(segments: np.ndarray, spans: np.ndarray) -> np.ndarray:
    start = np.maximum(segments[:, None, 0], spans[:, 0])
    end = np.minimum(segments[:, None, 1], spans[:, 1])
    return (end > start).any(1)


def _join(parts: list) -> Instances:
    videos = [np.full(len(part[2]), part[0]) for part in parts]
    return Instances(
        np.concatenate([np.zeros(0, np.int64)] + videos),
        np.concatenate([np.zeros((0, 2))] + [part[1] for part in parts]),
        np.concatenate([np.zeros(0, np.int64)] + [part[2] for part in parts]))
