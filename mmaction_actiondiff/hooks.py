"""Hooks: checkpoints that load without trust, a resumable randomness, and
memory that is kept."""
from __future__ import annotations

import ctypes
import random
from typing import Any

import numpy as np
import torch
from mmaction.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.model import is_model_wrapper

_PLAIN = (bool, int, float, str, bytes, type(None))


def _to_plain(value: Any) -> Any:
    """Return ``value`` made of Python scalars, containers and tensors."""
    if isinstance(value, dict):
        return {key: _to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        plain = [_to_plain(item) for item in value]
        return plain if isinstance(value, list) else tuple(plain)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, torch.Tensor) or type(value) in _PLAIN:
        return value
    raise TypeError(
        f'{type(value).__name__} cannot be stored in a checkpoint that is to '
        'load without running code; store numbers, strings, lists, dicts or '
        f'tensors instead: {value!r}')


@HOOKS.register_module()
class PlainCheckpointHook(Hook):
    """Writes checkpoints that ``torch.load(weights_only=True)`` can read.

    MMEngine pickles its log history (:class:`HistoryBuffer`, NumPy arrays),
    which torch >= 2.6 refuses to load. Here the message hub is written as
    plain containers and tensors, and turned back after loading. Checkpoints
    in MMEngine's own format are left as they are when loaded.

    Raises:
        TypeError: On saving, if something else in the message hub or in the
            meta data cannot be written that way.
    """

    # After every other hook has added its part.
    priority = 'LOWEST'

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        hub = checkpoint['message_hub']
        hub['log_scalars'] = {
            key:
            dict(
                history=torch.from_numpy(buffer.data[0]),
                counts=torch.from_numpy(buffer.data[1]),
                max_length=buffer.max_length)
            for key, buffer in hub['log_scalars'].items()
        }
        for part in ('message_hub', 'meta', 'param_schedulers'):
            if part in checkpoint:
                checkpoint[part] = _to_plain(checkpoint[part])

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        scalars = checkpoint.get('message_hub', {}).get('log_scalars', {})
        for key, value in scalars.items():
            if isinstance(value, dict):
                scalars[key] = HistoryBuffer(value['history'].cpu().numpy(),
                                             value['counts'].cpu().numpy(),
                                             value['max_length'])


@HOOKS.register_module()
class IterationSeedHook(Hook):
    """Seeds every global generator before each training iteration.

    The seed is a function of (``runner.seed``, iteration, rank), hence so are
    dropout, timesteps and noise: a resumed run draws what the uninterrupted
    one would have drawn, and validating more often changes nothing.
    """

    priority = 'VERY_HIGH'

    def before_train_iter(self,
                          runner,
                          batch_idx: int,
                          data_batch=None) -> None:
        sequence = np.random.SeedSequence(
            (runner.seed, runner.iter, get_rank()))
        seed = int(sequence.generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)


@HOOKS.register_module()
class TrainingProgressHook(Hook):
    """Tells the localizer where the training stands.

    ``model.begin_iteration(iteration, max_iterations)`` before each training
    iteration, hence after the optimizer's last step, also after a resume:
    warm-up, curricula and mask teachers follow it, and ``loss()`` itself
    depends on inputs and weights alone. Other models are left alone.
    """

    def before_train_iter(self,
                          runner,
                          batch_idx: int,
                          data_batch=None) -> None:
        model = runner.model
        if is_model_wrapper(model):
            model = model.module
        if hasattr(model, 'begin_iteration'):
            model.begin_iteration(runner.iter, runner.max_iters)


def keep_freed_memory(keep: bool = True) -> bool:
    """Let this process keep the memory that it frees, for its next step.

    The C library (glibc) hands large blocks back to the system at once, and
    the next training step on a CPU gets them again, one page fault after the
    other (``docs/benchmark/speed.md``). Whoever keeps them does not grow
    beyond the peak.

    Args:
        keep (bool): False goes back to what the library's own thresholds grow
            to.

    Returns:
        bool: Whether the C library knows how.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is None:
        return False
    trim_threshold, mmap_threshold, mmap_max = -1, -3, -4  # of mallopt(3)
    if keep:
        return bool(mallopt(mmap_max, 0) and mallopt(trim_threshold, -1))
    return bool(
        mallopt(mmap_max, 65536) and mallopt(trim_threshold, 64 << 20)
        and mallopt(mmap_threshold, 32 << 20))


@HOOKS.register_module()
class KeepMemoryHook(Hook):
    """:func:`keep_freed_memory` while a model is trained on a CPU."""

    def before_train(self, runner) -> None:
        if next(runner.model.parameters()).device.type == 'cpu':
            keep_freed_memory()

    def after_train(self, runner) -> None:
        keep_freed_memory(False)
