# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Bringing published features and annotations into one layout.

``ROOT/annotations.json`` is in the ActivityNet schema, ``ROOT/features/
NAME.npy`` is (T, D), one row per snippet; see ``docs/data.md``.
"""
from __future__ import annotations

from .check import check
from .command import make_parser, read_source, run
from .known import THUMOS14, activitynet, add_subsets, custom, train_command
from .report import DataSet, Report
from .write import prepare

__all__ = [
    'DataSet', 'Report', 'THUMOS14', 'activitynet', 'add_subsets', 'check',
    'custom', 'make_parser', 'prepare', 'read_source', 'run', 'train_command'
]
