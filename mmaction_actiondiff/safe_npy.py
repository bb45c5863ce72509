# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Reading ``.npy`` files without running what they contain.

A pickled array (``dtype=object``) can run code when it is loaded, and
``numpy.ndarray`` and ``numpy.dtype`` themselves can be told to build an object
array over raw bytes, which crashes the interpreter. Here the pickle never
touches them: placeholders take its data, and arrays are made from these after
their type and size have been checked.
"""
from __future__ import annotations

import math
import os
import pickle
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

PathLike = str | os.PathLike
# Names and labels ('U', 'S'), times and features ('f', 'i', 'u', 'b').
_KINDS = 'fiubSUO'
# typeshed does not know the interpreter of pickles that is written in Python
_PythonUnpickler: Any = pickle._Unpickler  # type: ignore[attr-defined]
# Longer values are not kept for a second mention in the pickle.
_MEMO_LIMIT = 1 << 12


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
    except Exception as error:  # a damaged header may raise nearly anything
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
    return _load(path, None)


def stream_feature_arrays(path: PathLike, receive: Callable[[int, np.ndarray],
                                                            None]) -> int:
    """Hands over the arrays of a feature bundle one by one.

    Args:
        path (str | PathLike): An ``.npy`` file: an object array of one float
            array (T, D) per video (None: no features), or an array
            (N, T, D). Memory holds one video at a time.
        receive (Callable): Called with the index and the array of each.

    Returns:
        int: N, the number of videos.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged or holds anything else; what came
            before has been handed over.
    """
    array = _load(path, receive)
    if array.dtype != object:
        for index, item in enumerate(array):
            receive(index, item)
    return len(array)


def _load(path: PathLike, receive: Callable | None) -> np.ndarray:
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{path}: no such file')
    reader = None
    try:
        with open(path, 'rb') as file:
            version = np.lib.format.read_magic(file)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0) else np.lib.format.read_array_header_2_0)
            shape, _, dtype = read(file)
            if not dtype.hasobject:
                return np.load(
                    path,
                    mmap_mode='r' if receive else None,
                    allow_pickle=False)
            reader = _Unpickler(file, receive)
            array = reader.load_array()
    # a damaged pickle may raise nearly anything
    except Exception as error:
        if reader and error is reader.failure:
            raise
        if isinstance(error, _Refused):
            raise ValueError(f'{path}: {error}') from None
        read_before = f' after {reader.count} arrays' if receive and reader \
            else ''
        raise ValueError(
            f'{path}: expected an .npy file of arrays, numbers, strings and '
            f'lists, but it is truncated or damaged{read_before} '
            f'({type(error).__name__}: {error}); get the file anew') from error
    if array.shape != shape:
        raise ValueError(f'{path}: the header announces an array of shape '
                         f'{shape}, the file holds {array.shape}')
    return array


class _Refused(pickle.UnpicklingError):
    """What the pickle asks for is not allowed in it."""


class _Dtype:
    """Stands for ``numpy.dtype``."""

    def __init__(self, code: str | bytes, *_: object) -> None:
        code = code.decode() if isinstance(code, bytes) else code
        if code.lstrip('<>|=')[:1] not in tuple(_KINDS):
            raise _Refused(f'arrays of dtype {code!r} are not allowed')
        self.dtype = np.dtype(code)

    def set_state(self, state: tuple) -> None:
        _, order, subdtype, names, fields = state[:5]
        order = order.decode() if isinstance(order, bytes) else order
        if subdtype is not None or names or fields:
            raise _Refused('structured arrays are not allowed')
        if order == '>':
            self.dtype = self.dtype.newbyteorder('>')


class _Array:
    """Stands for an array that is being rebuilt."""

    def __init__(self, reader: _Unpickler) -> None:
        self.reader = reader
        self.value: np.ndarray | list | None = None
        self.index = -1

    def set_state(self, state: tuple) -> None:
        _, shape, kind, fortran, data = state
        dtype = kind.dtype
        self.shape = tuple(int(size) for size in shape)
        if min(self.shape, default=0) < 0:
            raise _Refused(f'an array has the shape {self.shape}')
        size = math.prod(self.shape)
        if dtype.hasobject:
            if not isinstance(data, list) or len(data) != size:
                raise EOFError('an array has other values than its shape')
            self.value = data
            return
        if not isinstance(data, (bytes, bytearray)) or \
                len(data) != size * dtype.itemsize:
            raise EOFError('an array is shorter than its shape')
        array = np.ndarray(
            self.shape, dtype, data, order='F' if fortran else 'C')
        if self.reader.receive is None:
            self.value = array
            return
        if dtype.kind != 'f':
            raise _Refused(f'expected arrays of floats, found {dtype}')
        self.index = self.reader.position()
        self.reader.hand_over(self.index, array)


class _Memo(dict):
    """The unpickler's memory of what may be mentioned again, without the
    arrays' bytes and the states that hold them."""

    def __setitem__(self, key: int, value: object) -> None:
        held = value if isinstance(value, tuple) else (value, )
        large = any(
            isinstance(item, (bytes, bytearray,
                              str)) and len(item) > _MEMO_LIMIT
            for item in held)
        super().__setitem__(key, None if large else value)


def _scalar(kind: _Dtype, data: bytes) -> Any:
    """Stands for ``numpy.core.multiarray.scalar``."""
    if kind.dtype.hasobject or len(data) != kind.dtype.itemsize:
        raise _Refused('a scalar has another size than its type')
    return np.ndarray((), kind.dtype, data).item()


class _Unpickler(_PythonUnpickler):
    """Reads arrays, and nothing that could run code.

    The interpreter written in Python is used because it permits a memo of our
    own: the one written in C keeps every object that it has read until the
    end, hence all of a feature bundle.
    """
    dispatch = dict(_PythonUnpickler.dispatch)

    def __init__(self, file: BinaryIO, receive: Callable | None) -> None:
        # 'bytes' for the pickles of Python 2
        super().__init__(file, encoding='bytes')
        self.memo = _Memo()
        self.receive = receive
        self.count = 0
        self.failure: Exception | None = None

    def hand_over(self, index: int, array: np.ndarray) -> None:
        try:
            self.receive(index, array)  # type: ignore[misc]
        except Exception as error:  # the receiver's, not the file's
            self.failure = error
            raise
        self.count += 1

    def find_class(self, module: str, name: str) -> Any:
        if module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
            if name == '_reconstruct':
                return lambda *_: _Array(self)
            if name == 'scalar':
                return _scalar
        # an argument of _reconstruct alone
        if (module, name) == ('numpy', 'ndarray'):
            return None
        if (module, name) == ('numpy', 'dtype'):
            return _Dtype
        # through which Python 3 writes bytes into pickles of protocol 2
        if (module, name) == ('_codecs', 'encode'):
            return lambda text, _: text.encode('latin1')
        raise _Refused(
            f'the pickle refers to {module}.{name}; only arrays and scalars '
            'of numpy are permitted, since anything else can run code. Do '
            'not load this file')

    def load_build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if not isinstance(target, (_Array, _Dtype)):
            raise _Refused(f'the pickle sets the state of a '
                           f'{type(target).__name__}')
        target.set_state(state)

    dispatch[pickle.BUILD[0]] = load_build

    def position(self) -> int:
        """Index, in the outer list, of the array on top of the stack."""
        if len(self.stack) > 1 and isinstance(self.stack[-2], list):
            return len(self.stack[-2])  # appended alone
        # appended with others, which are on the stack up to the mark
        return len(self.metastack[-1][-1]) + len(self.stack) - 1

    def load_array(self) -> np.ndarray:
        outer = self.load()
        if not isinstance(outer, _Array) or not isinstance(outer.value, list):
            raise _Refused('expected an object array, found a '
                           f'{type(outer).__name__}')
        if self.receive is None:
            return _plain(outer)
        for index, item in enumerate(outer.value):
            # None: the maker had no features for this video
            if item is not None and getattr(item, 'index', None) != index:
                raise _Refused(f'element {index} is not a float array of its '
                               f'own but {type(item).__name__}')
        return np.empty(outer.shape, object)


def _plain(value: Any) -> Any:
    """``value`` with arrays in the place of placeholders."""
    if isinstance(value, _Array):
        if not isinstance(value.value, list):
            return value.value
        array = np.empty(len(value.value), object)
        for index, item in enumerate(value.value):
            array[index] = _plain(item)
        return array.reshape(value.shape)
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, _Dtype):
        raise _Refused('found a dtype among the values')
    return value
