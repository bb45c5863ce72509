"""Files that are written whole or not at all."""
from __future__ import annotations

import os
import resource
from concurrent.futures import ThreadPoolExecutor

import pytest

from mmaction_actiondiff.files import whole_file, write_text


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_when_all_is_written(tmp_path):
    path = tmp_path / 'new' / 'a.txt'
    write_text(path, 'é')
    with pytest.raises(KeyboardInterrupt):
        with whole_file(path) as file:
            file.write(b'half')
            raise KeyboardInterrupt
    assert path.read_text('utf-8') == 'é'
    assert names(path.parent) == ['a.txt']
    mask = os.umask(0o022)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_no_space(tmp_path):
    path = tmp_path / 'a.txt'
    write_text(path, 'kept')
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(ValueError, match=r'a\.txt: cannot be written \('):
            write_text(path, 'x' * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == 'kept'
    assert names(tmp_path) == ['a.txt']


def test_writers_of_one_file_do_not_mix(tmp_path):
    texts = [letter * 100_000 for letter in 'abcd']
    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            list(pool.map(lambda x: write_text(tmp_path / 'x', x), texts))
            assert (tmp_path / 'x').read_text() in texts
    assert names(tmp_path) == ['x']
