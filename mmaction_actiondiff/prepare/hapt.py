# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""HAPT smartphone recordings, from the raw files of the UCI archive.

``RawData/`` holds, for each experiment, ``acc_expXX_userYY.txt`` (in g) and
``gyro_expXX_userYY.txt`` (rad/s), a row per sample at 50 Hz with x, y and z;
and ``labels.txt``, a row per instance: experiment, person, activity (1 to 12),
first and last sample, counted from 1.

Recordings are cut into clips of 40 s. Dimension legend: S samples,
T = floor(S / 25) snippets of 0.5 s.
"""
from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from mmaction_actiondiff.annotations import Annotations, Video
from mmaction_actiondiff.files import read_text
from mmaction_actiondiff.snippets import SnippetGrid

from .report import DataSet

_RATE, _STRIDE = 50, 25
HAPT = DataSet(
    name='HAPT v2.1, 40 s clips',
    subsets=dict(training='training', test='test'),
    grid=SnippetGrid(_STRIDE / _RATE),
    channels=48,
    num_classes=12,
    expected=dict(training=[(382, 1106)], test=[(160, 470)]))
CLASSES = ('WALKING', 'WALKING_UPSTAIRS', 'WALKING_DOWNSTAIRS', 'SITTING',
           'STANDING', 'LAYING', 'STAND_TO_SIT', 'SIT_TO_STAND', 'SIT_TO_LIE',
           'LIE_TO_SIT', 'STAND_TO_LIE', 'LIE_TO_STAND')
# As the archive splits its windows, Test/subject_id_test.txt.
_TEST_PEOPLE = frozenset((2, 4, 9, 10, 12, 13, 18, 20, 24))
_CLIP = 40 * _RATE
# The rest of a recording is a clip, too, if it is at least this long; a clip
# has the part of an instance in it, if that is at least as long as a snippet.
_LEAST_CLIP = 20 * _RATE
_LEAST_PART = _STRIDE


def snippet_features(samples: np.ndarray) -> np.ndarray:
    """Statistics of the signals in each snippet.

    Args:
        samples (np.ndarray): (S, 6), S >= 25, accelerometer, then gyroscope.

    Returns:
        np.ndarray: Float64 (T, 48): mean, standard deviation, minimum,
        maximum, mean absolute difference of neighbours and last minus first
        value, each of the 6 signals and the magnitudes of both sensors.
    """
    magnitudes = np.linalg.norm(samples.reshape(-1, 2, 3), axis=2)
    signals = np.concatenate([samples, magnitudes], axis=1)
    signals = signals[:len(signals) // _STRIDE * _STRIDE]
    signals = signals.reshape(-1, _STRIDE, 8)
    parts = (signals.mean(1), signals.std(1), signals.min(1), signals.max(1),
             np.abs(np.diff(signals,
                            axis=1)).mean(1), signals[:, -1] - signals[:, 0])
    return np.concatenate(parts, axis=1)


def read_recordings(folder: Path) -> dict[tuple[int, int], np.ndarray]:
    """Samples (S, 6) by experiment and person.

    Raises:
        FileNotFoundError: If a recording lacks the file of one sensor.
        ValueError: If there are none, or one is malformed.
    """
    recordings = {}
    for path in sorted(folder.glob('acc_exp*_user*.txt')):
        numbers = re.fullmatch(r'acc_exp(\d+)_user(\d+)', path.stem)
        if numbers is None:
            continue
        sensors = [
            _read_sensor(path.with_name(path.name.replace('acc', name, 1)))
            for name in ('acc', 'gyro')
        ]
        if len(sensors[0]) != len(sensors[1]):
            raise ValueError(
                f'{path}: {len(sensors[0])} samples, the gyroscope has '
                f'{len(sensors[1])}; copy both again')
        key = int(numbers[1]), int(numbers[2])
        recordings[key] = np.concatenate(sensors, axis=1)
    if not recordings:
        found = sorted(path.name for path in folder.glob('*'))[:5]
        raise ValueError(f'{folder}: expected acc_expXX_userYY.txt, as in the '
                         f'folder RawData of the archive, found {found}')
    return recordings


def _read_sensor(path: Path) -> np.ndarray:
    lines = read_text(path).split('\n')
    try:
        values = np.array([x.split() for x in lines if x.strip()], np.float64)
        if values.ndim != 2 or values.shape[1] != 3 or len(
                values) < _STRIDE or not np.isfinite(values).all():
            raise ValueError(f'found shape {values.shape}')
    except ValueError as error:
        raise ValueError(f'{path}: expected 25 or more rows of 3 finite '
                         f'numbers ({error})') from None
    return values


def read_instances(
        path: Path) -> dict[tuple[int, int], list[tuple[str, int, int]]]:
    """Label, first sample (from 0) and end of each instance, by experiment
    and person.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a row is malformed.
    """
    instances: dict[tuple[int, int], list] = {}
    for number, line in enumerate(read_text(path).split('\n'), 1):
        if not line.strip():
            continue
        try:
            experiment, person, activity, first, last = map(int, line.split())
            if not (1 <= activity <= len(CLASSES) and 1 <= first <= last):
                raise ValueError
        except ValueError:
            raise ValueError(
                f'{path}, line {number}: expected EXPERIMENT PERSON ACTIVITY '
                f'(1 to 12) FIRST LAST, found {line!r:.100}') from None
        instances.setdefault((experiment, person), []).append(
            (CLASSES[activity - 1], first - 1, last))
    return instances


def read(folder: Path) -> tuple[Annotations, dict[str, np.ndarray]]:
    """Annotations and features, float16 (T, 48), of the clips in ``RawData``;
    those without an instance are left out.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If one is malformed, or a recording has no instance.
    """
    recordings = read_recordings(folder)
    instances = read_instances(folder / 'labels.txt')
    alone = sorted(set(recordings) ^ set(instances))
    if alone:
        experiment, person = alone[0]
        raise ValueError(f'{folder}: experiment {experiment} of person '
                         f'{person} has a recording or labels, but not both '
                         f'({len(alone)} such recordings)')
    videos, features = {}, {}
    for (experiment, person), samples in recordings.items():
        for start in range(0, len(samples), _CLIP):
            clip = samples[start:start + _CLIP]
            parts = [(label, max(first - start,
                                 0), min(end - start, len(clip)))
                     for label, first, end in instances[experiment, person]]
            parts = [p for p in parts if p[2] - p[1] >= _LEAST_PART]
            if len(clip) < _LEAST_CLIP or not parts:
                continue
            name = (f'exp{experiment:02d}_user{person:02d}_'
                    f'c{start // _CLIP:02d}')
            features[name] = snippet_features(clip).astype(np.float16)
            videos[name] = Video(
                name, 'test' if person in _TEST_PEOPLE else 'training',
                len(clip) / _RATE,
                np.array([part[1:] for part in parts]) / _RATE,
                [part[0] for part in parts])
    return Annotations(folder / 'labels.txt', 'HAPT raw files', videos,
                       CLASSES), features
