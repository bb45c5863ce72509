"""The laboratory: comparisons over seeds, speed, and why the mAP moved.

It needs a clone of the repository; no package holds it. Run its modules from
the root of the clone: ``python -m benchmarks.speed``.
"""
from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Iterator

#: Root of the clone.
ROOT = Path(__file__).resolve().parents[1]


class BenchmarkError(ValueError):
    """What a user can mend; the message says how."""


@contextlib.contextmanager
def command() -> Iterator[None]:
    """Run a command: end with the message alone where it explains itself."""
    from mmaction_actiondiff import cli
    try:
        with cli.command():
            yield
    except BenchmarkError as error:
        sys.exit(f'Error: {error}')
