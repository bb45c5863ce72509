# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Features in the forms in which they are published.

A source hands over one video at a time, as the list of its streams, each
``(T, D)``: the caller writes it before the next one is read, so memory does
not grow with the data set.
"""
from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmaction_actiondiff.annotations import Annotations, read_text
from mmaction_actiondiff.safe_npy import stream_feature_arrays
from mmaction_actiondiff.sidecar import Sidecar

# Receives the video's name, its streams (rgb, flow) or [joint], where a str
# tells why there is no array, and the sidecar of each file.
Sink = Callable[[str, list, list[Sidecar]], None]
_STREAMS = ('rgb', 'flow')
_SUFFIXES = ('.npy', '.npz', '.pt', '.pth', '.csv', '.h5', '.hdf5')


def open_features(path: Path, annotations: Annotations,
                  transpose: bool) -> FeatureFolder | FeatureBundle:
    """The source of features at ``path``.

    Args:
        path (Path): A folder, see :class:`FeatureFolder`, or a
            ``*-JOINTFeatures.npy`` file, see :class:`FeatureBundle`.
        annotations (Annotations): Names the arrays of a bundle.
        transpose (bool): Whether the arrays are (D, T).

    Raises:
        FileNotFoundError: If there is nothing at ``path``.
        ValueError: If it is not what it should be.
    """
    if path.is_dir():
        return FeatureFolder(path, transpose)
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file or folder')
    if path.suffix != '.npy':
        raise ValueError(f'{path}: expected a folder of one file per video, '
                         'or a *-JOINTFeatures.npy bundle')
    if annotations.order is None:
        raise ValueError(
            f'{path} is a bundle without video names; --annotations must be '
            f'its *-Annotations folder, found {annotations.layout}')
    return FeatureBundle(path, annotations.order, transpose)


class FeatureFolder:
    """A folder, searched to any depth and through links, of one file per
    video and stream.

    Recognised: ``rgb/NAME.npy`` with ``flow/NAME.npy`` (CoLA, UM, BaS-Net,
    ASM-Loc), ``NAME_rgb.npy`` with ``NAME_flow.npy`` (ACRNet), and
    ``NAME.npy`` (both streams joined); instead of ``.npy`` also ``.npz`` and
    ``.pt`` (one array, or ``rgb`` and ``flow``), ``.csv`` and ``.h5``.
    ``NAME`` may be preceded by ``v_``; a folder that is itself called ``rgb``
    or ``flow`` holds that stream alone. A ``NAME.json`` beside a file is its
    sidecar, see :class:`Sidecar`.

    Args:
        root (Path): The folder.
        transpose (bool): Whether the arrays are (D, T).

    Raises:
        ValueError: If it holds no such file or one stream of a video twice.
    """

    def __init__(self, root: Path, transpose: bool = False) -> None:
        self.root = root
        self.transpose = transpose
        self.files: dict[str, dict[str, Path]] = {}
        others: Counter[str] = Counter()
        seen = set()
        for folder, folders, names in os.walk(root, followlinks=True):
            if os.path.realpath(folder) in seen:
                folders.clear()  # a link to a folder above
                continue
            seen.add(os.path.realpath(folder))
            for file_name in sorted(names):
                path = Path(folder, file_name)
                if path.suffix.lower() not in _SUFFIXES:
                    others[path.suffix or file_name] += 1
                    continue
                name, stream = self._split(path)
                streams = self.files.setdefault(name, {})
                if stream in streams:
                    raise ValueError(
                        f'{path} and {streams[stream]} are both the '
                        f'{stream} features of {name}; remove one')
                streams[stream] = path
        if not self.files:
            found = ', '.join(f'{n} {s}' for s, n in others.most_common(5))
            raise ValueError(
                f'{root}: expected one file per video ({", ".join(_SUFFIXES)})'
                f' in this folder, found {found or "nothing"}')

    def _split(self, path: Path) -> tuple[str, str]:
        if path.parent.name in _STREAMS and path.parent != self.root:
            return path.stem, path.parent.name
        name, _, last = path.stem.rpartition('_')
        return (name, last) if name and last in _STREAMS else (path.stem,
                                                               'joint')

    def send(self, names: Iterable[str], sink: Sink) -> set[str]:
        """Sends the videos ``names`` to ``sink``.

        Returns:
            set[str]: The names of the folder that were not asked for.

        Raises:
            ValueError: If all of them lack the same stream.
        """
        keys = {
            name: key
            for name in names
            for key in (name, f'v_{name}')[::-1] if key in self.files
        }
        self._require_both_streams(keys.values())
        for name, key in keys.items():
            try:
                paths = self._paths(self.files[key])
                sidecars = [Sidecar.read(path) for path in paths]
                streams = [a for path in paths for a in read_arrays(path)]
            except (ValueError, FileNotFoundError) as error:
                sink(name, [str(error)], [])
            else:
                sink(name, [a.T if self.transpose else a for a in streams],
                     sidecars)
        return set(self.files) - set(keys.values())

    def _require_both_streams(self, keys: Iterable[str]) -> None:
        for here, absent in (_STREAMS, _STREAMS[::-1]):
            videos = [self.files[key] for key in keys]
            if videos and all(set(streams) == {here} for streams in videos):
                path = videos[0][here]
                alone = (f'--features {path.parent}' if path.parent.name
                         == here else f'name them without _{here}')
                raise ValueError(
                    f'{self.root}: all {len(videos)} videos have {here} '
                    f'features and none has {absent} features: expected '
                    f'{_other_stream(path, here, absent)} beside {path}, and '
                    f'so on. To use the {here} features alone: {alone}')

    @staticmethod
    def _paths(files: dict[str, Path]) -> list[Path]:
        for here, absent in (_STREAMS, _STREAMS[::-1]):
            if 'joint' not in files and absent not in files:
                path = files[here]
                raise ValueError(
                    f'it has {here} features ({path}) and no {absent} '
                    f'features: expected {_other_stream(path, here, absent)}')
        return [files['joint']] if 'joint' in files else [
            files[stream] for stream in _STREAMS
        ]


def _other_stream(path: Path, here: str, absent: str) -> Path:
    """Where the other half of a video's features is to lie."""
    if path.parent.name == here:
        return path.parent.parent / absent / path.name
    return path.with_name(
        f'{path.stem.removesuffix(here)}{absent}{path.suffix}')


def read_arrays(path: Path) -> list[np.ndarray]:
    """Reads the array of a file, or its arrays ``rgb`` and ``flow``.

    Args:
        path (Path): An npy, npz, pt, csv or h5 file. Nothing in it is run.

    Raises:
        ValueError: If it cannot be read, or holds anything else.
    """
    try:
        return _READERS[path.suffix.lower()](path)
    # a damaged file may raise nearly anything
    except Exception as error:
        raise ValueError(f'{path} cannot be read ({error})') from None


def _pick(content: Any) -> list:
    """The only value, or rgb and flow, of a mapping."""
    if set(content) == set(_STREAMS):
        return [content[stream] for stream in _STREAMS]
    if len(content) != 1:
        raise ValueError('expected one array, or rgb and flow, found '
                         f'{sorted(content)[:5]}')
    return [content[key] for key in content]


def _read_npy(path: Path) -> list[np.ndarray]:
    content = np.load(path, mmap_mode='r', allow_pickle=False)
    if not isinstance(content, np.ndarray):
        raise ValueError('expected an array, found an npz archive')
    return [content]


def _read_npz(path: Path) -> list[np.ndarray]:
    with np.load(path, allow_pickle=False) as content:
        return _pick(dict(content))


def _read_torch(path: Path) -> list[np.ndarray]:
    content = torch.load(path, map_location='cpu', weights_only=True)
    tensors = _pick(content) if isinstance(content, dict) else [content]
    if not all(isinstance(tensor, torch.Tensor) for tensor in tensors):
        raise ValueError(f'expected a tensor, found {type(tensors[0])}')
    return [tensor.detach().numpy() for tensor in tensors]


def _read_csv(path: Path) -> list[np.ndarray]:
    rows = [row for row in csv.reader(read_text(path).splitlines()) if row]
    try:
        float(rows[0][0])
    except ValueError:
        rows = rows[1:]  # names of the columns
    return [np.array(rows, dtype=np.float32)]


def _read_hdf5(path: Path) -> list[np.ndarray]:
    try:
        import h5py
    except ImportError:
        raise ValueError('h5py is not installed: pip install h5py') from None
    with h5py.File(path, 'r') as content:
        return [array[()] for array in _pick(content)]


_READERS: dict[str, Callable[[Path], list[np.ndarray]]] = {
    '.npy': _read_npy,
    '.npz': _read_npz,
    '.pt': _read_torch,
    '.pth': _read_torch,
    '.csv': _read_csv,
    '.h5': _read_hdf5,
    '.hdf5': _read_hdf5,
}


class FeatureBundle:
    """``*-JOINTFeatures.npy``: an array per video, without names.

    Args:
        path (Path): The file; see :func:`stream_feature_arrays`.
        order (list[str]): Names of the N videos, in the order of the file.
        transpose (bool): Whether the arrays are (D, T).
    """

    def __init__(self,
                 path: Path,
                 order: list[str],
                 transpose: bool = False) -> None:
        self.path = path
        self.order = order
        self.transpose = transpose

    def send(self, names: Iterable[str], sink: Sink) -> set[str]:
        """Sends the videos ``names`` to ``sink``, in the file's order.

        Returns:
            set[str]: Empty: every array of a bundle has a name.

        Raises:
            ValueError: If the file is damaged, holds anything but arrays,
                or the number of arrays is not that of the names.
        """
        wanted = set(names)
        mismatch = ValueError(
            f'{self.path} does not hold {len(self.order)} arrays, as many as '
            'there are names in videoname.npy: the features belong to '
            'another annotation bundle')

        def receive(index: int, array: np.ndarray) -> None:
            if index >= len(self.order):
                raise mismatch
            if self.order[index] in wanted:
                sink(self.order[index], [array.T if self.transpose else array],
                     [])

        if stream_feature_arrays(self.path, receive) != len(self.order):
            raise mismatch
        return set()
