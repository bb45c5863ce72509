# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""SHREC'21 hand-gesture recordings, from the track's raw files.

A recording is a text file with a row per frame at 50 fps, numbers separated
by semicolons; the last 140 of a row are position (x, y, z) and orientation (a
quaternion x, y, z, w) of 20 joints of a hand: the palm, 3 of the thumb, 4 of
each other finger. An annotation file has a row per recording: its number,
then LABEL;FIRST FRAME;LAST FRAME of each gesture, counted from 1.

Dimension legend: F frames, T = floor(F / 5) snippets of 0.1 s.
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mmaction_actiondiff.annotations import Annotations, Video
from mmaction_actiondiff.files import read_text
from mmaction_actiondiff.snippets import SnippetGrid

from .report import DataSet

_FPS, _STRIDE = 50, 5
SHREC21 = DataSet(
    name="SHREC'21",
    subsets=dict(training='training', test='test'),
    grid=SnippetGrid(_STRIDE / _FPS),
    channels=244,
    num_classes=17,
    expected=dict(training=[(108, None)], test=[(72, None)]))
# Start of the first gesture of the first training recording in seconds. It
# tells whether the frame FIRST starts at FIRST / 50 or at (FIRST - 1) / 50.
_FIRST_START = 13.38


def snippet_features(frames: np.ndarray) -> np.ndarray:
    """Pose and motion of a hand: (F, >= 140), F >= 5, -> (T, 244) float64.

    They are mean and standard deviation over the frames of a snippet of the
    *pose* (the joints in the frame of the palm, 57, and the palm's
    orientation, 4), then of the *motion* (velocity of the palm, 3, its speed,
    1, and the velocities of the joints in the frame of the palm, 57).
    """
    joints = frames[:, -140:].reshape(-1, 20, 7)
    position = joints[..., :3]
    palm = joints[:, 0, 3:]
    palm = palm / np.linalg.norm(palm, axis=1, keepdims=True)
    # rotation by the inverse quaternion
    axis, real = -palm[:, None, :3], palm[:, 3, None, None]
    relative = position[:, 1:] - position[:, :1]
    turned = 2 * np.cross(axis, relative)
    local = (relative + real * turned + np.cross(axis, turned)).reshape(
        len(frames), 57)
    # q and -q are the same orientation
    orientation = palm * np.sign(palm[:, 3:] + 1e-9)
    velocity = np.gradient(position[:, 0], axis=0) * _FPS
    speed = np.linalg.norm(velocity, axis=1, keepdims=True)
    motion = [velocity, speed, np.gradient(local, axis=0) * _FPS]
    parts = []
    for stream in ([local, orientation], motion):
        values = np.concatenate(stream, axis=1)
        values = values[:len(values) // _STRIDE * _STRIDE]
        values = values.reshape(-1, _STRIDE, values.shape[1])
        parts += [values.mean(1), values.std(1)]
    return np.concatenate(parts, axis=1)


def read_recordings(folder: Path, subset: str) -> dict[str, np.ndarray]:
    """Frames (F, D) of the recordings ``NUMBER.txt`` of a folder, by name
    (``training_001``).

    Raises:
        ValueError: If there are none, or one is malformed.
    """
    recordings = {}
    for path in sorted(folder.glob('*.txt')):
        number = re.fullmatch(r'\D*(\d+)', path.stem)
        if number is None:
            continue
        try:
            rows = [[float(x) for x in line.split(';') if x.strip()]
                    for line in read_text(path).split('\n') if line.strip()]
            frames = np.array(rows)
            if frames.ndim != 2 or frames.shape[1] < 140 or len(
                    frames) < _STRIDE or not np.isfinite(frames).all():
                raise ValueError(f'found shape {frames.shape}')
        except ValueError as error:
            raise ValueError(
                f'{path}: expected 5 or more rows of at least 140 finite '
                f'numbers, separated by semicolons ({error})') from None
        recordings[f'{subset}_{int(number[1]):03d}'] = frames
    if not recordings:
        raise ValueError(f'{folder}: expected recordings NUMBER.txt, found '
                         f'{sorted(p.name for p in folder.glob("*"))[:5]}')
    return recordings


def read_gestures(path: Path, subset: str) -> dict[str, list]:
    """[label, first frame, last frame] of each gesture by recording.

    Raises:
        ValueError: If a row is malformed.
    """
    gestures = {}
    for number, line in enumerate(read_text(path).split('\n'), 1):
        name, *fields = [x.strip()
                         for x in line.split(';') if x.strip()] or ['']
        if not name:
            continue
        try:
            items = [[fields[i],
                      int(fields[i + 1]),
                      int(fields[i + 2])] for i in range(0, len(fields), 3)]
            gestures[f'{subset}_{int(name):03d}'] = items
        except (ValueError, IndexError):
            raise ValueError(f'{path}, line {number}: expected NUMBER, then '
                             'LABEL;FIRST;LAST of each gesture, found '
                             f'{line!r:.100}') from None
    return gestures


def read(
    paths: Mapping[str, tuple[Path, Path]]
) -> tuple[Annotations, dict[str, np.ndarray]]:
    """Annotations and features, float16 (T, 244), standardised with the
    training recordings and clipped to [-5, 5].

    Args:
        paths (Mapping): Folder of recordings and file of annotations for the
            subsets ``'training'`` and ``'test'``.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If one is malformed, or a recording has no annotation.
    """
    frames: dict[str, np.ndarray] = {}
    gestures: dict[str, list] = {}
    for subset, (folder, path) in paths.items():
        frames.update(read_recordings(folder, subset))
        gestures.update(read_gestures(path, subset))
    missing = sorted(set(frames) ^ set(gestures))
    if missing:
        raise ValueError(f'{missing[0]} has a recording or an annotation, but '
                         f'not both ({len(missing)} such recordings)')
    first = gestures.get('training_001', [['', 0, 0]])[0][1]
    shift = first - round(_FIRST_START * _FPS)
    if shift not in (0, 1):
        raise ValueError(
            f'{paths["training"][1]}: the first gesture of recording 1 starts '
            f'at frame {first}, expected 669 or 670 ({_FIRST_START} s): are '
            'these the revised annotations?')
    features = {name: snippet_features(rows) for name, rows in frames.items()}
    training = np.concatenate(
        [x for name, x in features.items() if name.startswith('training')])
    mean, scale = training.mean(0), training.std(0) + 1e-4
    videos = {}
    for name, values in features.items():
        values = np.clip((values - mean) / scale, -5, 5)
        features[name] = values.astype(np.float16)
        videos[name] = Video(
            name,
            name.rpartition('_')[0],
            len(frames[name]) / _FPS,
            np.array([[(start - shift) / _FPS, end / _FPS]
                      for _, start, end in gestures[name]]).reshape(-1, 2),
            [label for label, *_ in gestures[name]])
    return Annotations(
        paths['training'][1],
        "SHREC'21 raw files",
        videos,
        stream_channels=[122, 122]), features
