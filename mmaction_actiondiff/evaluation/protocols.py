"""Protocols: everything beside the detections that moves the number."""
from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from .precision import Instances, average_precision

_THUMOS_RANGES = ((0.1, 0.7), (0.1, 0.5), (0.3, 0.7))


@dataclass(frozen=True)
class Protocol:
    """How detections are judged.

    Attributes:
        name (str): Key in :data:`PROTOCOLS`.
        gt_unit (str): ``'seconds'``, or ``'snippets'``: times are multiplied
            by the rate of snippets and those of the ground truth rounded
            (half to even); instances that become empty count as missed.
            Detections on the snippet grid then overlap instances by exactly
            1/2 and the like, where the rounding error of their times in
            seconds decides: some 0.3 mAP on THUMOS14.
        exclude (tuple[str]): Videos that are not judged.
        ambiguous (str): ``'drop'`` detections of any class that overlap an
            ambiguous span of the annotation, or ``'ignore'`` these spans.
        interpolated (bool): See :func:`average_precision`.
        tiou_thrs (tuple[float]): Overlap thresholds in (0, 1].
        averages (tuple[tuple[float, float]]): Ranges of thresholds, ends
            included, whose mean is reported; the first is the main one.
        outside (str): ``'drop'`` detections in videos that are excluded or
            not in the ground truth, or count each as a
            ``'false_positive'``.

    Raises:
        ValueError: If a part has another value, or a range of ``averages``
            holds no threshold.
    """
    name: str
    gt_unit: str = 'seconds'
    exclude: Tuple[str, ...] = ()
    ambiguous: str = 'ignore'
    interpolated: bool = True
    tiou_thrs: Tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    averages: Tuple[Tuple[float, float], ...] = _THUMOS_RANGES
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

    def settings(self) -> Dict[str, Any]:
        """All parts but the name, as plain values."""
        return {k: v for k, v in asdict(self).items() if k != 'name'}

    def __str__(self) -> str:
        preset = PROTOCOLS[self.name].settings()
        changed = [
            f'{k}={v}' for k, v in self.settings().items() if v != preset[k]
        ]
        return ' '.join([self.name] + changed)


# video_test_0001292 has ambiguous spans only; 0000270 is annotated far
# beyond its end, and 0001496 with another class than its video-level label.
_NO_ACTION = ('video_test_0001292', )
_NOT_IN_210 = _NO_ACTION + ('video_test_0000270', 'video_test_0001496')
_ANET_THRS = tuple(float(thr) for thr in np.arange(50, 100, 5) / 100)

PROTOCOLS: Dict[str, Protocol] = {
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

    Returns:
        Protocol: The protocol.

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
        parts['averages'] = tuple(
            (float(low), float(high)) for low, high in parts['averages'])
    if 'exclude' in parts:
        parts['exclude'] = tuple(parts['exclude'])
    return replace(PROTOCOLS[name], **parts)


class VideoTruth(NamedTuple):
    """Annotation of a video; times in seconds.

    Attributes:
        segments (np.ndarray): Float (G, 2).
        labels (np.ndarray): Class indices, int (G,).
        ambiguous (np.ndarray): Float (A, 2).
        seconds_per_snippet (float): Length of a snippet.
    """
    segments: np.ndarray
    labels: np.ndarray
    ambiguous: np.ndarray
    seconds_per_snippet: float


class VideoDetections(NamedTuple):
    """Detections in a video.

    Attributes:
        segments (np.ndarray): Float (P, 2), in seconds.
        labels (np.ndarray): Class indices, int (P,).
        scores (np.ndarray): Float (P,).
    """
    segments: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


@dataclass
class Judgement:
    """Result of :func:`judge`; precisions are percentages.

    Attributes:
        protocol (Protocol): How it was judged.
        num_videos (int): Videos judged.
        num_gt (int): Instances in them.
        num_detections (int): Detections judged.
        dropped_outside (int): Detections dropped as outside these videos.
        dropped_ambiguous (int): Detections dropped at ambiguous spans.
        ap (np.ndarray): By threshold and class, (K, C); NaN where a class
            has no instance.
    """
    protocol: Protocol
    num_videos: int
    num_gt: int
    num_detections: int
    dropped_outside: int
    dropped_ambiguous: int
    ap: np.ndarray = field(repr=False)

    def mean_ap(self) -> np.ndarray:
        """mAP at each threshold (K,): the mean over the classes that have
        instances, NaN if there is none."""
        judged = ~np.isnan(self.ap).all(0)
        if not judged.any():
            return np.full(len(self.ap), np.nan)
        return self.ap[:, judged].mean(1)

    def by_threshold(self) -> Dict[str, float]:
        """mAP by threshold, as in ``{'0.50': 33.5}``."""
        return {
            f'{thr:.2f}': float(value)
            for thr, value in zip(self.protocol.tiou_thrs, self.mean_ap())
        }

    def averages(self) -> Dict[str, float]:
        """Mean of the mAP over ranges, as in ``{'0.10:0.70': 42.4}``."""
        mean_ap = self.mean_ap()
        return {
            f'{low:.2f}:{high:.2f}':
            float(mean_ap[self.protocol.within(low, high)].mean())
            for low, high in self.protocol.averages
        }

    def table(self) -> str:
        """A table to read, with what it was judged on."""
        cells = {**self.by_threshold(), **self.averages()}
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
        return '\n'.join(rows)

    def to_dict(self) -> Dict[str, Any]:
        """The numbers as plain values, for json. NaN becomes None."""

        def plain(values: Dict[str, float]) -> Dict[str, Optional[float]]:
            return {k: None if np.isnan(v) else v for k, v in values.items()}

        return dict(
            protocol=self.protocol.name,
            settings=self.protocol.settings(),
            num_videos=self.num_videos,
            num_gt=self.num_gt,
            num_detections=self.num_detections,
            dropped_outside=self.dropped_outside,
            dropped_ambiguous=self.dropped_ambiguous,
            mAP=plain(self.by_threshold()),
            average=plain(self.averages()))


def judge(truths: Mapping[str, VideoTruth],
          detections: Mapping[str, VideoDetections], num_classes: int,
          protocol: Protocol) -> Judgement:
    """Judges detections by a protocol.

    The result does not depend on the order of the videos: equal scores are
    ranked by the name of the video, then as given.

    Args:
        truths (Mapping[str, VideoTruth]): By the name of the video.
        detections (Mapping[str, VideoDetections]): By the name of the video.
        num_classes (int): C; labels are in [0, C).
        protocol (Protocol): The protocol.

    Returns:
        Judgement: The average precisions.

    Raises:
        ValueError: If a detection is not finite or a label out of range.
    """
    names = sorted(set(truths).difference(protocol.exclude))
    outside = sorted(set(detections).difference(names))
    dropped_outside = 0
    if protocol.outside == 'drop':
        dropped_outside = sum(len(detections[n].scores) for n in outside)
        outside = []
    dropped_ambiguous = 0
    truth_parts, parts = [], []
    for video, name in enumerate(names + outside):
        found = detections.get(name)
        rate = 1.
        if video < len(names):
            truth = truths[name]
            segments = truth.segments
            if protocol.gt_unit == 'snippets':
                rate = 1 / truth.seconds_per_snippet
                segments = np.rint(segments * rate)
            truth_parts.append((video, segments, truth.labels))
            if found is not None and protocol.ambiguous == 'drop':
                keep = ~_touches(found.segments, truth.ambiguous)
                dropped_ambiguous += int((~keep).sum())
                found = VideoDetections(*(item[keep] for item in found))
        if found is not None:
            parts.append(
                (video, found.segments * rate, found.labels, found.scores))
    ground_truth = _join(truth_parts)
    found_all = _join(parts)._replace(
        scores=np.concatenate([np.zeros(0)] + [part[3] for part in parts]))
    ap = average_precision(ground_truth, found_all, num_classes,
                           protocol.tiou_thrs, protocol.interpolated)
    return Judgement(
        protocol=protocol,
        num_videos=len(names),
        num_gt=len(ground_truth.labels),
        num_detections=len(found_all.labels),
        dropped_outside=dropped_outside,
        dropped_ambiguous=dropped_ambiguous,
        ap=100 * ap)


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
