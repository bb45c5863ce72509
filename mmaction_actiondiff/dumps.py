# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Predictions on disk, in files that cannot run code.

A dump is one ``.npz`` file without pickles: all arrays of one type stand one
behind the other in a member of their own, and the member ``index``, a json
text, says which of them belongs where.
"""
from __future__ import annotations

import json
import math
import os
import zipfile
import zlib
from typing import Any, Callable, Mapping, Sequence

import numpy as np
import torch
from mmengine.evaluator import BaseMetric

from .files import whole_file

_VERSION = 1


def _encode(value: Any, place: str, parts: dict[str, list]) -> Any:
    """``value`` as json, its arrays moved into ``parts`` by type."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = (value.float()
                 if value.dtype is torch.bfloat16 else value).numpy()
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in 'biuf':
            raise TypeError(f'{place}: an array of {value.dtype} cannot be '
                            'dumped, only numbers and booleans')
        kind = value.dtype.newbyteorder('<').str[1:]
        part = parts.setdefault(kind, [])
        part.append(value.ravel())
        return dict(array=[kind, *value.shape])
    if isinstance(value, Mapping):
        if any(not isinstance(key, str) for key in value):
            raise TypeError(f'{place}: names must be strings')
        return dict(fields={
            k: _encode(v, f'{place}.{k}', parts)
            for k, v in value.items()
        })
    if isinstance(value, (list, tuple)):
        return [
            _encode(v, f'{place}[{i}]', parts) for i, v in enumerate(value)
        ]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f'{place}: a {type(value).__name__} cannot be dumped')


def save_dump(path: str | os.PathLike, samples: Sequence[Mapping[str, Any]],
              classes: Sequence[str]) -> None:
    """Write predictions, whole or not at all.

    Args:
        path (str | PathLike): A file that ends in ``.npz``; it is replaced if
            it exists.
        samples (Sequence[Mapping]): One per video, of arrays, tensors,
            numbers, strings, None, and lists and dicts of these.
        classes (Sequence[str]): Names of the classes in the order of the
            labels.

    Raises:
        ValueError: If ``path`` does not end in ``.npz``, or cannot be written.
        TypeError: If a sample holds anything else.
    """
    check_name(path)
    parts: dict[str, list] = {}
    index = dict(
        version=_VERSION,
        classes=list(classes),
        samples=[
            _encode(dict(sample), str(sample.get('video_name', i)), parts)
            for i, sample in enumerate(samples)
        ])
    members = {kind: np.concatenate(part) for kind, part in parts.items()}
    text = json.dumps(index).encode()
    with whole_file(path) as file:
        np.savez(file, index=np.frombuffer(text, np.uint8), **members)


def check_name(path: str | os.PathLike) -> None:
    """Refuse the name of a file that is no dump.

    Raises:
        ValueError: If it does not end in ``.npz``.
    """
    if not os.fspath(path).endswith('.npz'):
        raise ValueError(
            f'{os.fspath(path)}: predictions are kept in .npz files, which '
            'run no code when they are read (pickles do): write them with '
            'tools/test.py --dump FILE.npz')


def _read(path: str | os.PathLike) -> tuple[dict, dict[str, np.ndarray]]:
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{path}: there is no such dump; write it '
                                f'with tools/test.py --dump {path}')
    check_name(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            members = {name: file[name] for name in file.files}
        index = json.loads(members.pop('index').tobytes())
        if index['version'] != _VERSION:
            raise ValueError(f"it has version {index['version']}, expected "
                             f'{_VERSION}')
        index['classes'] = [str(name) for name in index['classes']]
        return index, members
    # A damaged archive may raise nearly anything.
    except (ValueError, KeyError, TypeError, OSError, EOFError, RuntimeError,
            NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f'{path}: expected a dump of tools/test.py --dump, but {error!r}; '
            'write it again') from error


def load_dump(path: str | os.PathLike) -> list[dict[str, Any]]:
    """Read what :func:`save_dump` has written, without running any of it.

    Returns:
        list[dict]: One per video. Arrays and tensors come back as arrays of
        the same type and shape, tuples as lists.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is a pickle, damaged, or no dump.
    """
    index, members = _read(path)
    place = dict.fromkeys(members, 0)

    def decode(value: Any) -> Any:
        if isinstance(value, list):
            return [decode(item) for item in value]
        if not isinstance(value, dict):
            return value
        if 'fields' in value:
            return {k: decode(v) for k, v in value['fields'].items()}
        kind, *shape = value['array']
        start = place[kind]
        place[kind] += math.prod(shape)
        return members[kind][start:place[kind]].reshape(shape)

    try:
        samples = [decode(sample) for sample in index['samples']]
        names = [sample['video_name'] for sample in samples]
    except (ValueError, KeyError, TypeError, AttributeError,
            RecursionError) as error:
        raise ValueError(f'{os.fspath(path)}: the arrays do not fit the index '
                         f'({error!r}); write the dump again') from error
    if len(set(names)) < len(names):
        raise ValueError(f'{os.fspath(path)}: a video stands there twice; '
                         'write the dump again')
    return samples


def load_classes(path: str | os.PathLike) -> list[str]:
    """Names of the classes of a dump, in the order of its labels.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is a pickle, damaged, or no dump.
    """
    return _read(path)[0]['classes']


class DumpPredictions(BaseMetric):
    """Writes the samples of all ranks, each video once, by name.

    Args:
        path (str): The file.
        write (Callable): What writes it, with the arguments of
            :func:`save_dump`.
    """
    default_prefix = 'dump'  # of no metric; MMEngine warns without

    def __init__(
        self,
        path: str,
        write: Callable[[str, list, Sequence[str]],
                        object] = save_dump) -> None:
        super().__init__()
        self.path = path
        self.write = write

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps the samples."""
        self.results.extend(data_samples)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Writes the file."""
        unique = {sample['video_name']: sample for sample in results}
        classes = (self.dataset_meta or {}).get('classes', ())
        self.write(self.path, [unique[name] for name in sorted(unique)],
                   classes)
        return {}
