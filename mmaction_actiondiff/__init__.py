# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""ActionDiff and weakly supervised temporal action localization for
MMAction2.

Importing the package registers everything in ``mmaction.registry``.
"""
from __future__ import annotations

__version__ = '0.2.0'

try:
    from . import _compat  # before anything of MMAction2
    from . import (datasets, evaluation, hooks, models, optim, proposals,
                   selection, visualization_hook)
except (ModuleNotFoundError, AssertionError) as error:
    # MMAction2 asserts the version of MMCV.
    name = getattr(error, 'name', None) or 'mmcv'
    if name.split('.')[0] not in ('torch', 'mmengine', 'mmcv', 'mmaction'):
        raise
    raise ImportError(
        f'mmaction_actiondiff needs {name} ({error}). In its folder, type: '
        "pip install '.[openmmlab]'") from error
