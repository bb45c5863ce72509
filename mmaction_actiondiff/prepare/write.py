# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Writes our layout from a source."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from mmaction_actiondiff.annotations import Annotations, index_labels, quote
from mmaction_actiondiff.files import check_file_name, whole_file, write_text
from mmaction_actiondiff.safe_npy import open_feature
from mmaction_actiondiff.snippets import Sidecar, recognizer_difference

from .features import Source, send_features
from .report import DataSet, Report


def prepare(annotations: Annotations,
            features: Source | None,
            root: Path,
            dataset: DataSet,
            dtype: str | None = None,
            transpose: bool = False) -> Report:
    """Writes ``root`` from a source.

    Args:
        annotations (Annotations): What was read; changed.
        features (Path | Mapping, optional): Folder, bundle or arrays by
            name; None writes the annotations alone.
        root (Path): Folder to write, created if needed.
        dataset (DataSet): What is known of the data set.
        dtype (str, optional): ``'float16'`` or ``'float32'``; None keeps the
            source's precision (float64 becomes float32).
        transpose (bool): Whether the features are (D, T).

    Returns:
        Report: It is also in ``root/report.json``.

    Raises:
        FileNotFoundError: If there are no features at ``features``.
        ValueError: If the source is malformed or cannot be written.
    """
    report = Report()
    videos = annotations.videos
    if not videos:
        raise ValueError(f'{annotations.path}: there is no video in it')
    index = {name: i for i, name in enumerate(annotations.classes)}
    for name, video in videos.items():
        check_file_name(name)
        index_labels([*video.segment_labels, *(video.labels or ())], index,
                     f'{annotations.path}: {name}')
    _unify(annotations, dataset, report)
    lengths: dict[str, int] = {}
    if features is not None:
        writer = FeatureWriter(annotations, root, dataset, report, dtype,
                               transpose)
        lengths = writer.write(features)
    for name, video in videos.items():
        grid = video.grid or dataset.grid
        if not (video.grid or dataset.grid_known):
            report.add(
                'no seconds of the snippets', name, '',
                f'{grid.seconds:g} are assumed (16 frames at 25 fps), and '
                'every time is wrong if that is not so: give --stride and '
                '--fps, or --seconds-per-snippet')
        if video.duration is None and name in lengths:
            video.duration = lengths.pop(name) * grid.seconds + 2 * grid.offset
            report.add(
                'no duration in the source', name, f'{video.duration:.2f} s',
                'taken from the features, so their length is not verified; '
                'a "duration" in the json would do it (thumos14.py: '
                '--durations)')
    untimed = [name for name, v in videos.items() if v.duration is None]
    if untimed:
        raise ValueError(
            f'{annotations.path}: no duration in the source: {quote(untimed)};'
            ' give --features, or say it in the json (thumos14.py: '
            '--durations)')
    report.describe(videos, lengths, dataset, 'kept as published', False)
    database = {name: video.record() for name, video in videos.items()}
    for name, video in videos.items():
        if video.grid and video.grid != dataset.grid:
            database[name].update(video.grid.record())
    content = dict(
        version=dataset.name,
        classes=annotations.classes,
        **dataset.grid.record(),
        database=database)
    for key in ('stream_channels', 'recognizers'):
        if getattr(annotations, key):
            content[key] = getattr(annotations, key)
    text = json.dumps(content, ensure_ascii=False)
    write_text(root / 'annotations.json', text + '\n')
    found = dict(counts=report.counts, findings=report.findings)
    text = json.dumps(found, indent=1, ensure_ascii=False)
    write_text(root / 'report.json', text + '\n')
    return report


def _unify(annotations: Annotations, dataset: DataSet, report: Report) -> None:
    """Brings the subsets and labels to our form; leaves out the videos that
    have none."""
    for name, where in annotations.stray.items():
        report.add('named without annotations', name, f'in {where}',
                   'not in annotations.json, left out')
    for name, video in list(annotations.videos.items()):
        if dataset.subsets and video.subset:
            if video.subset not in dataset.subsets:
                raise ValueError(f'{annotations.path}: {name} is of subset '
                                 f'{video.subset!r}, expected one of '
                                 f'{sorted(dataset.subsets)}')
            video.subset = dataset.subsets[video.subset]
        if not video.subset:
            report.add('video without a subset', name,
                       f'{len(video.segments)} segments',
                       'left out of annotations.json')
            del annotations.videos[name]
            continue
        used = set(video.segment_labels)
        if used and video.labels and set(video.labels) != used:
            report.add(
                'video labels other than those of the segments', name,
                f'{video.video_labels}, segments {sorted(used)}',
                'both kept: training reads the video labels, evaluation '
                'reads the segments')
        elif used:
            if video.labels == []:
                report.add('empty label list', name,
                           f'segments of {sorted(used)}',
                           'the labels of the segments are used')
            video.labels = None
        elif video.labels:
            video.labels = video.video_labels
        elif dataset.subsets:
            report.add('no labels and no segments', name, video.subset,
                       'left out of annotations.json')
            del annotations.videos[name]
        else:
            report.add('video without a label', name, '',
                       'a test or prediction takes it, training refuses it')


class FeatureWriter:
    """Writes feature files, each whole or not at all, and into the
    annotations what the files say.

    Args:
        dataset (DataSet): Gives the number of channels.
        report (Report): Receives what is wrong with a source.
        annotations, root, dtype, transpose: See :func:`prepare`.
    """

    def __init__(self, annotations: Annotations, root: Path, dataset: DataSet,
                 report: Report, dtype: str | None, transpose: bool) -> None:
        self.annotations = annotations
        self.folder = root / 'features'
        self.channels = dataset.channels
        self.report = report
        self.dtype = dtype
        self.transpose = transpose
        self.lengths: dict[str, int] = {}
        self.stream_channels: list[int] | None = None
        self.recognizers: list[dict] | None = None
        self.skipped = 0
        self.progress = Progress(console=Console(stderr=True))

    def write(self, features: Source) -> dict[str, int]:
        """Writes the features of all videos, and leaves out the videos that
        have none.

        Returns:
            dict[str, int]: T by name.
        """
        annotations, report = self.annotations, self.report
        videos = annotations.videos
        self.progress.add_task('Features', total=len(videos))
        with self.progress:
            unused = send_features(features, annotations, self)
        print(f'{len(self.lengths)} features in {self.folder}, '
              f'{self.skipped} of them were finished before')
        for name in sorted(unused):
            report.add('feature without annotation', name, '', 'not copied')
        refused = report.findings.get('unusable feature', {}).get('videos', {})
        for name in [name for name in videos if name not in self.lengths]:
            if name not in refused:
                report.add('video without feature', name, videos[name].subset,
                           'left out of annotations.json')
            del videos[name]
        if not videos:
            there = f'other names there: {quote(sorted(unused))}'
            for name in list(refused)[:1]:
                there = f'{name} is unusable: {refused[name]}; {there}'
            raise ValueError(f'{features}: no usable feature of any video of '
                             f'{annotations.path}; {there}')
        for key in ('stream_channels', 'recognizers'):
            if found := getattr(self, key):
                setattr(annotations, key, found)
        return self.lengths

    def __call__(self, name: str, streams: list,
                 sidecars: list[Sidecar]) -> None:
        """Writes the streams of a video side by side, see ``Sink``."""
        try:
            array = self._join(name, streams)
            sidecar = self._join_sidecars(sidecars)
        except ValueError as error:
            self.report.add(
                'unusable feature',
                name,
                str(error),
                'not written; the video is left out',
                damage=True)
        else:
            self._write(name, array)
            self.lengths[name] = len(array)
            video = self.annotations.videos[name]
            video.grid = sidecar.grid or video.grid
            video.duration = video.duration or sidecar.duration
        self.progress.advance(self.progress.task_ids[0])

    def _join_sidecars(self, sidecars: list[Sidecar]) -> Sidecar:
        """What holds for all streams of a video."""
        grids = [s.grid for s in sidecars if s.grid]
        if any(not grid.agrees(grids[0]) for grid in grids):
            raise ValueError(f'streams of different snippets: {grids}')
        made_by = [s.recognizer for s in sidecars if s.recognizer]
        if made_by and len(made_by) == len(sidecars):
            self.recognizers = self.recognizers or made_by
            for found, expected in zip(made_by, self.recognizers):
                difference = recognizer_difference(found, expected)
                if difference:
                    raise ValueError('its features are of another network '
                                     f'than others: {difference}')
        durations = [s.duration for s in sidecars if s.duration]
        return Sidecar(grids[0] if grids else None,
                       durations[0] if durations else None)

    def _join(self, name: str, streams: list) -> np.ndarray:
        for stream in streams:
            if isinstance(stream, str):
                raise ValueError(stream)
            if stream.ndim != 2 or not stream.size:
                raise ValueError(
                    f'expected (T, D) with T > 0, found {stream.shape}')
            if stream.dtype.kind != 'f':
                raise ValueError(f'expected floats, found {stream.dtype}')
        if self.transpose:
            streams = [stream.T for stream in streams]
        channels = [stream.shape[1] for stream in streams]
        self.channels = self.channels or sum(channels)
        if sum(channels) != self.channels:
            shapes = ' and '.join(str(stream.shape) for stream in streams)
            turned = sum(stream.shape[0] for stream in streams)
            raise ValueError(
                f'expected {self.channels} channels, found {shapes}' +
                (': transposed, give --channels-first or save it as (T, D)'
                 if turned == self.channels else ''))
        if len(channels) > 1:
            self.stream_channels = self.stream_channels or channels
            if channels != self.stream_channels:
                raise ValueError(f'expected streams of {self.stream_channels} '
                                 f'channels, found {channels}')
        lengths = [len(stream) for stream in streams]
        if max(lengths) - min(lengths) > 1:
            raise ValueError(f'streams of {lengths} snippets')
        if max(lengths) > min(lengths):
            self.report.add('rgb and flow differ by one snippet', name,
                            f'{lengths}', 'the longer was cut')
        dtype = np.dtype(self.dtype or 'float32')
        if not self.dtype and np.result_type(*streams) == np.float16:
            dtype = np.dtype('float16')
        with np.errstate(over='ignore'):
            array = np.concatenate(
                [stream[:min(lengths)] for stream in streams],
                axis=1,
                dtype=dtype,
                casting='same_kind')
        if not np.isfinite(array).all():
            raise ValueError(_not_finite(streams, dtype))
        return array

    def _write(self, name: str, array: np.ndarray) -> None:
        path = self.folder / f'{name}.npy'
        if path.is_file():
            why = 'it had other values'
            try:
                before = open_feature(path)
                if before.dtype == array.dtype and np.array_equal(
                        before, array):
                    self.skipped += 1
                    return
            except ValueError:
                why = 'it was damaged'
            self.report.add('replaced', name, why,
                            'the files of an earlier run were written anew')
        with whole_file(path) as file:
            np.save(file, array)


def _not_finite(streams: list, dtype: np.dtype) -> str:
    bad = sum(stream.size - np.isfinite(stream).sum() for stream in streams)
    if bad:
        return f'{bad} values are NaN or infinite'
    largest = max(np.abs(stream).max() for stream in streams)
    advice = ': use --dtype float32' if dtype == np.float16 else ''
    return (f'its largest value {largest:.6g} does not fit into {dtype} (at '
            f'most {np.finfo(dtype).max:.6g}); values are not clipped{advice}')
