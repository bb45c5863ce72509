"""Cures for defects of released upstream packages.

This is the only module that knows about them. Every cure does nothing where
the defect is absent, may be applied twice, and leaves a healthy (for example
a source) installation of MMAction2 as it is. :func:`apply` runs them all; it
is called when the package is imported.

==========================  ===============================================
defect                      cure
==========================  ===============================================
The mmaction2 1.2.0 wheel   a stand-in, asked only when the real package is
lacks ``localizers/drn``    nowhere, whose DRN explains itself when built
``importlib_metadata`` is   the same, filled from the standard library
an undeclared dependency
setuptools 82 dropped       the same; importing it says what to install
``pkg_resources``
NumPy 2.4 dropped           ``numpy.trapz = numpy.trapezoid``
``numpy.trapz``
torch 2.6 refuses the       a refusal with an explanation, and an explicit
checkpoints of MMEngine     way to say that the file is trusted
==========================  ===============================================

Checkpoints that :class:`~mmaction_actiondiff.hooks.PlainCheckpointHook` has
written need no such trust.
"""
from __future__ import annotations

import functools
import importlib.metadata
import os
import pickle
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Callable

import numpy as np
import torch
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.runner.checkpoint import CheckpointLoader

TRUST_VARIABLE = 'ACTIONDIFF_TRUST_CHECKPOINT'
_DRN = 'mmaction.models.localizers.drn'


def _fill_drn(module: ModuleType) -> None:
    from mmaction.registry import MODELS

    @MODELS.register_module()
    class DRN:
        """Stands for the localizer that the mmaction2 wheel lacks."""

        def __init__(self, *args, **kwargs) -> None:
            raise ImportError(
                'DRN is not part of the installed mmaction2 package: its '
                'wheel lacks mmaction/models/localizers/drn '
                '(open-mmlab/mmaction2#2714). Install mmaction2 from a clone '
                'with `pip install -e .` to use DRN.')

    module.DRN = DRN  # type: ignore[attr-defined]


def _fill_importlib_metadata(module: ModuleType) -> None:
    vars(module).update({
        name: value
        for name, value in vars(importlib.metadata).items()
        if not name.startswith('__')
    })


def _fill_pkg_resources(module: ModuleType) -> None:
    raise ModuleNotFoundError(
        "No module named 'pkg_resources': setuptools 82 removed it, and "
        "MMEngine 0.10 needs it for `_base_ = 'mmaction::...'` and for mim. "
        "Run: pip install 'setuptools>=77.0.3,<82'",
        name=module.__name__)


class _StandIns(MetaPathFinder, Loader):
    """Answers for a few modules that no other finder has found.

    It stands last in ``sys.meta_path``, hence is never asked for a module
    that is installed.
    """

    fillers: dict[str, Callable[[ModuleType], None]] = {
        _DRN: lambda module: None,
        f'{_DRN}.drn': _fill_drn,
        'importlib_metadata': _fill_importlib_metadata,
        'pkg_resources': _fill_pkg_resources,
    }

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in self.fillers:
            return None
        return ModuleSpec(
            fullname,
            self,
            origin=f'stand-in of {__name__}',
            is_package=fullname == _DRN)

    def exec_module(self, module: ModuleType) -> None:
        self.fillers[module.__name__](module)


def install_stand_ins() -> None:
    """Append the finder of stand-ins to ``sys.meta_path``, once."""
    # By name: a reloaded module brings a new class.
    if not any(
            type(finder).__name__ == _StandIns.__name__
            for finder in sys.meta_path):
        sys.meta_path.append(_StandIns())


def restore_trapz() -> None:
    """Give NumPy >= 2.4 its ``trapz`` back; mmaction's AR@AN calls it."""
    if not hasattr(np, 'trapz'):
        setattr(np, 'trapz', np.trapezoid)


def explain_refused_checkpoints() -> None:
    """Let local checkpoints that torch refuses be refused with an advice.

    torch >= 2.6 unpickles tensors and plain containers only. MMEngine's
    checkpoints hold more (its log history), so nothing but our own can be
    loaded. With the environment variable ``ACTIONDIFF_TRUST_CHECKPOINT=1``
    they are unpickled completely, which runs whatever code they contain.
    """
    upstream = CheckpointLoader._schemes['']
    if hasattr(upstream, 'explains_refusal'):
        return

    @functools.wraps(upstream)
    def load_from_local(filename, map_location):
        try:
            return upstream(filename, map_location)
        except pickle.UnpicklingError as error:
            if os.environ.get(TRUST_VARIABLE) == '1':
                return torch.load(
                    os.path.expanduser(filename),
                    map_location=map_location,
                    weights_only=False)
            reason = str(error).splitlines()[0].split('. ')[0]
            raise ValueError(
                f'{filename} is refused: it holds more than tensors and '
                'plain containers, and loading the rest would run code from '
                f'the file ({reason}). If you trust its origin, set the '
                f'environment variable {TRUST_VARIABLE}=1.') from error

    load_from_local.explains_refusal = True  # type: ignore[attr-defined]
    CheckpointLoader.register_scheme('', load_from_local, force=True)


def apply() -> None:
    """Apply every cure."""
    install_stand_ins()
    restore_trapz()
    explain_refused_checkpoints()
    # Allows `_base_ = 'mmaction_actiondiff::actiondiff_demo.py'` elsewhere.
    MODULE2PACKAGE.setdefault('mmaction_actiondiff', 'mmaction_actiondiff')


apply()
