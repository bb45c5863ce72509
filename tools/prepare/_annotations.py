"""Annotations in the forms in which they are published.

Every reader returns :class:`Annotations`; times are in seconds. Nothing is
repaired here: what looks wrong is reported by ``_prepare`` and ``_report``.
"""
from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator

from mmaction_actiondiff.safe_npy import load_object_array


@dataclass
class Annotations:
    """Annotations of a data set.

    Attributes:
        layout: What was recognised, for the report.
        database: By video name: ``subset`` as spelled in the source,
            ``duration`` in seconds (absent if the source has none),
            ``annotations`` (dicts of ``label`` and ``segment`` in seconds)
            and, where the source has them, ``labels`` and ``ambiguous``.
        classes: Class names in the source's order, else sorted.
        order: Video names by position in a feature bundle, which carries
            no names itself; None for other layouts.
        stray: Names that a split or ambiguous file mentions although
            nothing else does, with the file.
    """
    layout: str
    database: dict[str, dict]
    classes: list[str]
    order: list[str] | None = None
    stray: dict[str, str] = field(default_factory=dict)

    def add_ambiguous(self, path: Path) -> None:
        """Adds the spans of ``path`` (lines ``NAME start end``)."""
        for number, name, start, end in _read_spans(path):
            record = self.database.get(name)
            if record is None:
                self.stray[name] = f'{path.name}, line {number}'
            else:
                record.setdefault('ambiguous', []).append([start, end])

    def add_durations(self, path: Path) -> None:
        """Sets the durations listed in ``path`` (see ``read_durations``)."""
        for name, duration in read_durations(path).items():
            if name in self.database:
                self.database[name]['duration'] = duration


def read_annotations(path: Path) -> Annotations:
    """Recognises the layout of ``path`` and reads it.

    Args:
        path: A ``*-Annotations`` folder of npy files, a folder with the
            official THUMOS14 text files, a folder with ``gt.json``, or a
            json file in the ActivityNet or in the ``anet_anno`` schema.

    Raises:
        FileNotFoundError: If ``path`` does not exist.
        ValueError: If the layout is not recognised or a file is malformed.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f'{path}: no such file or folder')
    if path.is_dir():
        if (path / 'videoname.npy').is_file():
            return _read_bundle(path)
        if (path / 'gt.json').is_file():
            return _read_json(path / 'gt.json')
        if any(path.glob('*_val.txt')) and any(path.glob('*_test.txt')):
            return _read_thumos_text(path)
        raise ValueError(
            f'{path}: expected videoname.npy (bundle), gt.json, or '
            'CLASS_val.txt and CLASS_test.txt (official THUMOS14), found '
            f'{sorted(p.name for p in path.iterdir())[:5]}')
    return _read_json(path)


def read_durations(path: Path) -> dict[str, float]:
    """Reads ``th14_*_durations.txt``: a line with the file name of a video,
    then one with its duration in seconds.

    Raises:
        ValueError: If the lines do not alternate so.
    """
    lines = [line.strip() for line in path.read_text().splitlines()]
    lines = [line for line in lines if line]
    try:
        return {
            Path(name).stem: float(duration)
            for name, duration in zip(lines[::2], lines[1::2], strict=True)
        }
    except ValueError as error:
        raise ValueError(
            f'{path}: expected lines of a file name and of seconds in '
            f'turn ({error})') from None


def _read_spans(path: Path) -> Iterator[tuple[int, str, float, float]]:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        # split() because the official files put two spaces after the name
        fields = line.split()
        if not fields:
            continue
        try:
            name, start, end = fields
            yield number, name, float(start), float(end)
        except ValueError:
            raise ValueError(
                f'{path}, line {number}: expected "NAME start end" in '
                f'seconds, found {line!r}') from None


def _text(value: object) -> str:
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
    arrays = {
        key: load_object_array(folder / f'{key}.npy')
        for key in ('videoname', 'subset', 'duration', 'segments', 'labels',
                    'labels_all', 'classlist')
    }
    order = [_text(name) for name in arrays['videoname'].ravel()]
    for key, array in arrays.items():
        if key != 'classlist' and len(array) != len(order):
            raise ValueError(
                f'{folder / key}.npy has {len(array)} rows, expected '
                f'{len(order)} as in videoname.npy')
    database: dict[str, dict] = {}
    rows = zip(order, arrays['subset'].ravel(), arrays['duration'].ravel(),
               arrays['segments'], arrays['labels'], arrays['labels_all'])
    for name, subset, duration, segments, labels, video_labels in rows:
        if name in database:
            raise ValueError(f'{folder / "videoname.npy"} names {name} twice')
        if len(segments) != len(labels):
            raise ValueError(
                f'{folder}: {name} has {len(segments)} segments but '
                f'{len(labels)} labels')
        database[name] = dict(
            subset=_text(subset),
            duration=float(duration),
            annotations=[
                dict(label=_text(label), segment=[float(s), float(e)])
                for label, (s, e) in zip(labels, segments)
            ],
            labels=[_text(label) for label in video_labels])
    result = Annotations('npy bundle', database,
                         [_text(name) for name in arrays['classlist'].ravel()],
                         order)
    if (folder / 'Ambiguous_test.txt').is_file():
        result.add_ambiguous(folder / 'Ambiguous_test.txt')
    return result


def _read_thumos_text(folder: Path) -> Annotations:
    """Official THUMOS14: ``CLASS_{val,test}.txt`` and durations.

    ``*_avoid_videos.txt`` (class and video pairs that the challenge did not
    score) is not used, as by everybody else.
    """
    database: dict[str, dict] = {}
    classes = set()
    for suffix, subset in (('val', 'validation'), ('test', 'test')):
        for path in sorted(folder.glob(f'*_{suffix}.txt')):
            label = path.stem.rsplit('_', 1)[0]
            if label == 'Ambiguous':
                continue
            classes.add(label)
            for _, name, start, end in _read_spans(path):
                record = database.setdefault(
                    name, dict(subset=subset, annotations=[]))
                record['annotations'].append(
                    dict(label=label, segment=[start, end]))
    result = Annotations('official THUMOS14 text',
                         dict(sorted(database.items())), sorted(classes))
    for suffix in ('val', 'test'):
        for path in (folder / f'Ambiguous_{suffix}.txt',
                     folder / f'th14_{suffix}_durations.txt'):
            if not path.is_file():
                continue
            if path.name.startswith('Ambiguous'):
                result.add_ambiguous(path)
            else:
                result.add_durations(path)
    return result


def load_json(path: Path) -> dict:
    """Reads a json object.

    Raises:
        ValueError: If the file is not json or holds another type.
    """
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path}: not a json file ({error})') from None
    if not isinstance(content, dict):
        raise ValueError(f'{path}: expected a json object, found a '
                         f'{type(content).__name__}')
    return content


def _read_json(path: Path) -> Annotations:
    content = load_json(path)
    if 'database' in content:
        result = _from_activitynet(path, content)
    else:
        result = _from_anet_anno(path, content)
    _apply_splits(path, result)
    return result


def _collect_classes(database: dict[str, dict]) -> list[str]:
    return sorted({
        label
        for record in database.values()
        for label in [item['label'] for item in record['annotations']] +
        record.get('labels', [])
    })


def _from_activitynet(path: Path, content: dict) -> Annotations:
    """ActivityNet schema: the official files, ``gt.json``, ours."""
    classes = content.get('classes')
    if classes is not None and (not _is_names(classes)
                                or len(set(classes)) != len(classes)):
        raise ValueError(
            f'{path}: "classes" must be a list of different names, found '
            f'{classes!r}')
    database = {}
    for name, source in content['database'].items():
        try:
            if 'labels' not in source and 'annotations' not in source:
                raise ValueError('neither "labels" nor "annotations"')
            if not _is_names(source.get('labels', [])):
                raise ValueError(
                    f'"labels" is {source["labels"]!r}, not a list of names')
            record = dict(
                subset=str(source['subset']),
                annotations=_segments(source.get('annotations', [])))
            if source.get('duration') is not None:
                record['duration'] = float(source['duration'])
            for key in ('labels', 'ambiguous'):
                if key in source:
                    record[key] = list(source[key])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f'{path}: record of {name} is malformed '
                             f'({type(error).__name__}: {error})') from None
        database[name] = record
    return Annotations(f'ActivityNet schema ({path.name})', database, classes
                       or _collect_classes(database))


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, str) for item in value)


def _segments(items: list) -> list[dict]:
    result = []
    for item in items:
        # gt.json writes the times as strings
        start, end = item['segment']
        if not isinstance(item['label'], str):
            raise ValueError(f'label {item["label"]!r} is not a name')
        result.append(
            dict(label=item['label'], segment=[float(start),
                                               float(end)]))
    return result


def _from_anet_anno(path: Path, content: dict) -> Annotations:
    """MMAction2's ``anet_anno_*.json``; it has no subsets, and its names
    are the YouTube ids (11 characters) behind ``v_``."""
    database = {}
    for key, source in content.items():
        name = key[2:] if key.startswith('v_') and len(key) == 13 else key
        try:
            database[name] = dict(
                duration=float(source['duration_second']),
                annotations=_segments(source['annotations']))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f'{path}: expected the key "database" (ActivityNet schema) '
                'or records with "duration_second" and "annotations" '
                f'(anet_anno schema); record of {key}: '
                f'{type(error).__name__}: {error}') from None
    return Annotations(f'anet_anno schema ({path.name})', database,
                       _collect_classes(database))


def _apply_splits(path: Path, annotations: Annotations) -> None:
    """Takes ``split_{train,test}.txt`` beside the json into account: they,
    not the ``subset`` of a record, are what the CoLA family reads."""
    splits = {}
    for subset in ('train', 'test'):
        split = path.parent / f'split_{subset}.txt'
        if split.is_file():
            for name in split.read_text().split():
                splits[name] = subset
                if name not in annotations.database:
                    annotations.stray[name] = split.name
    if splits:
        for name, record in annotations.database.items():
            record['subset'] = splits.get(name, '')
