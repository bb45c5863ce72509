"""Fixtures that every part of the tests may use."""
from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')

import pytest  # noqa: E402
import torch  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
# The tools import each other by name, as scripts of one folder; benchmarks/
# is a package beside them.
sys.path += [str(ROOT / 'tools'), str(ROOT)]


def pytest_configure():
    """Let Ctrl-C reach what the tests start: a shell's background job ignores
    it, and its children would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Skip what needs a GPU where there is none."""
    if not torch.cuda.is_available():
        skip = pytest.mark.skip(reason='needs a CUDA device')
        for item in items:
            if 'gpu' in item.keywords:
                item.add_marker(skip)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Start every test from the same state of torch's generator."""
    torch.manual_seed(0)


@pytest.fixture(scope='session')
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """The folder of real data beside the repository."""
    folder = ROOT.parent / 'shared' / 'data'
    if not folder.is_dir():
        pytest.skip(f'no real data: {folder} does not exist')
    return folder


@pytest.fixture(scope='session')
def demo_root(tmp_path_factory) -> Path:
    """A data set of planted actions, in the files of any other data set."""
    from mmaction_actiondiff.datasets import write_planted_dataset
    folder = tmp_path_factory.mktemp('planted') / 'demo'
    write_planted_dataset(folder)
    return folder
