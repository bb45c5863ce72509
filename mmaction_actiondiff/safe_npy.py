# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Reading ``.npy`` files without running what they contain.

A pickled array (``dtype=object``) can run code when it is loaded, and
``numpy.ndarray`` and ``numpy.dtype`` themselves can be told to build an object
array over raw bytes, which crashes the interpreter. Here the pickle never
calls them: an array gets its data after their type and size have been checked.
"""
from __future__ import annotations

import math
import os
import pickle
import re
from typing import Any

import numpy as np

PathLike = str | os.PathLike
# typeshed does not know the interpreter of pickles that is written in Python;
# the one written in C does not let BUILD be replaced
_PythonUnpickler: Any = pickle._Unpickler  # type: ignore[attr-defined]


def open_feature(path: PathLike) -> np.ndarray:
    """Memory-maps the snippet features of a video: (T, D) with T, D >= 1,
    float16, float32 or float64.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is anything but a complete ``.npy`` file of such an
            array.
    """
    hint = 'expected a (T, D) float array saved with numpy.save'
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{path}: no such feature file')
    try:
        feature = np.load(path, mmap_mode='r', allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        found = 'it holds pickled Python objects' if 'bject' in str(
            error) else error
        raise ValueError(f'{path}: cannot be read ({found}); {hint}. Copy or '
                         'prepare the file again') from None
    if not isinstance(feature, np.ndarray):
        raise ValueError(f'{path}: found an npz archive; {hint}')
    if feature.dtype not in (np.float16, np.float32, np.float64):
        raise ValueError(f'{path}: expected float16, float32 or float64 '
                         f'values, found {feature.dtype}')
    if feature.ndim != 2 or not feature.size:
        raise ValueError(f'{path}: expected (T, D) with T >= 1, found '
                         f'{feature.shape}')
    return feature


def load_object_array(path: PathLike) -> np.ndarray:
    """Loads an ``.npy`` file that may hold pickled Python objects.

    Nothing is allowed in it but numpy arrays, numpy scalars and plain Python
    values (str, bytes, numbers, None, list, tuple, dict, set). The strings of
    files that Python 2 wrote are bytes. The array is of dtype object if it
    was pickled.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a complete ``.npy`` file or holds
            anything else than the above.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{path}: no such file')
    try:
        with open(path, 'rb') as file:
            version = np.lib.format.read_magic(file)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0) else np.lib.format.read_array_header_2_0)
            shape, _, dtype = read(file)
            if not dtype.hasobject:
                return np.load(path, allow_pickle=False)
            # 'bytes' for the pickles of Python 2
            array = _Unpickler(file, encoding='bytes').load()
        if not isinstance(array, np.ndarray) or array.dtype != object:
            raise TypeError('expected an object array, found a '
                            f'{type(array).__name__}')
        if array.shape != shape:
            raise EOFError(f'the header announces an array of shape {shape}, '
                           f'the file holds {array.shape}')
        return array
    # a damaged pickle may raise nearly anything
    except Exception as error:
        raise ValueError(
            f'{path}: expected an .npy file of arrays, numbers, strings and '
            'lists, but it is truncated, damaged or another '
            f'({type(error).__name__}: {error}); get the file anew') from error


def _dtype(code: str | bytes, *_: object) -> np.dtype:
    """Stands for ``numpy.dtype``: names and labels ('U', 'S'), times and
    features ('f', 'i', 'u', 'b'), objects."""
    code = code.decode() if isinstance(code, bytes) else code
    if not re.fullmatch(r'[<>|=]?[fiubSUO]\d*', code):
        raise pickle.UnpicklingError(f'arrays of dtype {code!r} are refused')
    return np.dtype(code, False, True)


def _scalar(dtype: np.dtype, data: bytes) -> Any:
    """Stands for ``numpy.core.multiarray.scalar``."""
    if dtype.hasobject or len(data) != dtype.itemsize:
        raise pickle.UnpicklingError('a scalar has another size than its type')
    return np.ndarray((), dtype, data).item()


class _Unpickler(_PythonUnpickler):
    """Reads arrays, and nothing that could run code."""
    dispatch = dict(_PythonUnpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        if module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
            if name == '_reconstruct':
                return lambda *_: np.empty(0)
            if name == 'scalar':
                return _scalar
        # an argument of _reconstruct alone
        if (module, name) == ('numpy', 'ndarray'):
            return None
        if (module, name) == ('numpy', 'dtype'):
            return _dtype
        # through which Python 3 writes bytes into pickles of protocol 2
        if (module, name) == ('_codecs', 'encode'):
            return lambda text, _: text.encode('latin1')
        raise pickle.UnpicklingError(
            f'the pickle refers to {module}.{name}; only arrays and scalars '
            'of numpy are permitted, since anything else can run code. Do '
            'not load this file')

    def load_build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        set_state: Any = getattr(target, '__setstate__', None)
        if isinstance(target, np.dtype):
            _, order, *parts = state[:5]
            if any(part is not None for part in parts):
                raise pickle.UnpicklingError('structured arrays are refused')
            if order in ('>', b'>'):
                set_state((3, '>', None, None, None, target.itemsize,
                           target.alignment, 0))
        elif isinstance(target, np.ndarray):
            _, shape, dtype, fortran, data = state
            shape = tuple(int(size) for size in shape)
            size = math.prod(shape)
            if dtype.hasobject:
                sound = isinstance(data, list) and len(data) == size and not \
                    any(isinstance(item, np.dtype) for item in data)
            else:
                sound = isinstance(
                    data, bytes) and len(data) == size * dtype.itemsize
            if not sound or min(shape, default=0) < 0:
                raise EOFError('an array has other values than its shape')
            set_state((1, shape, dtype, bool(fortran), data))
        else:
            raise pickle.UnpicklingError('the pickle sets the state of a '
                                         f'{type(target).__name__}')

    dispatch[pickle.BUILD[0]] = load_build
