# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Settings of a config: none that nothing reads, none in two versions.

The config is a Python file in MMEngine's older style. Its top level holds
settings of the runner and variables, such as ``data_root``, that go into
them. MMEngine ignores a runner's setting that is misspelt, and a variable
that is set anew after it has been used.
"""
from __future__ import annotations

import difflib
import inspect
import logging
import re
import symtable
from collections.abc import Iterator
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

# The least values of whole numbers, and the settings that have them.
_LEAST = dict(
    max_iters=1,
    max_epochs=1,
    val_interval=1,
    interval=1,
    batch_size=1,
    num_workers=0,
    accumulative_counts=1,
    max_keep_ckpts=-1)
_COUNTED = ('train_cfg', 'train_dataloader', 'val_dataloader',
            'test_dataloader', 'optim_wrapper', 'default_hooks')


def _walk(node: Any, place: str = '') -> Iterator[tuple[Any, str, str]]:
    """Every dict in ``node`` with each of its keys and its place."""
    if isinstance(node, dict):
        for key, child in list(node.items()):
            path = f'{place}.{key}' if place else str(key)
            yield node, str(key), path
            yield from _walk(child, path)
    elif isinstance(node, (list, tuple)):
        for number, child in enumerate(node):
            yield from _walk(child, f'{place}.{number}')


def _places(cfg: Config, name: str) -> list[tuple[dict, str]]:
    """Dicts in the runner's settings that have the key, and where."""
    return [
        (node, path) for node, key, path in _walk(cfg._cfg_dict)
        if key == name and path.partition('.')[0] in _RUNNER and path != name
    ]


def _advice(cfg: Config, name: str) -> str:
    """What was meant by a name that nothing reads."""
    places = [path for _, path in _places(cfg, name)]
    if places:
        return f'set {places[0]}'
    known = difflib.get_close_matches(
        name, {*_RUNNER, *cfg} - {name}, n=1, cutoff=0)
    return f'the closest name is {known[0]}'


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
    """Names that a config sets at its top level, and does not read again."""
    top = symtable.symtable(code, 'config', 'exec')
    tables = [top]
    for table in tables:
        tables += table.get_children()
    read = {
        symbol.get_name()
        for table in tables
        for symbol in table.get_symbols() if symbol.is_referenced()
    }
    return {s.get_name() for s in top.get_symbols() if s.is_assigned()} - read


def _sources(path: str) -> list[tuple[str, str]]:
    """A config and those that it inherits from here, base last."""
    with open(path, encoding='utf-8') as file:
        text = file.read()
    found = [(path, text)]
    match = re.search(
        r'^_base_\s*=\s*(\[[^\]]*\]|\([^)]*\)|["\'][^"\']*["\'])', text,
        re.MULTILINE)
    for name in re.findall(r'["\']([^"\']+)["\']', match[1]) if match else ():
        if '::' not in name or name.startswith(f'{__package__}::'):
            found += _sources(Config._get_cfg_path(name, path)[0])
    return found


def apply_inherited(cfg: Config) -> None:
    """Let the variables of configs that inherit others reach their places.

    Raises:
        ValueError: If nothing reads one of them.
    """
    sources = _sources(cfg.filename)
    later: list[str] = []
    for path, text in sources:
        later.append(text)
        if not re.search(r'^_base_\s*=', text, re.MULTILINE):
            continue
        # Variables of a base in double braces are no Python.
        code = re.sub(r'\{\{[^{}]*\}\}', '0', text)
        for name in sorted(_assigned(code)):
            if (name in _RUNNER or name.startswith('_') or name not in cfg
                    or any(
                        re.search(rf'_base_\.{name}\b', other)
                        for other in later)):
                continue
            old = [
                Config.fromfile(base, import_custom_modules=False).get(name)
                for base, _ in _sources(path)[1:]
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
    """Leave out schedulers that would begin after the last iteration.

    They would do nothing, and MMEngine refuses them: a trial of 20 iterations
    is shorter than a warm-up.

    Returns:
        list[str]: What was left out, in words.
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
    """Leave out the batch size that 0.1.0's sampler had beside the loader's.

    Returns:
        list[str]: What was left out, in words.

    Raises:
        ValueError: If the two differ, or the sampler is to make pairs.
    """
    loader = cfg.get('train_dataloader') or {}
    sampler = loader.get('sampler') or {}
    if sampler.get('type') != 'WTALSampler':
        return []
    if 'num_pairs' in sampler:
        raise ValueError(
            'train_dataloader.sampler.num_pairs is read no more: set '
            "train_dataloader.batch_sampler=dict(type='PairBatchSampler', "
            f'num_pairs={sampler["num_pairs"]})')
    if 'batch_size' not in sampler:
        return []
    own = sampler.pop('batch_size')
    if own != loader.get('batch_size'):
        raise ValueError(
            f'train_dataloader.sampler.batch_size is {own}, train_dataloader.'
            f"batch_size {loader.get('batch_size')}: leave the former out")
    return [
        'train_dataloader.sampler.batch_size is read no more, '
        'train_dataloader.batch_size is: it is left out'
    ]


def check(cfg: Config) -> None:
    """Refuse settings that MMEngine would ignore or contradict.

    Raises:
        ValueError: It names the setting.
    """
    for name, known in _CLOSED.items():
        for key in set(cfg.get(name) or {}) - known:
            raise ValueError(
                f'nothing reads {name}.{key}; it may have {sorted(known)}')
    schedulers = cfg.get('param_scheduler') or []
    if not isinstance(schedulers, (list, tuple)):
        schedulers = [schedulers]
    parts = {name: cfg.get(name) or {} for name in (*_COUNTED, 'randomness')}
    for name, part in (*parts.items(), *(('param_scheduler', item)
                                         for item in schedulers)):
        if not isinstance(part, dict):
            raise ValueError(f'{name} must be a dict, got {part!r}')
    hooks = cfg.get('default_hooks') or {}
    for name, hook in hooks.items():
        if isinstance(hook, dict) and 'type' not in hook:
            close = difflib.get_close_matches(
                name, {*hooks} - {name}, n=1, cutoff=0)
            raise ValueError(f'default_hooks.{name} has no type' + (
                f'; the closest name is {close[0]}' if close else ''))
    for name, value in (('resume', cfg.get('resume', False)),
                        ('randomness.deterministic',
                         parts['randomness'].get('deterministic', False))):
        if not isinstance(value, bool):
            raise ValueError(f'{name} must be True or False, got {value!r}')
    level = cfg.get('log_level', 'INFO')
    if not isinstance(logging.getLevelName(level), int):
        raise ValueError("log_level must be 'DEBUG', 'INFO', 'WARNING', "
                         f"'ERROR' or 'CRITICAL', got {level!r}")
    seed = parts['randomness'].get('seed')
    if seed is not None and not (isinstance(seed, int) and 0 <= seed < 2**32):
        raise ValueError('randomness.seed must be an integer from 0 to '
                         f'{2**32 - 1}, got {seed!r}')
    for node, key, path in _walk(cfg._cfg_dict):
        if path.partition('.')[0] not in _COUNTED or node[key] is None:
            continue
        least, value = _LEAST.get(key), node[key]
        if least is not None and not (isinstance(value, int)
                                      and value >= least) and value != -1:
            raise ValueError(f'{path} must be a whole number >= {least}, got '
                             f'{value!r}')
        if key == 'lr' and not (isinstance(value,
                                           (int, float)) and value >= 0):
            raise ValueError(f'{path} must be a number >= 0, got {value!r}')
    last = parts['train_cfg'].get('max_iters')
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
