# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Files that are written whole or not at all, and can be."""
from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO


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
