# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Settings of a config: none that nothing reads, none in two versions.

The config is a Python file in MMEngine's older style. Its top level holds
settings of the runner and variables, such as ``data_root``, that go into
them. MMEngine ignores a runner's setting that is misspelt, and a variable
that is set anew after it has been used.
"""
from __future__ import annotations

import ast
import difflib
import inspect
import logging
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

# What MMEngine, MMAction2 and this package read beside the runner's arguments.
_RUNNER = {
    *inspect.signature(Runner).parameters, 'runner_type', 'custom_imports',
    'compile', 'activation_checkpointing', 'efficient_conv_bn_eval',
    'model_wrapper_cfg', 'sync_bn', 'find_unused_parameters'
}
# Dicts whose unknown keys MMEngine ignores.
_CLOSED = dict(
    auto_scale_lr={'enable', 'base_batch_size'},
    env_cfg={'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'})

_PARTS = ('train_cfg|train_dataloader|val_dataloader|test_dataloader|'
          'optim_wrapper|default_hooks')
_COUNTS = ('max_iters|max_epochs|val_interval|interval|batch_size|'
           'accumulative_counts')
# Settings by their place, what holds of them, and that in words; None passes.
_RULES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    (f'{_PARTS}|randomness|auto_scale_lr|env_cfg',
     lambda x: isinstance(x, dict), 'a dict'),
    ('custom_hooks', lambda x: isinstance(x, (list, tuple)), 'a list'),
    ('param_scheduler', lambda x: isinstance(x, dict) or isinstance(
        x, (list, tuple)) and all(isinstance(item, dict)
                                  for item in x), 'a dict or a list of dicts'),
    ('resume|randomness.deterministic', lambda x: isinstance(x, bool),
     'True or False'),
    ('randomness.seed', lambda x: isinstance(x, int) and 0 <= x < 2**32,
     f'an integer from 0 to {2**32 - 1}'),
    ('log_level', lambda x: isinstance(logging.getLevelName(x), int),
     "'DEBUG', 'INFO', 'WARNING', 'ERROR' or 'CRITICAL'"),
    # -1 is never, or all
    (rf'({_PARTS})\.(.+\.)?({_COUNTS})',
     lambda x: isinstance(x, int) and (x >= 1 or x == -1),
     'a whole number >= 1'),
    (rf'({_PARTS})\.(.+\.)?(num_workers|max_keep_ckpts)',
     lambda x: isinstance(x, int) and x >= -1, 'a whole number >= 0'),
    (r'model\.(base_branch\.)?stream_channels', lambda x: isinstance(
        x, (list, tuple)) and all(isinstance(n, int)
                                  for n in x), 'a list, as in [1024,1024]'),
    (rf'({_PARTS})\.(.+\.)?lr',
     lambda x: isinstance(x, (int, float)) and x >= 0, 'a number >= 0'),
)


def walk(node: Any, place: str = '') -> Iterator[tuple[Any, str, str]]:
    """Every dict in ``node`` with each of its keys and its place."""
    if isinstance(node, dict):
        for key, child in list(node.items()):
            path = f'{place}.{key}' if place else str(key)
            yield node, str(key), path
            yield from walk(child, path)
    elif isinstance(node, (list, tuple)):
        for number, child in enumerate(node):
            yield from walk(child, f'{place}.{number}')


def _places(cfg: Config, name: str) -> list[tuple[dict, str]]:
    """Dicts in the runner's settings that have the key, and where."""
    return [
        (node, path) for node, key, path in walk(cfg._cfg_dict)
        if key == name and path.partition('.')[0] in _RUNNER and path != name
    ]


def closest(name: str, known: Collection[str], cutoff: float = 0.) -> str:
    """What was meant by a misspelt name, or ''."""
    found = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    return f'; the closest is {found[0]}' if found else ''


def _advice(cfg: Config, name: str) -> str:
    """What was meant by a name that nothing reads."""
    places = [path for _, path in _places(cfg, name)]
    if places:
        return f'set {places[0]}'
    return closest(name, {*_RUNNER, *cfg} - {name}).removeprefix('; ')


def replace_variable(cfg: Config,
                     name: str,
                     value: Any,
                     old: list,
                     source: str,
                     everywhere: bool = False) -> None:
    """Set a variable anew, wherever one of its old values has gone.

    Raises:
        ValueError: If it has gone nowhere.
    """
    nodes = [
        node for node, _ in _places(cfg, name)
        if everywhere or node[name] in (*old, value)
    ]
    if not nodes:
        raise ValueError(f'{source}: nothing reads {name}={value!r}; '
                         f'{_advice(cfg, name)}')
    for node in nodes:
        node[name] = value
    cfg[name] = value


def _assigned(code: str) -> set[str]:
    """Names that a config sets and does not read again."""
    names: dict[type, set[str]] = {ast.Store: set(), ast.Load: set()}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name):
            names.setdefault(type(node.ctx), set()).add(node.id)
    return names[ast.Store] - names[ast.Load]


def _sources(path: str) -> list[str]:
    """A config and those that it inherits from here, base last."""
    found = [path]
    for name in Config._get_base_files(path):
        if '::' not in name or name.startswith(f'{__package__}::'):
            found += _sources(Config._get_cfg_path(name, path)[0])
    return found


def apply_inherited(cfg: Config) -> None:
    """Let the variables of configs that inherit others reach their places.

    Raises:
        ValueError: If nothing reads one of them.
    """
    later = ''
    for path in _sources(cfg.filename):
        text = Path(path).read_text('utf-8')
        later += text
        if not Config._get_base_files(path):
            continue
        for name in sorted(_assigned(text)):
            if (name in _RUNNER or name.startswith('_') or name not in cfg
                    or re.search(rf'_base_\.{name}\b', later)):
                continue
            old = [
                Config.fromfile(base, import_custom_modules=False).get(name)
                for base in _sources(path)[1:]
            ]
            if not any(old) and '_base_' in Path(path).parts:
                continue  # offered to whoever inherits the file
            replace_variable(cfg, name, cfg[name], old, path)


def apply_options(cfg: Config, options: dict[str, Any]) -> None:
    """Apply ``--cfg-options``.

    Raises:
        ValueError: If nothing reads one of them.
    """
    for key, value in options.items():
        first = key.partition('.')[0]
        if first in _RUNNER:
            try:
                cfg.merge_from_dict({key: value})
            except (KeyError, TypeError, AssertionError) as error:
                raise ValueError(
                    f'--cfg-options {key}={value!r}: {error}') from error
        elif key == first and (key in cfg or key == 'data_root'):
            # The folder of the data is one, whatever stood there before.
            replace_variable(cfg, key, value, [cfg.get(key)], '--cfg-options',
                             key == 'data_root')
        else:
            raise ValueError(f'--cfg-options: nothing reads {key}={value!r}; '
                             f'{_advice(cfg, first)}')


def drop_late_schedulers(cfg: Config) -> list[str]:
    """Leave out schedulers that would begin after the last iteration, which
    MMEngine refuses: a trial of 20 iterations is shorter than a warm-up.
    Returns that in words.
    """
    last = (cfg.get('train_cfg') or {}).get('max_iters')
    schedulers = cfg.get('param_scheduler')
    if last is None or not isinstance(schedulers, (list, tuple)):
        return []
    late = [
        item for item in schedulers
        if not item.get('by_epoch', True) and item.get('begin', 0) >= last
    ]
    cfg.param_scheduler = [item for item in schedulers if item not in late]
    return [
        f'{item.type} of param_scheduler begins at iteration {item.begin}, '
        f'train_cfg.max_iters is {last}: it is left out' for item in late
    ]


def drop_sampler_batch_size(cfg: Config) -> list[str]:
    """Leave out the batch size that 0.1.0's sampler had beside the loader's;
    returns that in words.

    Raises:
        ValueError: If the two differ.
    """
    loader = cfg.get('train_dataloader') or {}
    sampler = loader.get('sampler') or {}
    if sampler.get('type') != 'WTALSampler' or 'batch_size' not in sampler:
        return []
    own, name = sampler.pop('batch_size'), 'train_dataloader.batch_size'
    if own != loader.get('batch_size'):
        raise ValueError(f'{name} is {loader.get("batch_size")}, that of its '
                         f'sampler {own}: leave the latter out')
    return [f'the batch_size of the sampler is left out: {name} is read']


def check(cfg: Config) -> None:
    """Refuse settings that MMEngine would ignore or contradict.

    Raises:
        ValueError: It names the setting.
    """
    for node, key, path in walk(cfg._cfg_dict):
        value = node[key]
        for places, holds, words in _RULES:
            if value is not None and re.fullmatch(places,
                                                  path) and not holds(value):
                raise ValueError(f'{path} must be {words}, got {value!r}')
    for name, known in _CLOSED.items():
        for key in set(cfg.get(name) or {}) - known:
            raise ValueError(
                f'nothing reads {name}.{key}; it may have {sorted(known)}')
    hooks = cfg.get('default_hooks') or {}
    for name, hook in hooks.items():
        if isinstance(hook, dict) and 'type' not in hook:
            raise ValueError(f'default_hooks.{name} has no type' +
                             closest(name, {*hooks} - {name}))
    schedulers = cfg.get('param_scheduler') or []
    if isinstance(schedulers, dict):
        schedulers = [schedulers]
    last = (cfg.get('train_cfg') or {}).get('max_iters')
    for number, item in enumerate(schedulers):
        length = item.get('T_max')
        if last is None or length is None or item.get('by_epoch', True):
            continue
        end = min(last, item.get('end', last))
        if item.get('begin', 0) + length < end:
            raise ValueError(
                f'param_scheduler.{number}.T_max={length} ends before '
                f'train_cfg.max_iters={last}, where the learning rate would '
                'have risen again: leave T_max out, it follows max_iters')
