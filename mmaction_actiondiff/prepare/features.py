# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Features in the forms in which they are published.

A video is handed over as the list of its streams, each ``(T, D)``, and written
before the next one is read, so memory does not grow with the data set.
"""
from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmaction_actiondiff.annotations import Annotations
from mmaction_actiondiff.files import read_text
from mmaction_actiondiff.safe_npy import stream_feature_arrays
from mmaction_actiondiff.snippets import Sidecar

# A folder or bundle of features, or the array of each video.
Source = Path | Mapping[str, np.ndarray]
# Receives the video's name, its streams (rgb, flow) or [joint], where a str
# tells why there is no array, and the sidecar of each file.
Sink = Callable[[str, list, list[Sidecar]], None]
_STREAMS = ('rgb', 'flow')


def send_features(source: Source, annotations: Annotations,
                  sink: Sink) -> set[str]:
    """Hands the features of the videos of ``annotations`` to ``sink``.

    Args:
        source (Path | Mapping): A folder, in which one file per video and
            stream is looked for (``docs/data.md`` lists the forms; one that
            is itself called ``rgb`` or ``flow`` holds that stream alone), a
            ``*-JOINTFeatures.npy`` bundle: an array per video, in the order
            of the annotations; or the arrays by name.
        annotations (Annotations): Names the videos.
        sink (Callable): See above.

    Returns:
        set[str]: Names in the folder that are of no video.

    Raises:
        FileNotFoundError: If there is nothing at ``source``.
        ValueError: If it is damaged, holds one stream of a video twice, or is
            a bundle of other videos.
    """
    if isinstance(source, Mapping):
        for name, array in source.items():
            sink(name, [array], [])
        return set()
    if source.is_dir():
        files = _find_files(source)
        name, *others = files
        if others or not name.endswith('-JOINTFeatures'):
            return _send_files(files, annotations, sink)
        source = files[name]['joint']
    if not source.is_file():
        raise FileNotFoundError(f'{source}: no such file or folder')
    if source.suffix != '.npy':
        raise ValueError(f'{source}: expected a folder of one file per video, '
                         'or a *-JOINTFeatures.npy bundle')
    order = annotations.order
    if order is None:
        raise ValueError(
            f'{source} is a bundle without video names; --annotations must be '
            f'its *-Annotations folder, found {annotations.layout}')
    mismatch = ValueError(
        f'{source} does not hold {len(order)} arrays, as many as there are '
        'names in videoname.npy: the features belong to another annotation '
        'bundle')

    def receive(index: int, array: np.ndarray) -> None:
        if index >= len(order):
            raise mismatch
        if order[index] in annotations.videos:
            sink(order[index], [array], [])

    if stream_feature_arrays(source, receive) != len(order):
        raise mismatch
    return set()


def _send_files(files: dict[str, dict[str, Path]], annotations: Annotations,
                sink: Sink) -> set[str]:
    keys = {
        name: key
        for name in annotations.videos
        for key in (f'v_{name}', name) if key in files
    }
    for name, key in keys.items():
        try:
            paths = _paths_of(files[key])
            sidecars = [Sidecar.read(path) for path in paths]
            streams = [a for path in paths for a in read_arrays(path)]
        except (ValueError, FileNotFoundError) as error:
            sink(name, [str(error)], [])
        else:
            sink(name, streams, sidecars)
    return files.keys() - keys.values()


def _find_files(root: Path) -> dict[str, dict[str, Path]]:
    """The files of a folder, by name and stream."""
    files: dict[str, dict[str, Path]] = {}
    others: Counter[str] = Counter()
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        if os.path.realpath(folder) in seen:
            folders.clear()  # a link to a folder above
            continue
        seen.add(os.path.realpath(folder))
        for path in (Path(folder, name) for name in sorted(names)):
            if path.suffix.lower() not in _READERS:
                others[path.suffix or path.name] += 1
                continue
            name, _, stream = path.stem.rpartition('_')
            if path.parent.name in _STREAMS and path.parent != root:
                name, stream = path.stem, path.parent.name
            elif not name or stream not in _STREAMS:
                name, stream = path.stem, 'joint'
            streams = files.setdefault(name, {})
            if stream in streams:
                raise ValueError(f'{path} and {streams[stream]} are both the '
                                 f'{stream} features of {name}; remove one')
            streams[stream] = path
    if not files:
        found = ', '.join(f'{n} {s}' for s, n in others.most_common(5))
        raise ValueError(
            f'{root}: expected one file per video ({", ".join(_READERS)}) in '
            f'this folder, found {found or "nothing"}')
    return files


def _paths_of(files: dict[str, Path]) -> list[Path]:
    """The file of a video, or those of its two streams."""
    if 'joint' in files:
        return [files['joint']]
    if len(files) == 2:
        return [files[stream] for stream in _STREAMS]
    (here, path), = files.items()
    absent = 'flow' if here == 'rgb' else 'rgb'
    if path.parent.name == here:
        other = path.parent.parent / absent / path.name
        alone = f'--features {path.parent}'
    else:
        other = path.with_name(
            f'{path.stem.removesuffix(here)}{absent}{path.suffix}')
        alone = f'name them without _{here}'
    raise ValueError(
        f'it has {here} features ({path}) and no {absent} features: expected '
        f'{other}; to use the {here} features alone: {alone}')


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


def _read_numpy(path: Path) -> list[np.ndarray]:
    content = np.load(path, mmap_mode='r', allow_pickle=False)
    if isinstance(content, np.ndarray):
        return [content]
    with content:
        return _pick(dict(content))


def _read_torch(path: Path) -> list[np.ndarray]:
    content = torch.load(path, map_location='cpu', weights_only=True)
    tensors = _pick(content) if isinstance(content, dict) else [content]
    if not all(isinstance(tensor, torch.Tensor) for tensor in tensors):
        raise ValueError(f'expected a tensor, found {type(tensors[0])}')
    return [tensor.detach().numpy() for tensor in tensors]


def _read_csv(path: Path) -> list[np.ndarray]:
    rows = [row for row in csv.reader(read_text(path).splitlines()) if row]
    head = rows[0]
    if not head[0]:  # pandas names all columns but that of the row numbers
        rows = [row[1:] for row in rows]
    try:
        [float(cell) for cell in head]
        # its names of unnamed columns
        named = len(head) > 1 and head == [str(i) for i in range(len(head))]
    except ValueError:
        named = True
    return [np.array(rows[1:] if named else rows, dtype=np.float32)]


def _read_hdf5(path: Path) -> list[np.ndarray]:
    try:
        import h5py
    except ImportError:
        raise ValueError('h5py is not installed: pip install h5py') from None
    with h5py.File(path, 'r') as content:
        return [array[()] for array in _pick(content)]


_READERS: dict[str, Callable[[Path], list[np.ndarray]]] = {
    '.npy': _read_numpy,
    '.npz': _read_numpy,
    '.pt': _read_torch,
    '.pth': _read_torch,
    '.csv': _read_csv,
    '.h5': _read_hdf5,
    '.hdf5': _read_hdf5,
}
