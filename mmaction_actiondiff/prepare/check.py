# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Verifies a folder in our layout."""
from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from mmaction_actiondiff.annotations import Annotations, index_labels
from mmaction_actiondiff.files import check_file_name
from mmaction_actiondiff.safe_npy import open_feature

from .report import DataSet, Report


def check(root: Path, annotations: Annotations, dataset: DataSet) -> Report:
    """Verifies a folder in our layout, reading every value and changing none;
    ``report.damaged`` tells whether something is wrong.

    ``annotations`` are those of ``root/annotations.json``, their problems
    included.
    """
    report = Report()
    damage = partial(report.add, damage=True)
    index = {name: i for i, name in enumerate(annotations.classes)}
    problems = dict(annotations.problems)
    for name, video in annotations.videos.items():
        try:
            check_file_name(name)
            if video.duration is None:
                raise ValueError('no "duration" in seconds')
            index_labels([*video.segment_labels, *(video.labels or ())], index,
                         name)
        except ValueError as error:
            problems[name] = str(error)
    for name, problem in problems.items():
        damage('malformed annotation', name, problem)
    if dataset.num_classes not in (None, len(index)):
        damage('classes', 'annotations.json',
               f'{len(index)}, expected {dataset.num_classes}')
    named = {**annotations.videos, **problems}
    if not named:
        damage('no videos', 'annotations.json', 'it is empty')
    files = {}
    for path in sorted((root / 'features').glob('*')):
        if path.suffix == '.npy':
            files[path.stem] = path
        else:
            damage(
                'not a feature file', path.name,
                'an interrupted run leaves .part files; they may be deleted')
    for name in [name for name in named if name not in files]:
        damage('video without feature', name, f'no features/{name}.npy')
    for name in [name for name in files if name not in named]:
        damage('feature without annotation', name,
               f'features/{name}.npy is of no video: renamed?')
    shapes = {}
    for name in track(files, 'Features', console=Console(stderr=True)):
        try:
            shapes[name] = _inspect(files[name])
        except ValueError as error:
            damage('damaged feature', name, str(error))
    channels = dataset.channels
    if shapes and channels is None:
        channels = Counter(s[1] for s in shapes.values()).most_common(1)[0][0]
    for name in [n for n, shape in shapes.items() if shape[1] != channels]:
        shape = shapes.pop(name)
        damage(
            'transposed feature'
            if shape[0] == channels else 'wrong number of channels', name,
            f'shape {shape}, expected (T, {channels})')
    sound = {n: v for n, v in annotations.videos.items() if n not in problems}
    lengths = {n: shape[0] for n, shape in shapes.items() if n in sound}
    report.describe(sound, lengths, dataset, 'sign of a wrong fps or stride',
                    True)
    return report


def _inspect(path: Path) -> tuple[int, int]:
    """Shape of a feature file of which every value is sound."""
    array = open_feature(path)
    if array.dtype == np.float64:
        raise ValueError(f'{path}: expected float16 or float32, found float64')
    sound = np.isfinite(array)
    if not sound.all():
        row = int(np.flatnonzero(~sound.all(axis=1))[0])
        raise ValueError(f'{path}: {sound.size - sound.sum()} values are NaN '
                         f'or infinite, first in row {row}')
    return array.shape[0], array.shape[1]
