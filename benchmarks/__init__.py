# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""The laboratory: comparisons over seeds, and speed.

It needs a clone of the repository; no package holds it. Run its modules from
the root of the clone: ``python -m benchmarks.speed``.
"""
from __future__ import annotations

from pathlib import Path

#: Root of the clone.
ROOT = Path(__file__).resolve().parents[1]
