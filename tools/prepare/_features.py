"""Features in the forms in which they are published.

A source hands over one video at a time, as the list of its streams, each
``(T, D)``: the caller writes it before the next one is read, so memory does
not grow with the data set.
"""
from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import BinaryIO, Callable

import numpy as np

# receives the video's name and its streams (rgb, flow) or [joint]
Sink = Callable[[str, list], None]


class FeatureFolder:
    """A folder, searched to any depth, of per-video npy files.

    Recognised: ``rgb/NAME.npy`` with ``flow/NAME.npy`` (CoLA, UM, BaS-Net,
    ASM-Loc), ``NAME_rgb.npy`` with ``NAME_flow.npy`` (ACRNet), and
    ``NAME.npy`` (both streams joined). ``NAME`` may be preceded by ``v_``.

    Args:
        root: The folder.

    Raises:
        ValueError: If it holds no npy file or one stream of a video twice.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: dict[str, dict[str, Path]] = {}
        for folder, _, names in os.walk(root):
            for file_name in names:
                if not file_name.endswith('.npy'):
                    continue
                path = Path(folder, file_name)
                name, stream = self._split(path)
                streams = self.files.setdefault(name, {})
                if stream in streams:
                    raise ValueError(
                        f'{path} and {streams[stream]} are both the '
                        f'{stream} features of {name}; remove one')
                streams[stream] = path
        if not self.files:
            raise ValueError(f'{root}: no .npy file in this folder')

    @staticmethod
    def _split(path: Path) -> tuple[str, str]:
        if path.parent.name in ('rgb', 'flow'):
            return path.stem, path.parent.name
        name, _, last = path.stem.rpartition('_')
        if name and last in ('rgb', 'flow'):
            return name, last
        return path.stem, 'joint'

    def send(self, names: list[str], sink: Sink) -> set[str]:
        """Sends the videos ``names`` to ``sink``.

        Returns:
            The names of the folder that were not asked for.
        """
        unused = set(self.files)
        for name in names:
            key = name if name in self.files else f'v_{name}'
            if key not in self.files:
                continue
            unused.discard(key)
            sink(name, [self._open(p) for p in self._streams(key)])
        return unused

    def _streams(self, key: str) -> list[Path | str]:
        streams = self.files[key]
        if 'joint' in streams:
            return [streams['joint']]
        return [
            streams.get(
                stream, f'no {stream} features beside the '
                f'{"flow" if stream == "rgb" else "rgb"} ones')
            for stream in ('rgb', 'flow')
        ]

    @staticmethod
    def _open(path: Path | str) -> np.ndarray | str:
        # a str tells the sink why there is no array
        if isinstance(path, str):
            return path
        try:
            return np.load(path, mmap_mode='r', allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            return f'{path} cannot be read ({error})'


class FeatureBundle:
    """``*-JOINTFeatures.npy``: a pickled object array of one ``(T, D)``
    array per video, without names.

    A pickle can run code when it is loaded, and ``numpy.load`` would hold
    the file's data twice. Here it is interpreted with nothing permitted in
    it but numpy arrays, and each array is handed over, and forgotten, as
    soon as its bytes have been read.

    Args:
        path: The file. A plain ``(N, T, D)`` array is accepted as well.
        order: Names of the N videos, in the order of the file.
    """

    def __init__(self, path: Path, order: list[str]) -> None:
        self.path = path
        self.order = order

    def send(self, names: list[str], sink: Sink) -> set[str]:
        """Sends the videos ``names`` to ``sink``, in the file's order.

        Returns:
            The empty set: every array of a bundle has a name.

        Raises:
            ValueError: If the file is damaged, holds anything but arrays,
                or the number of arrays is not that of the names.
        """
        wanted = set(names)

        def receive(index: int, array: np.ndarray | str) -> None:
            if index < len(self.order) and self.order[index] in wanted:
                sink(self.order[index], [array])

        with open(self.path, 'rb') as file:
            try:
                shape, dtype = _read_header(file)
            except ValueError as error:
                raise ValueError(
                    f'{self.path}: not an npy file ({error})') from None
            if shape[:1] != (len(self.order), ):
                raise ValueError(
                    f'{self.path} holds an array of shape {shape}, expected '
                    f'({len(self.order)},) as in videoname.npy: the features '
                    'belong to another annotation bundle')
            if dtype == object:
                reader = _ArrayUnpickler(file, receive)
                try:
                    total = reader.read_all()
                except pickle.UnpicklingError as error:
                    raise ValueError(f'{self.path}: {error}') from None
                except (EOFError, IndexError, KeyError, TypeError,
                        AttributeError, OverflowError, ValueError) as error:
                    raise ValueError(
                        f'{self.path} is truncated or damaged after '
                        f'{reader.count} of {len(self.order)} arrays '
                        f'({type(error).__name__}: {error}); what came '
                        'before is written: get the file anew and run '
                        'again') from error
                if total != len(self.order):
                    raise ValueError(
                        f'{self.path} holds {total} arrays, expected '
                        f'{len(self.order)}')
                return set()
        for index, array in enumerate(np.load(self.path, mmap_mode='r')):
            receive(index, array)
        return set()


def _read_header(file: BinaryIO) -> tuple[tuple, np.dtype]:
    version = np.lib.format.read_magic(file)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0) else np.lib.format.read_array_header_2_0)
    shape, _, dtype = read(file)
    return shape, dtype


class _PickledType:
    """Stands for ``numpy.dtype`` in the pickle."""
    __slots__ = ('dtype', )

    def __init__(self, code: str | bytes, *_: object) -> None:
        code = code.decode() if isinstance(code, bytes) else code
        if code[:1] not in ('f', 'O'):
            raise pickle.UnpicklingError(
                f'expected arrays of floats, found dtype {code!r}')
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        order = state[1]
        order = order.decode() if isinstance(order, bytes) else order
        if order in ('<', '>'):
            self.dtype = self.dtype.newbyteorder(order)


class _Encoded(bytes):
    """Stands for ``_codecs.encode``, through which Python 3 writes bytes
    into pickles of protocol 2."""

    def __new__(cls, text: str, encoding: str) -> _Encoded:
        return super().__new__(cls, text, 'latin1')


class _Memo(dict):
    """The unpickler's memory of objects that may be referred to again,
    without the arrays' bytes and the states that hold them."""
    limit = 1 << 12

    def __setitem__(self, key: int, value: object) -> None:
        held = value if isinstance(value, tuple) else (value, )
        if any(
                isinstance(item, (bytes, bytearray,
                                  str)) and len(item) > self.limit
                for item in held):
            value = None
        super().__setitem__(key, value)


class _ArrayUnpickler(pickle._Unpickler):  # type: ignore[name-defined]
    """Reads a pickled object array of float arrays, one after the other.

    The interpreter written in Python is used because the one written in C
    keeps every object that it has read until the end.

    Args:
        file: Open behind the npy header.
        receive: Called with the index of each array and the array.
    """

    def __init__(self, file: BinaryIO, receive: Callable) -> None:
        # 'bytes' for the pickles of Python 2
        super().__init__(file, encoding='bytes')
        self.memo = _Memo()
        self.count = 0
        reader = self

        class PickledArray:
            """Stands for an array that is being rebuilt."""
            __slots__ = ('index', 'items')

            def __init__(self, *_: object) -> None:
                self.index = -1
                self.items: list | None = None

            def __setstate__(self, state: tuple) -> None:
                _, shape, kind, fortran, data = state
                if kind.dtype == object:
                    self.items = data
                    return
                if len(data) != np.prod(shape) * kind.dtype.itemsize:
                    raise EOFError('an array is shorter than its shape')
                self.index = reader.position()
                receive(
                    self.index,
                    np.ndarray(
                        shape, kind.dtype, data, order='FC'[not fortran]))
                reader.count += 1

        self.allowed: dict[tuple[str, str], object] = {
            ('numpy', 'ndarray'): 'ndarray',
            ('numpy', 'dtype'): _PickledType,
            ('_codecs', 'encode'): _Encoded,
        }
        for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
            self.allowed[module, '_reconstruct'] = PickledArray

    def find_class(self, module: str, name: str) -> object:
        try:
            return self.allowed[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f'the pickle refers to {module}.{name}; only numpy arrays '
                'are permitted, since anything else can run code. Do not '
                'load this file') from None

    def position(self) -> int:
        """Index, in the outer list, of the array on top of the stack."""
        if len(self.stack) > 1 and isinstance(self.stack[-2], list):
            return len(self.stack[-2])  # appended alone
        # appended with others, which are on the stack up to the mark
        return len(self.metastack[-1][-1]) + len(self.stack) - 1

    def read_all(self) -> int:
        """Reads to the end and returns the number of elements."""
        items = getattr(self.load(), 'items', None)
        if not isinstance(items, list):
            raise pickle.UnpicklingError('expected an object array')
        for index, item in enumerate(items):
            # None: the maker had no features for this video
            if item is not None and getattr(item, 'index', None) != index:
                raise pickle.UnpicklingError(
                    f'element {index} is not a float array of its own but '
                    f'{type(item).__name__}; the others are written')
        return len(items)
