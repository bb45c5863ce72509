"""Verifies a folder in our layout (see ``_prepare``)."""
from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import mmengine
import numpy as np
from _annotations import load_json
from _report import (DataSet, Report, bad_name, describe, describe_lengths,
                     record_problems)


def check(root: Path, dataset: DataSet, tolerance: float = 0.02) -> Report:
    """Verifies a folder in our layout, reading every value.

    Args:
        root: The data root; nothing in it is changed.
        dataset: What is known of the data set.
        tolerance: See :func:`length_problem`.

    Returns:
        The report; ``report.damaged`` tells whether something is wrong.

    Raises:
        FileNotFoundError: If there is no annotations.json.
        ValueError: If annotations.json cannot be read at all.
    """
    report = Report()
    content = load_json(root / 'annotations.json')
    database, classes = content.get('database'), content.get('classes')
    if not isinstance(database, dict):
        raise ValueError(f'{root / "annotations.json"}: no "database"')
    sound = {}
    for name, record in database.items():
        problems = record_problems(record, classes)
        if bad_name(name):
            problems.append(bad_name(name))
        if problems:
            report.add(
                'malformed annotation', name, '; '.join(problems), damage=True)
        else:
            sound[name] = record
    if dataset.num_classes and len(classes or []) != dataset.num_classes:
        report.add(
            'classes',
            'annotations.json',
            f'{len(classes or [])}, expected {dataset.num_classes}',
            damage=True)
    files = {}
    for path in sorted((root / 'features').glob('*')):
        if path.suffix == '.npy':
            files[path.stem] = path
        else:
            report.add(
                'not a feature file',
                path.name,
                'an interrupted run leaves .part files; they may be deleted',
                damage=True)
    for name in database:
        if name not in files:
            report.add(
                'video without feature',
                name,
                f'no features/{name}.npy',
                damage=True)
    for name in files:
        if name not in database:
            report.add(
                'feature without annotation',
                name,
                f'features/{name}.npy is of no video: renamed?',
                damage=True)
    shapes = {}
    for name, path in mmengine.track_iter_progress(
            list(files.items()), file=sys.stderr):
        problem, shape = _inspect(path)
        if problem:
            report.add('damaged feature', name, problem, damage=True)
        if shape is not None:
            shapes[name] = shape
    print()
    _check_shapes(shapes, sound, dataset, tolerance, report)
    describe(sound, dataset, report, '')
    report.count(sound, dataset)
    return report


def _inspect(path: Path) -> tuple[str, tuple[int, int] | None]:
    """Problem of a file, and its shape if it is a matrix."""
    try:
        array = np.load(path, mmap_mode='r', allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        return f'truncated or not an npy file ({error})', None
    if array.ndim != 2 or not array.size:
        return f'expected (T, D), found shape {array.shape}', None
    if array.dtype not in (np.float16, np.float32):
        return f'expected float16 or float32, found {array.dtype}', None
    bad = array.size - int(np.isfinite(array).sum())
    if bad:
        rows = np.flatnonzero(~np.isfinite(array).all(axis=1))
        return (f'{bad} values are NaN or infinite, first in row {rows[0]}',
                array.shape)
    return '', array.shape


def _check_shapes(shapes: dict[str, tuple[int, int]], database: dict[str,
                                                                     dict],
                  dataset: DataSet, tolerance: float, report: Report) -> None:
    if not shapes:
        return
    channels = dataset.channels or Counter(
        shape[1] for shape in shapes.values()).most_common(1)[0][0]
    lengths = {}
    for name, shape in shapes.items():
        if shape[1] == channels:
            if name in database:
                lengths[name] = shape[0]
            continue
        turned = shape[0] == channels
        report.add(
            'transposed feature' if turned else 'wrong number of channels',
            name,
            f'shape {shape}, expected (T, {channels})',
            damage=True)
    describe_lengths(
        lengths,
        database,
        dataset,
        tolerance,
        report,
        'sign of a wrong fps or stride',
        damage=True)
