# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Train and evaluate with several seeds; see benchmarks/benchmark.py."""
from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

if __name__ == '__main__':
    if not (ROOT / 'benchmarks').is_dir():
        sys.exit('Error: tools/benchmark.py needs the folder benchmarks/, '
                 'which only a clone of the repository has')
    sys.path.insert(0, str(ROOT))
    from benchmarks.benchmark import main
    sys.exit(main())
