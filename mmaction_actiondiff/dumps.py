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
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric

from .files import whole_file

_VERSION = 2
# In the index, this key and [type, *shape] stand for an array.
_ARRAY = '__array__'


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
    parts: dict[str, list[np.ndarray]] = {}

    def pack(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            value = value.detach().cpu()
            value = (value.float()
                     if value.dtype is torch.bfloat16 else value).numpy()
        if isinstance(value, np.generic):
            return value.item()
        if not isinstance(value, np.ndarray) or value.dtype.kind not in 'biuf':
            raise TypeError(f'{path}: {value!r:.100} cannot be dumped')
        kind = value.dtype.newbyteorder('<').str[1:]
        parts.setdefault(kind, []).append(value.ravel())
        return {_ARRAY: [kind, *value.shape]}

    index = dict(
        version=_VERSION,
        classes=list(classes),
        samples=[dict(sample) for sample in samples])
    text = json.dumps(index, default=pack).encode()
    members = {kind: np.concatenate(part) for kind, part in parts.items()}
    with whole_file(path) as file:
        np.savez(file, index=np.frombuffer(text, np.uint8), **members)


def check_name(path: str | os.PathLike) -> None:
    """Refuse a name that does not end in ``.npz``, by a ValueError."""
    if not os.fspath(path).endswith('.npz'):
        raise ValueError(
            f'{os.fspath(path)}: predictions are kept in .npz files, which '
            'run no code when they are read (pickles do): write them with '
            'tools/test.py --dump FILE.npz')


def read_dump(
        path: str | os.PathLike) -> tuple[list[dict[str, Any]], list[str]]:
    """Read what :func:`save_dump` has written, without running any of it.

    Returns:
        tuple[list[dict], list[str]]: The samples, and the names of the
        classes. Arrays and tensors come back as arrays of the same type and
        shape, tuples as lists.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is a pickle, damaged, or no dump.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{path}: there is no such dump; write it '
                                f'with tools/test.py --dump {path}')
    check_name(path)

    def unpack(fields: dict[str, Any]) -> Any:
        if _ARRAY not in fields:
            return fields
        kind, *shape = fields[_ARRAY]
        start = used[kind]
        used[kind] += math.prod(shape)
        return members[kind][start:used[kind]].reshape(shape)

    try:
        with np.load(path, allow_pickle=False) as file:
            members = {name: file[name] for name in file.files}
        used = dict.fromkeys(members, 0)
        index = json.loads(members.pop('index').tobytes(), object_hook=unpack)
        if index['version'] != _VERSION:
            raise ValueError(f"it has version {index['version']}, expected "
                             f'{_VERSION}')
        samples = index['samples']
        if len({sample['video_name'] for sample in samples}) < len(samples):
            raise ValueError('a video stands there twice')
        return samples, [str(name) for name in index['classes']]
    # A damaged archive may raise nearly anything.
    except (ValueError, KeyError, TypeError, AttributeError, OSError, EOFError,
            RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f'{path}: expected a dump of tools/test.py --dump, but {error!r}; '
            'write it again') from error


class DumpPredictions(BaseMetric):
    """Writes the samples of all ranks, each video once, by name.

    Args:
        path (str): The file.
        write (Callable): What writes it, with the arguments of
            :func:`save_dump`.
        curves (bool): Whether samples keep the curves behind their
            proposals, which are large. Defaults to True.
    """
    default_prefix = 'dump'  # of no metric; MMEngine warns without

    def __init__(self,
                 path: str,
                 write: Callable = save_dump,
                 curves: bool = True) -> None:
        super().__init__()
        self.path = path
        self.write = write
        self.left_out = () if curves else ('pred_snippets', )

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps the samples."""
        self.results.extend({
            key: value
            for key, value in sample.items() if key not in self.left_out
        } for sample in data_samples)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Writes the file."""
        unique = {sample['video_name']: sample for sample in results}
        classes = (self.dataset_meta or {}).get('classes', ())
        self.write(self.path, [unique[name] for name in sorted(unique)],
                   classes)
        return {}
