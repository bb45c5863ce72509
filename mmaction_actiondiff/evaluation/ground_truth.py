"""Ground truth and detections in the forms in which they are published."""
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Dict, Iterable, NamedTuple, Optional, Tuple, Union

import numpy as np

from mmaction_actiondiff.safe_npy import load_object_array

from .protocols import VideoDetections, VideoTruth

# In this order; the first with instances is the one that is judged.
_SUBSETS = ('test', 'testing', 'validation', 'val')


class GroundTruth(NamedTuple):
    """Annotations of the videos to be judged.

    Attributes:
        classes (tuple[str]): Names; labels are indices into them.
        videos (dict[str, VideoTruth]): By name.
    """
    classes: Tuple[str, ...]
    videos: Dict[str, VideoTruth]


def read_ground_truth(path: Union[str, os.PathLike],
                      subset: Optional[str] = None,
                      seconds_per_snippet: float = 16 / 25) -> GroundTruth:
    """Reads the annotations of one subset.

    Args:
        path (str | PathLike): A json file with a ``database`` (ours,
            ActivityNet's, the ``gt.json`` of the CoLA family), or a
            ``*-Annotations`` folder of npy files (the CO2-Net family).
        subset (str, optional): Name of the subset; by default the first of
            test, testing, validation, val that has instances.
        seconds_per_snippet (float): Length of a snippet, for protocols that
            count in snippets.

    Returns:
        GroundTruth: The annotations.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is malformed or the subset has no instance.
    """
    path = Path(path)
    if path.is_dir():
        content = _read_bundle(path)
    else:
        content = _read_json(path, 'database')
    database, classes = content['database'], content.get('classes')
    try:
        used = {
            item['label']
            for record in database.values()
            for item in record.get('annotations', [])
        }
        with_instances = {
            record['subset']
            for record in database.values() if record.get('annotations')
        }
        if subset is None:
            subset = next((s for s in _SUBSETS if s in with_instances), None)
        if subset not in with_instances:
            raise ValueError(
                f'{path}: no instances to judge in the subset '
                f'{subset or "test or validation"!r}; those with instances '
                f'are {sorted(with_instances)}')
        names = tuple(classes or sorted(used))
        if not used.issubset(names):
            raise ValueError(
                f'{path}: labels {sorted(used.difference(names))} are not '
                'in its list of classes')
        index = {name: i for i, name in enumerate(names)}
        videos = {
            name: _truth(record, index, seconds_per_snippet)
            for name, record in database.items() if record['subset'] == subset
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{path}: expected records of "subset" and "annotations", each '
            'of "label" and "segment" [start, end]; found '
            f'{type(error).__name__}: {error}') from error
    return GroundTruth(names, videos)


def read_detections(path: Union[str, os.PathLike],
                    classes: Iterable[str]) -> Dict[str, VideoDetections]:
    """Reads detections in ActivityNet's schema: ``{"results": {NAME:
    [{"label": str, "segment": [start, end], "score": number}]}}``.

    Args:
        path (str | PathLike): The json file.
        classes (Iterable[str]): Names of the classes.

    Returns:
        dict[str, VideoDetections]: By the name of the video.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is malformed, a number is not finite or a label is
            not among ``classes``.
    """
    path = Path(path)
    index = {name: i for i, name in enumerate(classes)}
    detections = {}
    results = _read_json(path, 'results')['results']
    if not isinstance(results, dict):
        raise ValueError(f'{path}: expected "results" to map names of videos '
                         f'to lists, found a {type(results).__name__}')
    for name, items in results.items():
        try:
            found = VideoDetections(
                _segments([item['segment'] for item in items]),
                np.array([index.get(item['label'], -1) for item in items],
                         dtype=np.int64),
                np.array([item['score'] for item in items], dtype=np.float64))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f'{path}: expected the detections of {name} to be a list of '
                '{"label", "segment": [start, end], "score"}; found '
                f'{type(error).__name__}: {error}') from error
        if len(items) and found.labels.min() < 0:
            label = items[int(found.labels.argmin())]['label']
            raise ValueError(
                f'{path}: {name} has the label {label!r}, which is not among '
                f'the {len(index)} classes of the ground truth '
                f'({", ".join(list(index)[:3])}, ...)')
        if not (np.isfinite(found.segments).all()
                and np.isfinite(found.scores).all()):
            raise ValueError(f'{path}: a time or score of {name} is not '
                             'finite')
        detections[name] = found
    return detections


def _read_json(path: Path, key: str) -> Dict[str, Any]:
    with open(path, encoding='utf-8') as file:
        try:
            content = json.load(file)
        except ValueError as error:
            raise ValueError(f'{path}: not a json file ({error})') from None
    if not isinstance(content, dict) or key not in content:
        found = sorted(content)[:5] if isinstance(
            content, dict) else type(content).__name__
        raise ValueError(
            f'{path}: expected a json object with {key!r}, found {found}')
    return content


def _segments(segments: Iterable) -> np.ndarray:
    # gt.json writes numbers as strings
    return np.array(list(segments), dtype=np.float64).reshape(-1, 2)


def _truth(record: Dict[str, Any], index: Dict[str, int],
           seconds_per_snippet: float) -> VideoTruth:
    items = record.get('annotations', [])
    return VideoTruth(
        _segments(item['segment'] for item in items),
        np.array([index[item['label']] for item in items], dtype=np.int64),
        _segments(record.get('ambiguous', [])), seconds_per_snippet)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _read_bundle(folder: Path) -> Dict[str, Any]:
    """The npy files in the form of the json."""
    columns = {
        key: load_object_array(folder / f'{key}.npy')
        for key in ('videoname', 'subset', 'segments', 'labels', 'classlist')
    }
    classes = [_text(name) for name in columns.pop('classlist').ravel()]
    if len({len(column) for column in columns.values()}) > 1:
        raise ValueError(
            f'{folder}: expected one row per video in every file, found '
            f'{ {key: len(column) for key, column in columns.items()} }')
    database: Dict[str, Any] = {}
    for name, subset, segments, labels in zip(*columns.values()):
        if len(segments) != len(labels):
            raise ValueError(
                f'{folder}: {_text(name)} has {len(segments)} segments but '
                f'{len(labels)} labels')
        database[_text(name)] = dict(
            subset=_text(subset),
            annotations=[
                dict(label=_text(label), segment=segment)
                for label, segment in zip(labels, segments)
            ],
            ambiguous=[])
    spans = folder / 'Ambiguous_test.txt'
    if spans.is_file():
        for line in spans.read_text(encoding='utf-8').splitlines():
            # split(): the official file has two blanks after the name
            name, *span = line.split() or ['']
            if name in database:
                database[name]['ambiguous'].append(span)
    return dict(database=database, classes=classes)
