# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Annotations, in every form in which they are published.

One reader serves data sets, evaluation, preparation and reports: json in the
ActivityNet schema (the official files, ``gt.json``, ours), MMAction2's
``anet_anno_*.json``, the ``*-Annotations`` folders of npy files and the
official THUMOS14 text files. Nothing is repaired: a malformed file is refused
with its name, what was expected and what was found.

Dimension legend: T snippets, G ground-truth segments, A ambiguous spans.
"""
from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .files import load_json, read_text, require_object
from .safe_npy import load_object_array
from .snippets import SnippetGrid, finite_number

_SUBSETS = dict(
    train='training',
    training='training',
    val='validation',
    valid='validation',
    validation='validation',
    test='test',
    testing='test')
# Of a bundle; it can be evaluated without the last two.
_COLUMNS = ('videoname', 'subset', 'segments', 'labels', 'duration',
            'labels_all')


def canonical_subset(name: str) -> str:
    """The one spelling of a subset: ``'training'``, ``'validation'`` or
    ``'test'`` for each spelling in use, any other name as it is."""
    return _SUBSETS.get(name.strip().lower(), name)


def quote(names: Collection[str], limit: int = 5) -> str:
    """The first few of ``names``, and how many there are."""
    shown = ', '.join(list(names)[:limit])
    more = '' if len(names) <= limit else ', …'
    return f'{shown}{more} ({len(names)} in total)'


@dataclass
class Video:
    """Annotation of a video; times in seconds.

    Attributes:
        subset (str): See :func:`canonical_subset`; '' if unknown.
        segments (np.ndarray): Float64 (G, 2), 0 <= start <= end.
        labels (list[str], optional): Video-level class names as published;
            None: there are none but those of the segments.
        ambiguous (np.ndarray): Float64 (A, 2); some protocols exempt them.
        grid (SnippetGrid, optional): When its snippets are, if it says so
            itself.
    """
    name: str
    subset: str = ''
    duration: float | None = None
    segments: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    segment_labels: list[str] = field(default_factory=list)
    labels: list[str] | None = None
    ambiguous: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    grid: SnippetGrid | None = None

    @property
    def video_labels(self) -> list[str]:
        """Different class names of the video, sorted."""
        return sorted(
            {*(self.segment_labels if self.labels is None else self.labels)})

    def record(self) -> dict[str, Any]:
        """The video in the ActivityNet schema, without its grid."""
        record: dict[str, Any] = dict(subset=self.subset)
        if self.duration is not None:
            record['duration'] = self.duration
        record['annotations'] = [
            dict(label=label, segment=segment) for label, segment in zip(
                self.segment_labels, self.segments.tolist())
        ]
        if self.labels is not None:
            record['labels'] = list(self.labels)
        if len(self.ambiguous):
            record['ambiguous'] = self.ambiguous.tolist()
        return record


@dataclass
class Annotations:
    """Annotations of a data set.

    Attributes:
        path (Path): Where they were read.
        layout (str): What was recognised, in words.
        videos (dict[str, Video]): By name.
        classes (tuple[str]): Names in the order of the source, else sorted;
            two that differ in case, spaces, hyphens or underscores alone are
            then refused.
        order (list[str], optional): Names by position in a feature bundle.
        stray (dict[str, str]): Names that a split or ambiguous file alone
            mentions, with the file.
        problems (dict[str, str]): What is wrong with the record of a video,
            which is then none of ``videos``.
        grid, stream_channels, recognizers: What the file says for all videos
            of snippets, channels by stream, and the network of each stream
            (``snippets.py``); None where it does not.
    """
    path: Path
    layout: str
    videos: dict[str, Video]
    classes: tuple[str, ...] = ()
    order: list[str] | None = None
    stray: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    grid: SnippetGrid | None = None
    stream_channels: list[int] | None = None
    recognizers: list[dict[str, Any]] | None = None

    @classmethod
    def of(cls,
           path: Path,
           layout: str,
           records: Mapping[str, Any],
           classes: Sequence[str] = (),
           **others: Any) -> Annotations:
        """Annotations of records in the ActivityNet schema."""
        videos, problems = {}, {}
        for name, record in records.items():
            try:
                videos[name] = _video(name, record, classes)
            except ValueError as error:
                problems[name] = str(error)
        return cls(
            path, layout, videos, tuple(classes), problems=problems, **others)

    def __post_init__(self) -> None:
        if not self.classes:
            names: set[str] = set()
            for video in self.videos.values():
                names.update(video.segment_labels, video.labels or ())
            self.classes = tuple(sorted(names))
            spelled: dict[str, str] = {}
            for name in self.classes:
                first = spelled.setdefault(
                    re.sub(r'[\s_-]', '', name).lower(), name)
                if first != name:
                    raise ValueError(
                        f'{self.path}: the labels {first!r} and {name!r} '
                        'differ in spelling alone: correct one of them, or, '
                        'if they are two classes, name all in "classes"')

    def add_ambiguous(self, path: Path) -> None:
        """Adds the spans of ``path`` (lines ``NAME start end``)."""
        for number, name, span in _read_spans(path):
            if name in self.videos:
                video = self.videos[name]
                video.ambiguous = np.concatenate([video.ambiguous, [span]])
            else:
                self.stray[name] = f'{path.name}, line {number}'

    def add_durations(self, path: Path) -> None:
        """Sets the durations that ``path`` lists: a line with the file name
        of a video, then one with its duration in seconds.

        Raises:
            ValueError: If the lines do not alternate so.
        """
        lines = [line for line in read_text(path).split('\n') if line.strip()]
        try:
            for name, text in zip(lines[::2], lines[1::2], strict=True):
                stem = Path(name.strip()).stem
                if stem in self.videos:
                    self.videos[stem].duration = finite_number(
                        text, '"duration"', True)
        except ValueError as error:
            raise ValueError(
                f'{path}: expected lines of a file name and of seconds in '
                f'turn ({error})') from None


def read_annotations(path: str | os.PathLike,
                     strict: bool = True) -> Annotations:
    """Recognises the layout of ``path`` and reads it.

    A segment labelled "Ambiguous" that is none of the classes the file
    declares is an ambiguous span.

    Args:
        path (str | PathLike): A ``*-Annotations`` folder of npy files, a
            folder with the official THUMOS14 text files, a folder with
            ``gt.json``, or a json file in the ActivityNet or in the
            ``anet_anno`` schema.
        strict (bool): Whether the first of the ``problems`` is raised.

    Returns:
        Annotations: All videos, of all subsets.

    Raises:
        FileNotFoundError: If ``path`` does not exist.
        ValueError: If the layout is not recognised or a file is malformed.
    """
    path = Path(path)
    if not path.is_dir():
        result = _read_json(path)
    elif (path / 'videoname.npy').is_file():
        result = _read_bundle(path)
    elif (path / 'gt.json').is_file():
        result = _read_json(path / 'gt.json')
    elif any(path.glob('*_val.txt')) and any(path.glob('*_test.txt')):
        result = _read_thumos_text(path)
    else:
        raise ValueError(
            f'{path}: expected videoname.npy (bundle), gt.json, or '
            'CLASS_val.txt and CLASS_test.txt (official THUMOS14), found '
            f'{sorted(p.name for p in path.iterdir())[:5]}')
    if strict and result.problems:
        name, problem = next(iter(result.problems.items()))
        raise ValueError(f'{result.path}: the record of {name} is malformed: '
                         f'{problem}')
    return result


def index_labels(labels: Iterable[str], index: Mapping[str, int],
                 where: str) -> list[int]:
    """Class indices of ``labels``; ``where`` is the file and the video.

    Raises:
        ValueError: If a name is none of the classes.
    """
    labels = list(labels)
    unknown = [x for x in labels if not isinstance(x, str) or x not in index]
    if not unknown:
        return [index[label] for label in labels]
    lower = {name.lower(): name for name in index}
    close = difflib.get_close_matches(str(unknown[0]).lower(), lower, 1, 0)
    raise ValueError(
        f'{where} has the label {unknown[0]!r}, which is none of the '
        f'{len(index)} classes' +
        (f'; the closest is {lower[close[0]]!r}' if close else ''))


def _expect(sound: bool, what: str, value: Any) -> None:
    if not sound:
        raise ValueError(f'{what}, found {value!r:.200}')


def _all(kind: type, value: Any) -> bool:
    """Whether it is a list of that kind."""
    return isinstance(value, list) and all(
        isinstance(item, kind) for item in value)


def _times(values: Any, what: str) -> np.ndarray:
    """Float64 (N, 2), finite, 0 <= start <= end."""
    _expect(
        isinstance(values, (list, tuple, np.ndarray)),
        f'"{what}" must be a list of [start, end]', values)
    times = []
    for value in values:
        try:
            # float() because gt.json writes the times as strings
            start, end = (float(time) for time in value)
        except (TypeError, ValueError, OverflowError):
            start = end = math.nan
        _expect(
            isinstance(value, (list, tuple, np.ndarray))
            and math.isfinite(start + end), 'expected [start, end] in seconds',
            value)
        if not 0 <= start <= end:
            raise ValueError(f'[{start}, {end}] is not 0 <= start <= end in '
                             'seconds')
        times.append((start, end))
    return np.array(times, dtype=np.float64).reshape(-1, 2)


def _names(value: Any, what: str) -> list[str]:
    _expect(_all(str, value), f'"{what}" must be a list of class names', value)
    return value


def _video(name: str,
           record: Mapping[str, Any],
           declared: Collection[str] = ()) -> Video:
    """A record of the ActivityNet schema; see :class:`Video`."""
    _expect(isinstance(record, Mapping), 'expected a json object', record)
    subset: Any = record.get('subset')
    _expect(isinstance(subset, str), '"subset" must be a name', subset)
    items = record.get('annotations', [])
    _expect(
        _all(dict, items) and all({'label', 'segment'} <= set(item)
                                  for item in items),
        '"annotations" must be a list of {"label", "segment": [start, end]}',
        items)
    segment_labels = [item['label'] for item in items]
    _expect(
        _all(str, segment_labels),
        'every "label" of "annotations" must be a name', segment_labels)
    segments = _times([item['segment'] for item in items], 'annotations')
    labels = _names(record['labels'], 'labels') if 'labels' in record else None
    ambiguous = _times(record.get('ambiguous', []), 'ambiguous')
    duration = record.get('duration')

    def is_class(label: str) -> bool:
        return label.lower() != 'ambiguous' or label in declared

    kept = np.array([is_class(label) for label in segment_labels], dtype=bool)
    return Video(
        name,
        canonical_subset(subset), None if duration is None else finite_number(
            duration, '"duration"', True), segments[kept],
        list(filter(is_class, segment_labels)),
        None if labels is None else list(filter(is_class, labels)),
        np.concatenate([ambiguous, segments[~kept]]), SnippetGrid.read(record))


def _read_json(path: Path) -> Annotations:
    content = load_json(path)
    if 'database' not in content:
        return _read_anet_anno(path, content)
    database = require_object(path, content, 'database')
    try:
        classes = _names(content.get('classes', []), 'classes')
        if len(set(classes)) < len(classes):
            twice = sorted({c for c in classes if classes.count(c) > 1})
            raise ValueError(f'classes named twice: {quote(twice)}')
        grid = SnippetGrid.read(content)
        streams = content.get('stream_channels')
        _expect(
            streams is None or isinstance(streams, list)
            and all(type(n) is int and n > 0 for n in streams),
            '"stream_channels" must be a list of numbers of channels', streams)
        recognizers = content.get('recognizers')
        _expect(
            recognizers is None or _all(dict, recognizers),
            '"recognizers" must be a list of objects', recognizers)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from None
    result = Annotations.of(
        path,
        f'ActivityNet schema ({path.name})',
        database,
        classes,
        grid=grid,
        stream_channels=streams,
        recognizers=recognizers)
    if path.name == 'gt.json':
        _apply_splits(result)
    return result


def _read_anet_anno(path: Path, content: dict) -> Annotations:
    """MMAction2's ``anet_anno_*.json``; it has no subsets, and its names
    are the YouTube ids (11 characters) behind ``v_``."""
    records = {}
    for key, source in content.items():
        name = key[2:] if key.startswith('v_') and len(key) == 13 else key
        if not isinstance(source, dict) or 'duration_second' not in source:
            raise ValueError(
                f'{path}: expected the key "database" (ActivityNet schema) '
                'or records with "duration_second" and "annotations" '
                f'(anet_anno schema), found the keys {list(content)[:5]}')
        records[name] = dict(
            subset='',
            duration=source['duration_second'],
            annotations=source.get('annotations'))
    return Annotations.of(path, f'anet_anno schema ({path.name})', records)


def _apply_splits(annotations: Annotations) -> None:
    """Takes ``split_{train,test}.txt`` beside ``gt.json`` into account: they,
    not the ``subset`` of a record, are what the CoLA family reads."""
    splits = {}
    for subset in ('train', 'test'):
        split = annotations.path.parent / f'split_{subset}.txt'
        if split.is_file():
            for name in read_text(split).split():
                splits[name] = canonical_subset(subset)
                if name not in annotations.videos:
                    annotations.stray[name] = split.name
    if splits:
        for name, video in annotations.videos.items():
            video.subset = splits.get(name, '')


def _text(value: Any) -> str:
    # np.str_ from bundles made with Python 3, bytes from Python 2
    return value.decode() if isinstance(value, bytes) else str(value)


def _read_bundle(folder: Path) -> Annotations:
    """CO2-Net / DELU / DDG-Net: parallel npy arrays, one row per video.

    ``labels_all`` holds the video-level labels on which these methods
    train; it differs from the set of segment labels for some videos.
    ``extracted_fps.npy`` and ``original_fps.npy`` are not read: the former
    is wrong (10, the features were taken at 25 fps), the latter has no part
    in the clock of the features.
    """
    columns = {
        key: load_object_array(folder / f'{key}.npy')
        for key in _COLUMNS
        if key in _COLUMNS[:-2] or (folder / f'{key}.npy').is_file()
    }
    classes = [
        _text(c) for c in load_object_array(folder / 'classlist.npy').ravel()
    ]
    if len({len(column) for column in columns.values()}) > 1:
        raise ValueError(
            f'{folder}: expected one row per video in every file, found '
            f'{ {key: len(column) for key, column in columns.items()} }')
    order = [_text(name) for name in columns['videoname'].ravel()]
    records: dict[str, dict] = {}
    for row, name in enumerate(order):
        item = {key: column[row] for key, column in columns.items()}
        if name in records:
            raise ValueError(f'{folder / "videoname.npy"} names {name} twice')
        labels, segments = item['labels'], item['segments']
        if len(segments) != len(labels):
            raise ValueError(f'{folder}: {name} has {len(segments)} segments '
                             f'but {len(labels)} labels')
        records[name] = dict(
            subset=_text(np.ravel(item['subset'])[0]),
            annotations=[
                dict(label=_text(label), segment=segment)
                for label, segment in zip(labels, segments)
            ])
        if 'duration' in item:
            records[name]['duration'] = float(np.ravel(item['duration'])[0])
        if 'labels_all' in item:
            records[name]['labels'] = [_text(x) for x in item['labels_all']]
    result = Annotations.of(
        folder, 'npy bundle', records, classes, order=order)
    if (folder / 'Ambiguous_test.txt').is_file():
        result.add_ambiguous(folder / 'Ambiguous_test.txt')
    return result


def _read_thumos_text(folder: Path) -> Annotations:
    """Official THUMOS14: ``CLASS_{val,test}.txt`` and durations.

    ``*_avoid_videos.txt`` (class and video pairs that the challenge did not
    score) is not used, as by everybody else.
    """
    records: dict[str, dict] = {}
    for subset in ('val', 'test'):
        for path in sorted(folder.glob(f'*_{subset}.txt')):
            label = path.stem.rsplit('_', 1)[0]
            if label == 'Ambiguous':
                continue
            for _, name, span in _read_spans(path):
                record = records.setdefault(
                    name, dict(subset=subset, annotations=[]))
                record['annotations'].append(dict(label=label, segment=span))
    result = Annotations.of(folder, 'official THUMOS14 text',
                            dict(sorted(records.items())))
    for subset in ('val', 'test'):
        if (folder / f'Ambiguous_{subset}.txt').is_file():
            result.add_ambiguous(folder / f'Ambiguous_{subset}.txt')
        if (folder / f'th14_{subset}_durations.txt').is_file():
            result.add_durations(folder / f'th14_{subset}_durations.txt')
    return result


def _read_spans(path: Path) -> list[tuple[int, str, list[float]]]:
    spans = []
    for number, line in enumerate(read_text(path).split('\n'), 1):
        if not line.strip():
            continue
        # split() because the official files put two spaces after the name
        name, *times = line.split()
        try:
            span, = _times([times], 'segment').tolist()
        except ValueError as error:
            raise ValueError(
                f'{path}, line {number}: expected "NAME start end" in '
                f'seconds, found {line!r} ({error})') from None
        spans.append((number, name, span))
    return spans
