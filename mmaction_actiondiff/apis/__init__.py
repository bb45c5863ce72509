# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""A trained localizer as a few lines of Python."""
from __future__ import annotations

from .inferencer import ActionDiffInferencer

__all__ = ['ActionDiffInferencer']
