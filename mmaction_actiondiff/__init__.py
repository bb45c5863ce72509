"""ActionDiff and weakly supervised temporal action localization for
MMAction2.

Importing the package registers everything in ``mmaction.registry``.
"""
from __future__ import annotations

__version__ = '0.1.0'

from . import _compat  # noqa: F401  (before anything of MMAction2)
from . import (datasets, evaluation, hooks, models, proposals,  # noqa: F401
               visualization_hook)
