# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Files that are written whole or not at all, and text that is read."""
from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Open a file to write; it appears, or is replaced, when all is written.

    Until then a draft lies beside it, under a name that no other process or
    thread takes. The folder is made where there is none.

    Raises:
        ValueError: If it cannot be written; a file that was there is left.
    """
    path = Path(path)
    draft = path.with_name(f'.{os.getpid()}-{threading.get_ident()}.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(draft, 'wb') as file:
            yield file
        os.replace(draft, path)
    except OSError as error:
        raise ValueError(f'{path}: cannot be written '
                         f'({error.strerror or error}); run again when it '
                         'can: what is there is whole') from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text as UTF-8; see :func:`whole_file`."""
    with whole_file(path) as file:
        file.write(text.encode('utf-8'))


def check_output(path: str,
                 overwrite: bool = True,
                 inputs: Sequence = ()) -> None:
    """Refuse a file that cannot be written, before the work that fills it.

    Nothing is written.

    Raises:
        ValueError: If the file is a folder or its folder cannot be written,
            or if it exists and may not be overwritten, or is one of the
            ``inputs``, which are paths.
    """
    folder = Path(path).absolute().parent
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f'{path} cannot be written: {error.strerror or error}') from error
    if os.path.isdir(path):
        raise ValueError(f'{path} is a folder; name a file')
    for source in inputs:
        if os.path.realpath(path) == os.path.realpath(source):
            raise ValueError(f'{path} is read, and would be overwritten: name '
                             'another file')
    if os.path.exists(path) and not overwrite:
        raise ValueError(f'{path} exists: delete it, or name another file')


def check_file_name(name: str) -> None:
    """Refuses, by a ValueError, names of videos that are no plain names of
    files: these could lie outside their folder."""
    if not name or name in ('.', '..') or set(name) & set('/\\\0'):
        raise ValueError(f'the video name {name!r} cannot be used as a file '
                         'name: it must not hold / or \\ and not be empty, '
                         '"." or ".."')


def read_text(path: str | os.PathLike) -> str:
    """Text of a UTF-8 file, whatever the locale, without a byte order mark.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not UTF-8.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{path}: no such file')
    try:
        return Path(path).read_text('utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{path}: expected text encoded as UTF-8, found the byte '
            f'0x{error.object[error.start]:02x} at position {error.start}; '
            'save it as UTF-8') from None


def load_json(path: str | os.PathLike) -> dict:
    """Reads a json object.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not json, holds another type or has a key
            twice.
    """
    text = read_text(path)
    try:
        content = json.loads(text, object_pairs_hook=_unique)
        # \ud800 to \udfff, of which a pair is one character
        if '\\ud' in text or '\\uD' in text:
            json.dumps(content, ensure_ascii=False).encode('utf-8')
    except RecursionError:
        raise ValueError(f'{path}: the json is nested too deeply') from None
    except ValueError as error:
        raise ValueError(f'{path}: not a complete json file ({error}); '
                         'prepare or copy it again') from None
    if not isinstance(content, dict):
        raise ValueError(f'{path}: expected a json object, found '
                         f'{content!r:.200}')
    return content


def require_object(path: str | os.PathLike, content: dict, key: str) -> dict:
    """``content[key]``, a json object, or a ValueError."""
    found = content.get(key, f'the keys {list(content)[:5]}')
    if not isinstance(found, dict):
        raise ValueError(f'{path}: expected the key "{key}" with a json '
                         f'object, found {found!r:.200}')
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f'the key {key!r} stands there twice')
        content[key] = value
    return content
