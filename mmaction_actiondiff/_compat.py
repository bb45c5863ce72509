# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Cures for defects of released upstream packages.

This is the only module that knows about them. Every cure does nothing where
the defect is absent, may be applied twice, and leaves a healthy (for example
a source) installation of MMAction2 as it is. :func:`apply` runs them all; it
is called when the package is imported.

Checkpoints that :class:`~mmaction_actiondiff.hooks.PlainCheckpointHook` has
written need no such trust.
"""
from __future__ import annotations

import functools
import os
import pickle
import re
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any, Callable

import numpy as np
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.runner import checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from mmengine.visualization import vis_backend

TRUST_VARIABLE = 'ACTIONDIFF_TRUST_CHECKPOINT'
_DRN = 'mmaction.models.localizers.drn'


def stand_in_for_drn() -> None:
    """Let ``mmaction.models`` be imported from a wheel without DRN."""
    package = sys.modules['mmaction'].__path__[0]
    if (os.path.isdir(os.path.join(package, 'models', 'localizers', 'drn'))
            or _DRN in sys.modules):
        return

    @MODELS.register_module()
    class DRN:

        def __init__(self, *args, **kwargs) -> None:
            raise ImportError(
                'DRN is not part of the installed mmaction2 package: its '
                'wheel lacks mmaction/models/localizers/drn '
                '(open-mmlab/mmaction2#2714). Install mmaction2 from a '
                'clone with `pip install -e .` to use DRN.')

    for name in (_DRN, f'{_DRN}.drn'):
        module: Any = ModuleType(name)
        module.DRN, module.__path__ = DRN, []
        sys.modules[name] = module


def restore_trapz() -> None:
    """Give NumPy >= 2.4 its ``trapz`` back; mmaction's AR@AN calls it."""
    if not hasattr(np, 'trapz'):
        setattr(np, 'trapz', np.trapezoid)


def leave_broken_multimodal_out() -> None:
    """Let MMAction2 do without its VindLU, which transformers 5 breaks.

    MMAction2 asks for no more than transformers >= 4.28, then imports what
    later versions lack. Its own placeholders stand in for the models.
    """
    from mmaction.utils import dependency

    if dependency.WITH_MULTIMODAL:
        try:
            from transformers.modeling_utils import (  # noqa: F401
                apply_chunking_to_forward, find_pruneable_heads_and_indices,
                prune_linear_layer)
        except ImportError:
            dependency.WITH_MULTIMODAL = False


def _load(path: str, map_location: Any, name: str) -> Any:
    """Unpickle tensors and plain containers, of a file called ``name``."""
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        if os.environ.get(TRUST_VARIABLE) == '1':
            return torch.load(
                path, map_location=map_location, weights_only=False)
        reason = str(error).splitlines()[0].split('. ')[0]
        raise ValueError(
            f'{name} is refused: it holds more than tensors and plain '
            'containers, and loading the rest would run code from the file '
            f'({reason}). If you trust its origin, set the environment '
            f'variable {TRUST_VARIABLE}=1.') from error
    except (RuntimeError, EOFError, OSError, KeyError,
            zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise ValueError(f'{name} is damaged or no checkpoint ({reason}); '
                         'take another one') from error


def load_from_local(filename: str, map_location: Any) -> Any:
    """Load a checkpoint without running code from it.

    torch >= 2.6 unpickles tensors and plain containers only. MMEngine's
    checkpoints hold more (its log history), so nothing but our own can be
    loaded. With the environment variable ``ACTIONDIFF_TRUST_CHECKPOINT=1``
    they are unpickled completely, which runs whatever code they contain.
    """
    filename = os.path.expanduser(filename)
    if not os.path.isfile(filename):
        raise FileNotFoundError(f'the checkpoint {filename} does not exist')
    return _load(filename, map_location, filename)


def load_from_url(url: str,
                  model_dir: str | None = None,
                  map_location: Any = None,
                  progress: bool = True) -> Any:
    """As :func:`load_from_local`, anew each time.

    torch's own function runs code from the file, and takes what it has once
    downloaded for any other address that ends in the same file name.
    """
    with tempfile.TemporaryDirectory(dir=model_dir) as folder:
        path = os.path.join(folder, 'checkpoint.pth')
        try:
            torch.hub.download_url_to_file(url, path, progress=progress)
        except (OSError, ValueError) as error:
            raise ValueError(f'{url} cannot be loaded: {error}') from error
        return _load(path, map_location, url)


def load_checkpoints_safely() -> None:
    """Let MMEngine load all its checkpoints by the functions above."""
    CheckpointLoader.register_scheme('', load_from_local, force=True)
    checkpoint.load_url = load_from_url


def substitute_variables(filename: str, temp_config_name: str) -> dict:
    """Put environment variables into the source of a config, as text.

    MMEngine pastes their values as source: a quote ends the string that they
    are in, a backslash escapes what follows.
    """
    found: dict[str, str] = {}

    def value(match: re.Match) -> str:
        name, default = match.groups()
        if name in os.environ:
            found[name] = os.environ[name]
            return re.sub(r'([\\\'"])', r'\\\1', os.environ[name])
        if not default:
            raise KeyError(f'{filename} needs the environment variable {name}')
        return default

    source = Path(filename).read_text(encoding='utf-8')
    source = re.sub(r'\{\{[\'"]?\s*\$(\w+)\s*:\s*(\S*?)\s*[\'"]?\}\}', value,
                    source)
    Path(temp_config_name).write_text(source, encoding='utf-8')
    return found


def legalize_metric_names() -> None:
    """Let trackers get metric names that they accept.

    MLflow refuses the ``@`` of ``det/mAP@0.50``; DVCLive makes files of the
    names. ``det/mAP@0.10:0.70`` becomes ``det/mAP_0.10_0.70``.
    """

    def legal(name: str) -> str:
        return re.sub(r'[^\w\-./ ]', '_', name)

    def renaming(add: Callable) -> Callable:

        @functools.wraps(add)
        def wrapper(self, named, *args, **kwargs):
            named = legal(named) if isinstance(named, str) else {
                legal(name): value
                for name, value in named.items()
            }
            return add(self, named, *args, **kwargs)

        return wrapper

    for kind in ('MLflowVisBackend', 'DVCLiveVisBackend'):
        backend = getattr(vis_backend, kind, None)
        if backend is not None and not hasattr(backend, 'has_legal_names'):
            backend.has_legal_names = True
            backend.add_scalar = renaming(backend.add_scalar)
            backend.add_scalars = renaming(backend.add_scalars)


def find_own_configs() -> None:
    """Let ``_base_ = 'mmaction_actiondiff::actiondiff_demo.py'`` work.

    MMEngine looks for an editable installation in the wrong place, and in
    the metafile for names with a folder only. The names here are those below
    ``configs/``; a base name that is there once is enough.
    """
    upstream = Config._get_cfg_path
    if hasattr(upstream, 'finds_own_configs'):
        return

    def get_cfg_path(cfg_path: str, filename: str) -> tuple[str, str | None]:
        package, _, name = cfg_path.partition('::')
        if package != __package__:
            return upstream(cfg_path, filename)
        folder = Path(__file__).parent
        for root in (folder / '.mim' / 'configs', folder.parent / 'configs'):
            found = [root / name, *sorted(root.rglob(Path(name).name))]
            found = [path for path in found if path.is_file()]
            if found:
                # Their types are registered in the scope that they set.
                return str(found[0]), None
        raise FileNotFoundError(f'{filename}: there is no config {cfg_path}')

    get_cfg_path.finds_own_configs = True  # type: ignore[attr-defined]
    Config._get_cfg_path = staticmethod(get_cfg_path)


def hide_advice() -> None:
    """Hide that mmcv-lite lacks an operator, and that ``pkg_resources``,
    for which setuptools is pinned, will go."""
    for message in ('Fail to import ``MultiScaleDeformableAttention``',
                    'pkg_resources is deprecated as an API'):
        warnings.filterwarnings('ignore', message)


def apply() -> None:
    """Apply every cure."""
    hide_advice()
    stand_in_for_drn()
    leave_broken_multimodal_out()
    restore_trapz()
    load_checkpoints_safely()
    legalize_metric_names()
    Config._substitute_env_variables = staticmethod(substitute_variables)
    find_own_configs()
    MODULE2PACKAGE.setdefault('mmaction_actiondiff', 'mmaction_actiondiff')


apply()
