"""Writes our layout from a source.

``ROOT/annotations.json`` is in the ActivityNet schema (optional keys:
``labels``, ``ambiguous``), ``ROOT/features/NAME.npy`` is ``(T, D)``, one row
per snippet; row ``i`` covers ``[i, i + 1) * seconds_per_snippet``.
"""
from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import mmengine
import numpy as np
from _annotations import Annotations
from _features import FeatureBundle, FeatureFolder
from _report import (DataSet, Report, bad_name, describe, describe_lengths,
                     record_problems)


class FeatureWriter:
    """Writes feature files, each whole or not at all.

    Args:
        root: The data root.
        dataset: Gives the number of channels.
        report: Receives what is wrong with a source.
        dtype: 'float16' or 'float32'; None keeps the source's precision
            (float64 becomes float32).
        overwrite: Whether to write finished files again.
    """

    def __init__(self, root: Path, dataset: DataSet, report: Report,
                 dtype: str | None, overwrite: bool) -> None:
        self.folder = root / 'features'
        self.folder.mkdir(parents=True, exist_ok=True)
        self.channels = dataset.channels
        self.report = report
        self.dtype = dtype
        self.overwrite = overwrite
        self.lengths: dict[str, int] = {}
        self.skipped = 0
        self.progress = mmengine.ProgressBar(start=False, file=sys.stderr)

    def start(self, total: int) -> None:
        """Starts the progress bar over ``total`` videos."""
        self.progress.task_num = total
        self.progress.start()

    def __call__(self, name: str, streams: list) -> None:
        """Writes the streams of a video side by side.

        Args:
            name: Video name.
            streams: Arrays ``(T, D_i)``, or a str saying why there is none.
        """
        try:
            self.lengths[name] = self._write(name, streams)
        except ValueError as error:
            self.report.add(
                'unusable feature',
                name,
                str(error),
                'not written; the video is left out',
                damage=True)
        self.progress.update()

    def _write(self, name: str, streams: list) -> int:
        self._verify(name, streams)
        length = min(len(stream) for stream in streams)
        dtype = np.dtype(self.dtype or 'float32')
        if not self.dtype and np.result_type(*streams) == np.float16:
            dtype = np.dtype('float16')
        shape = (length, sum(stream.shape[1] for stream in streams))
        path = self.folder / f'{name}.npy'
        if not self.overwrite and _is_finished(path, shape, dtype):
            self.skipped += 1
            return length
        with np.errstate(over='ignore'):
            array = np.concatenate([stream[:length] for stream in streams],
                                   axis=1,
                                   dtype=dtype,
                                   casting='same_kind')
        if not np.isfinite(array).all():
            raise ValueError(_not_finite(streams, dtype))
        partial = self.folder / f'{name}.npy.part'
        try:
            with open(partial, 'wb') as file:
                np.save(file, array)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        return length

    def _verify(self, name: str, streams: list) -> None:
        for stream in streams:
            if isinstance(stream, str):
                raise ValueError(stream)
            if stream.ndim != 2 or not len(stream):
                raise ValueError(
                    f'expected (T, D) with T > 0, found {stream.shape}')
            if stream.dtype.kind != 'f':
                raise ValueError(f'expected floats, found {stream.dtype}')
        total = sum(stream.shape[1] for stream in streams)
        if self.channels is None:
            self.channels = total
        if total != self.channels:
            shapes = ' and '.join(str(stream.shape) for stream in streams)
            turned = sum(stream.shape[0] for stream in streams)
            raise ValueError(
                f'expected {self.channels} channels, found {shapes}' +
                (': transposed, save it as (T, D)' if turned ==
                 self.channels else ''))
        lengths = [len(stream) for stream in streams]
        if max(lengths) - min(lengths) > 1:
            raise ValueError(f'streams of {lengths} snippets')
        if max(lengths) > min(lengths):
            self.report.add('rgb and flow differ by one snippet', name,
                            f'{lengths}', 'the longer was cut')


def _is_finished(path: Path, shape: tuple, dtype: np.dtype) -> bool:
    try:
        found = np.load(path, mmap_mode='r', allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    return found.shape == shape and found.dtype == dtype


def _not_finite(streams: list, dtype: np.dtype) -> str:
    bad = sum(stream.size - np.isfinite(stream).sum() for stream in streams)
    if bad:
        return f'{bad} values are NaN or infinite'
    largest = max(np.abs(stream).max() for stream in streams)
    return (
        f'its largest value {largest:.6g} does not fit into {dtype} (at most '
        f'{np.finfo(dtype).max:.6g}); values are not clipped: use '
        '--dtype float32')


def _unify(annotations: Annotations, dataset: DataSet, report: Report) -> None:
    """Brings the subsets and labels to our form; leaves out the videos that
    have none."""
    for name, where in annotations.stray.items():
        report.add('named without annotations', name, f'in {where}',
                   'not in annotations.json, left out')
    for name, record in list(annotations.database.items()):
        spelled = record.get('subset', '')
        subset = dataset.subsets.get(spelled.lower(), '')
        if dataset.subsets and spelled and not subset:
            raise ValueError(
                f'{name} is of subset {spelled!r}, expected one of '
                f'{sorted(dataset.subsets)}')
        record['subset'] = subset or spelled
        if not record['subset']:
            report.add('video without a subset', name,
                       f'{len(record["annotations"])} segments',
                       'left out of annotations.json')
            report.leave_out(annotations.database, name)
            continue
        used = {item['label'] for item in record['annotations']}
        labels = record.pop('labels', None)
        if labels is None:
            labels = used
        elif not labels and used:
            report.add('empty label list', name, f'segments of {sorted(used)}',
                       'the labels of the segments are used')
            labels = used
        elif used and set(labels) != used:
            report.add(
                'video labels other than those of the segments', name,
                f'{sorted(set(labels))}, segments {sorted(used)}',
                'both kept: training reads the video labels, judging reads '
                'the segments')
        if not labels and dataset.subsets:
            report.add('no labels and no segments', name, spelled,
                       'left out of annotations.json')
            report.leave_out(annotations.database, name)
            continue
        if not labels:
            report.add(
                'empty label list', name, '',
                'kept as a video without any action: for testing, since '
                'training refuses it')
        if set(labels) != used or not labels:
            record['labels'] = sorted(set(labels))


def prepare(annotations: Annotations,
            features: Path | None,
            root: Path,
            dataset: DataSet,
            dtype: str | None = None,
            tolerance: float = 0.02,
            overwrite: bool = False) -> Report:
    """Writes ``root`` from a source.

    Args:
        annotations: From ``_annotations.read_annotations``; changed.
        features: Folder or bundle; None writes the annotations alone.
        root: Folder to write, created if needed.
        dataset: What is known of the data set.
        dtype: See :class:`FeatureWriter`.
        tolerance: See :func:`length_problem`.
        overwrite: See :class:`FeatureWriter`.

    Returns:
        The report, which is also in ``root/report.json``.

    Raises:
        ValueError: If the source is malformed.
    """
    report = Report()
    for name in annotations.database:
        if bad_name(name):
            raise ValueError(f'{name!r}: {bad_name(name)}')
    _unify(annotations, dataset, report)
    database = annotations.database
    lengths: dict[str, int] = {}
    if features is None:
        untimed = [
            n for n, record in database.items() if 'duration' not in record
        ]
        if untimed:
            raise ValueError(
                f'{len(untimed)} videos ({untimed[0]}, ...) have no duration '
                'in the source; give --durations or --features')
    else:
        lengths = _write_features(annotations, features, root, dataset, report,
                                  dtype, overwrite)
    measured = set()
    for name, record in database.items():
        if 'duration' not in record and name in lengths:
            record['duration'] = lengths[name] * dataset.seconds_per_snippet
            measured.add(name)
            report.add(
                'no duration in the source', name,
                f'{record["duration"]:.2f} s',
                'taken from the features, so their length is not verified; '
                'give --durations to do so')
    problems = [
        f'{name}: {problem}' for name, record in database.items()
        for problem in record_problems(record, annotations.classes)
    ]
    if problems:
        raise ValueError(
            f'{len(problems)} problems in the annotations, which are not '
            'written (features, if given, are):\n  ' +
            '\n  '.join(problems[:20]) +
            ('\n  ...' if len(problems) > 20 else ''))
    describe(database, dataset, report, 'kept as published')
    describe_lengths(
        {
            name: length
            for name, length in lengths.items() if name not in measured
        },
        database,
        dataset,
        tolerance,
        report,
        'kept; the step of the features is assumed to be right',
        damage=False)
    report.count(database, dataset)
    root.mkdir(parents=True, exist_ok=True)
    _write_json(
        root / 'annotations.json',
        dict(
            version=dataset.name,
            classes=annotations.classes,
            database=database))
    _write_json(
        root / 'report.json',
        dict(counts=report.counts, findings=report.findings),
        indent=1)
    return report


def _write_features(annotations: Annotations, features: Path, root: Path,
                    dataset: DataSet, report: Report, dtype: str | None,
                    overwrite: bool) -> dict[str, int]:
    source: FeatureFolder | FeatureBundle
    if features.is_dir():
        source = FeatureFolder(features)
    elif not features.is_file():
        raise FileNotFoundError(f'{features}: no such file or folder')
    elif annotations.order is None:
        raise ValueError(
            f'{features} is a bundle without video names; --annotations must '
            'be its *-Annotations folder, found '
            f'{annotations.layout}')
    else:
        source = FeatureBundle(features, annotations.order)
    writer = FeatureWriter(root, dataset, report, dtype, overwrite)
    writer.start(len(annotations.database))
    unused = source.send(list(annotations.database), writer)
    print(f'\n{len(writer.lengths)} features in {writer.folder}, '
          f'{writer.skipped} of them were finished before')
    for name in sorted(unused):
        report.add('feature without annotation', name, '', 'not copied')
    refused = report.findings.get('unusable feature', {}).get('videos', {})
    for name in list(annotations.database):
        if name in writer.lengths:
            continue
        if name not in refused:
            report.add('video without feature', name,
                       annotations.database[name]['subset'],
                       'left out of annotations.json')
        report.leave_out(annotations.database, name)
    return writer.lengths


def _write_json(path: Path, content: dict, indent: int | None = None) -> None:
    partial = path.with_suffix('.json.part')
    partial.write_text(
        json.dumps(content, indent=indent, ensure_ascii=False) + '\n',
        encoding='utf-8')
    os.replace(partial, path)
