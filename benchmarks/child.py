# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Run a script for as long as the process that started it lives.

    python benchmarks/child.py SCRIPT [ARGUMENT ...]

The starter holds the other end of the standard input. When it ends, however
it ends, the system closes it, and this process group ends, too.
"""
from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def watch() -> None:
    """End with the starter, without a word: it may have been killed."""
    while os.read(0, 1):
        pass
    if hasattr(os, 'killpg'):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == '__main__':
    threading.Thread(target=watch, daemon=True).start()
    del sys.argv[0]
    sys.path[0] = os.path.dirname(sys.argv[0])
    runpy.run_path(sys.argv[0], run_name='__main__')
