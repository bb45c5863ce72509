# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""PlantedActions: a generated miniature of the problem, in THUMOS14's files.

What makes weakly supervised localization hard is planted on purpose. An
action is an ambiguous start-up, a discriminative core and an ambiguous tail;
the ambiguous phases look alike for two classes and are held together with
the core by a class-agnostic motion factor alone. Background holds context
that occurs only in videos of the class, and motion that is no action. Each of
the two streams sees a part of the evidence; noise is correlated in time.

Dimension legend: T snippets, D feature channels, F factors, I intervals.
"""
from __future__ import annotations

import json
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from mmaction.registry import DATASETS
from mmengine.logging import print_log

from mmaction_actiondiff.annotations import read_annotations
from mmaction_actiondiff.files import check_file_name

from .wtal_dataset import WTALDataset

_STAMP = 'planted.json'
_VERSION = 1
# Correlation length of the noise in snippets.
_NOISE_WIDTH = 3
# Share of start-up and core in an instance, uniform within these bounds; the
# tail is what remains.
_STARTUP_SHARE = (0.15, 0.35)
_CORE_SHARE = (0.3, 0.5)


def write_planted_dataset(root: str | Path,
                          num_classes: int = 6,
                          num_train: int = 100,
                          num_test: int = 50,
                          num_snippets: tuple[int, int] = (60, 300),
                          channels: int = 64,
                          seconds_per_snippet: float = 0.64,
                          signal: float = 6.0,
                          context: float = 0.7,
                          seed: int = 0,
                          layout_file: str | None = None,
                          length_scale: float = 1.) -> None:
    """Writes ``annotations.json`` and ``features/`` into the folder ``root``.

    The folder appears at once and complete, or not at all; if it is there
    already with the same parameters, nothing happens. Each annotation also
    has ``phases``: start and end of start-up, core and tail in seconds.

    Args:
        root (str | Path): Folder to make.
        num_classes (int): >= 2.
        num_train (int): Videos in the subset ``'training'``.
        num_test (int): Videos in the subset ``'test'``.
        num_snippets (tuple[int, int]): Shortest and longest video.
        channels (int): D, even: the first half is the rgb stream, the second
            the flow stream.
        seconds_per_snippet (float): Seconds a snippet covers.
        signal (float): Strength of a core in standard deviations of the
            noise along its direction.
        context (float): Strength of class context relative to a core.
        seed (int): Another seed, another data set.
        layout_file (str, optional): Annotation json whose videos, durations,
            segments and classes to take, with ``num_classes`` to
            ``num_snippets`` unused: features of a real data set's shape.
        length_scale (float): > 0. Factor of all durations and segments, with
            snippets as long as before.

    Raises:
        ValueError: If a parameter is out of range, or ``root`` was written
            with other parameters.
        FileExistsError: If ``root`` holds anything else.
    """
    if channels < 2 or channels % 2:
        raise ValueError(f'channels must be even and >= 2, got {channels}')
    if num_classes < 2 or num_train < 1 or num_test < 1:
        raise ValueError(
            'num_classes must be >= 2, num_train and num_test >= 1, got '
            f'{num_classes}, {num_train} and {num_test}')
    if not 1 <= num_snippets[0] <= num_snippets[1]:
        raise ValueError('num_snippets must be 1 <= shortest <= longest, got '
                         f'{tuple(num_snippets)}')
    if not length_scale > 0:
        raise ValueError(f'length_scale must be > 0, got {length_scale}')
    used: dict[str, Any] = dict(
        num_classes=num_classes,
        num_train=num_train,
        num_test=num_test,
        num_snippets=list(num_snippets))
    if layout_file is not None:
        used = dict(layout_crc32=zlib.crc32(Path(layout_file).read_bytes()))
    if length_scale != 1:
        used['length_scale'] = length_scale
    params = dict(
        version=_VERSION,
        channels=channels,
        seconds_per_snippet=seconds_per_snippet,
        signal=signal,
        context=context,
        seed=seed,
        **used)
    root = Path(root).absolute()
    if _is_written(root, params):
        return
    print_log(f'Writing the planted data set to {root}', logger='current')
    root.parent.mkdir(parents=True, exist_ok=True)
    # Other ranks may write at the same time: each into its own folder, and
    # the first to rename it wins. All of them hold the same bytes.
    draft = Path(tempfile.mkdtemp(dir=root.parent, prefix=f'.{root.name}-'))
    try:
        layout = (
            _random_layout(params) if layout_file is None else _read_layout(
                layout_file, seed))
        _stretch(layout, length_scale)
        _write(draft, layout, params)
        draft.chmod(0o755)
        try:
            draft.rename(root)
        except OSError:
            if not _is_written(root, params):
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _is_written(root: Path, params: dict) -> bool:
    stamp = root / _STAMP
    if stamp.is_file():
        found = json.loads(stamp.read_text('utf-8'))
        if found == params:
            return True
        other = ', '.join(f'{key}={found.get(key)} (wanted {params.get(key)})'
                          for key in sorted({*found, *params})
                          if found.get(key) != params.get(key))
        raise ValueError(f'{root} was written with other parameters: {other}. '
                         'Choose another data_root, or delete the folder')
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise FileExistsError(
            f'{root} holds other files and no {_STAMP}; choose another '
            'data_root for the planted data set')
    return False


def _random_layout(params: dict) -> dict:
    """Annotations of videos with one or two classes of their own tempo."""
    num_classes, unit = params['num_classes'], params['seconds_per_snippet']
    classes = [f'action_{index}' for index in range(num_classes)]
    # median length of an instance in snippets: from short to long
    tempo = np.geomspace(4, 20, num_classes)
    database = {}
    for subset, count in (('training', params['num_train']),
                          ('test', params['num_test'])):
        for i in range(count):
            rng = np.random.default_rng((params['seed'], subset == 'test', i))
            low, high = params['num_snippets']
            length = int(rng.integers(low, high, endpoint=True))
            own = [i % num_classes]
            if rng.random() < 0.25:
                own.append(
                    int((own[0] + rng.integers(1, num_classes)) % num_classes))
            annotations: list[dict] = []
            # the first instance starts in the first half of any video
            place = rng.uniform(0.05, 0.3) * min(length, 60)
            while place < length - 2 or not annotations:
                index = own[len(annotations) % len(own)]
                size = max(2.0, tempo[index] * rng.lognormal(0, 0.4))
                end = min(place + size, length)
                annotations.append(
                    _annotation(rng, classes[index], place * unit, end * unit))
                place = end + 2 + rng.exponential(18)
            database[f'{subset}_{i + 1:04d}'] = dict(
                subset=subset,
                duration=(length + float(rng.uniform(0, 0.99))) * unit,
                annotations=annotations)
    return dict(version='planted', classes=classes, database=database)


def _read_layout(path: str, seed: int) -> dict:
    source = read_annotations(path)
    database = {}
    for index, (name, video) in enumerate(source.videos.items()):
        check_file_name(name)
        rng = np.random.default_rng((seed, index))
        record = video.record()
        record['annotations'] = [
            _annotation(rng, item['label'], *item['segment'])
            for item in record['annotations']
        ]
        database[name] = record
    return dict(
        version='planted', classes=list(source.classes), database=database)


def _stretch(layout: dict, factor: float) -> None:
    """Multiply all times of a layout."""
    for video in layout['database'].values():
        video['duration'] *= factor
        if 'ambiguous' in video:
            video['ambiguous'] = (np.array(video['ambiguous']) *
                                  factor).tolist()
        for item in video['annotations']:
            for key in ('segment', 'phases'):
                item[key] = (np.array(item[key]) * factor).tolist()


def _annotation(rng: np.random.Generator, label: str, start: float,
                end: float) -> dict:
    startup = rng.uniform(*_STARTUP_SHARE)
    core = startup + rng.uniform(*_CORE_SHARE)
    bounds = (start + (end - start) * np.array([0, startup, core, 1])).tolist()
    return dict(
        label=label,
        segment=[start, end],
        phases=[bounds[0:2], bounds[1:3], bounds[2:4]])


def _write(root: Path, layout: dict, params: dict) -> None:
    (root / 'features').mkdir()
    (root / 'annotations.json').write_text(
        json.dumps(layout), encoding='utf-8')
    class_of = {name: i for i, name in enumerate(layout['classes'])}
    directions = _directions(len(class_of), params)
    for number, (name, video) in enumerate(layout['database'].items()):
        rng = np.random.default_rng((params['seed'], 2, number))
        feature = _feature(rng, video, class_of, directions, params)
        np.save(root / 'features' / f'{name}.npy', feature)
    (root / _STAMP).write_text(json.dumps(params), encoding='utf-8')


def _directions(num_classes: int, params: dict) -> np.ndarray:
    """Factor directions (F, D), F = 4 * num_classes + 1.

    In order: cores, contexts, start-ups, tails of each class, motion. A
    direction is a unit vector over the streams together; its angle says how
    much each stream sees of it.
    """
    rng = np.random.default_rng((params['seed'], 3))
    half = params['channels'] // 2

    def draw(angles: np.ndarray) -> np.ndarray:
        parts = rng.standard_normal((2, len(angles), half))
        parts /= np.linalg.norm(parts, axis=2, keepdims=True)
        share = np.stack([np.cos(angles), np.sin(angles)])[..., None]
        return np.concatenate(list(parts * share), axis=1)

    even = np.deg2rad(np.linspace(15, 75, num_classes))
    core = draw(rng.permutation(even))
    scenery = draw(np.full(num_classes, np.deg2rad(20)))
    # two neighbouring classes share their start-up and their tail
    pair = np.arange(num_classes) // 2
    startup = draw(even)[pair]
    tail = draw(even)[pair]
    motion = draw(np.deg2rad([70.]))
    return np.concatenate([core, scenery, startup, tail, motion])


def _feature(rng: np.random.Generator, video: dict, class_of: dict,
             directions: np.ndarray, params: dict) -> np.ndarray:
    """Features (T, D) of one video, float16, >= 0 as after a ReLU."""
    unit, num_classes = params['seconds_per_snippet'], len(class_of)
    length = max(1, int(video['duration'] / unit))
    core, scenery, startup, tail = np.arange(4 * num_classes).reshape(4, -1)
    motion = 4 * num_classes

    plan = []  # intervals: start, end, factor, weight
    for item in video['annotations']:
        label, gain = class_of[item['label']], rng.uniform(0.7, 1.3)
        phases = np.array(item['phases']) / unit
        for (start, end), own, strength in zip(phases, (startup, core, tail),
                                               (0.6, 1.0, 0.6)):
            plan.append((start, end, own[label], strength * gain))
            if own is not core:
                plan.append((start, end, core[label], 0.25 * gain))
        plan.append((phases[0, 0], phases[-1, 1], motion, 0.7 * gain))
    num_actions = len(plan)
    for label in sorted({class_of[a['label']] for a in video['annotations']}):
        # not in every video, as else it could not be told from the action
        if rng.random() < 0.7:
            for _ in range(1 + length // 80):
                start = rng.uniform(0, length)
                plan.append((start, start + rng.uniform(5, 25), scenery[label],
                             params['context'] * rng.uniform(0.7, 1.3)))
    for _ in range(1 + length // 60):
        start = rng.uniform(0, length)
        plan.append(
            (start, start + rng.uniform(2, 15), motion, rng.uniform(0.3, 0.7)))

    # (I, T): the share of each snippet that each interval covers
    start, end, factors, weights = np.array(plan).T[..., None]
    grid = np.arange(length)
    cover = np.clip(np.minimum(end, grid + 1) - np.maximum(start, grid), 0, 1)
    free = 1 - cover[:num_actions].max(axis=0, initial=0)
    cover[num_actions:] *= free
    level = weights * directions[factors[:, 0].astype(int)]
    scene = rng.standard_normal(params['channels']) * 0.5
    white = rng.standard_normal(
        (length + _NOISE_WIDTH - 1, params['channels']), dtype=np.float32)
    noise = sum(white[i:i + length] for i in range(_NOISE_WIDTH))
    feature = (
        params['signal'] * cover.T @ level + scene +
        noise / np.sqrt(_NOISE_WIDTH))
    return np.maximum(feature, 0).astype(np.float16)


@DATASETS.register_module()
class PlantedActions(WTALDataset):
    """:class:`WTALDataset` that writes its planted files when absent.

    Args:
        data_root (str): Folder to read, and to write if it is not there.
        subset (str | Sequence[str]): ``'training'`` or ``'test'``.
        seconds_per_snippet (float): Seconds a snippet covers.
        planted (dict, optional): Further arguments of
            :func:`write_planted_dataset`.
        **kwargs: Other arguments of :class:`WTALDataset`.
    """

    def __init__(self,
                 data_root: str,
                 subset: str | list[str],
                 seconds_per_snippet: float = 0.64,
                 planted: dict | None = None,
                 **kwargs: Any) -> None:
        write_planted_dataset(
            data_root,
            seconds_per_snippet=seconds_per_snippet,
            **(planted or {}))
        super().__init__(data_root, subset, seconds_per_snippet, **kwargs)
