# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Hooks: checkpoints that load without trust and fit, a training that
resumes exactly and stops when it diverges."""
from __future__ import annotations

import hashlib
import math
import os
import random
import re
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmaction.registry import HOOKS
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import CheckpointHook, EMAHook, Hook
from mmengine.logging import HistoryBuffer
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop

from .annotations import quote
from .settings import walk

_PLAIN = (bool, int, float, str, bytes, type(None))
# Values of every log entry that are kept: MMEngine copies all of them at every
# iteration, and keeps a million.
_LOG_LENGTH = 10_000


def _to_plain(value: Any) -> Any:
    """Return ``value`` made of Python scalars, containers and tensors."""
    if isinstance(value, dict):
        return {key: _to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        kind = list if isinstance(value, list) else tuple
        return kind(map(_to_plain, value))
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


def network(runner) -> Any:
    """The model of a runner, out of what distributes it."""
    model = runner.model
    return model.module if is_model_wrapper(model) else model


@HOOKS.register_module()
class PlainCheckpointHook(Hook):
    """Writes checkpoints that ``torch.load(weights_only=True)`` can read.

    MMEngine pickles its log history (:class:`HistoryBuffer`, NumPy arrays),
    which torch >= 2.6 refuses to load. Here the message hub is written as
    plain containers and tensors, and turned back after loading. Of the log,
    the last 10,000 values are kept, so that neither memory nor checkpoints
    grow with the length of a training.

    Raises:
        TypeError: On saving, if something else in the message hub or in the
            meta data cannot be written that way.
    """

    # After every other hook has added its part.
    priority = 'LOWEST'

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        hub = checkpoint['message_hub']
        for key, buffer in hub['log_scalars'].items():
            runner.message_hub.get_scalar(key).max_length = _LOG_LENGTH
            history, counts = (
                torch.from_numpy(values[-_LOG_LENGTH:].copy())
                for values in buffer.data)
            hub['log_scalars'][key] = dict(
                history=history, counts=counts, max_length=_LOG_LENGTH)
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

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
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
    iteration, for warm-up and curricula; after the step,
    ``model.end_iteration(log_vars)``. Other models are left alone.
    """

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        model = network(runner)
        if hasattr(model, 'begin_iteration'):
            model.begin_iteration(runner.iter, runner.max_iters)

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs=None) -> None:
        model = network(runner)
        if hasattr(model, 'end_iteration'):
            model.end_iteration(outputs)


@HOOKS.register_module()
class WTALCheckpointHook(CheckpointHook):
    """MMEngine's, with a best checkpoint that follows the protocol.

    It is replaced wherever its folder has been moved to, and its name has no
    character that NTFS, exFAT or SMB refuse. A checkpoint between two steps of
    an optimizer that gathers gradients (``accumulative_counts``) holds these.

    Args:
        save_best (str | list[str] | None): Key of the metric that decides.
            Defaults to 'auto': the first average over tIoU thresholds among
            the metrics, else the first metric.
        rule (str | list[str]): 'greater' (default) or 'less' is better.
        **kwargs: See MMEngine.

    Raises:
        ValueError: If there is no such metric: before the training where
            all metrics have ``names()``, else at the first validation. If
            several processes resume from between two steps.
        TypeError: If nothing reads an argument.
    """

    def __init__(self,
                 *args: Any,
                 save_best: str | list[str] | None = 'auto',
                 rule: str | list[str] | None = 'greater',
                 **kwargs: Any) -> None:
        names = [save_best] if isinstance(save_best, str) else save_best
        super().__init__(
            *args,
            save_best=names and [self._file_name(name) for name in names],
            rule=rule,
            **kwargs)
        # MMEngine hands them on to the writer, which fails at the first one.
        if self.args:
            raise TypeError('default_hooks.checkpoint: nothing reads '
                            f'{", ".join(self.args)}')

    @staticmethod
    def _file_name(metric: str) -> str:
        return re.sub(r'[<>:"/\\|?*]', '_', metric)

    def before_train(self, runner) -> None:
        """Looks for the best checkpoint in the folder of this run, and for
        the metric that decides."""
        hub = runner.message_hub
        for key, path in list(hub.runtime_info.items()):
            if key.startswith('best_ckpt') and self.out_dir is None:
                name = re.split(r'[/\\]', path)[-1]
                hub.update_info(key, os.path.join(runner.work_dir, name))
        super().before_train(runner)
        evaluator = getattr(runner._val_loop, 'evaluator', None)
        metrics = evaluator.metrics if evaluator else []
        if metrics and all(hasattr(metric, 'names') for metric in metrics):
            self._check_best([n for m in metrics for n in m.names()])

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Adds the gradients that wait for a step, if there are any."""
        gradients = {
            name: parameter.grad
            for name, parameter in network(runner).named_parameters()
            if parameter.grad is not None
        }
        if gradients:
            checkpoint['gradients'] = gradients

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Restores them in a training that is resumed."""
        gradients = checkpoint.get('gradients', {})
        if not runner._resume or not gradients:
            return
        if get_world_size() > 1:
            raise ValueError(
                f'{runner._load_from} was written between two steps of the '
                'optimizer, when every process had gradients of its own. Take '
                'another checkpoint, and for default_hooks.checkpoint.interval'
                ' a multiple of accumulative_counts')
        for name, parameter in network(runner).named_parameters():
            if name in gradients:
                parameter.grad = gradients[name].to(parameter)

    def _check_best(self, known: list[str]) -> None:
        names = ['auto', *map(self._file_name, known)]
        if not set(self.save_best or []).issubset(names):
            raise ValueError(
                'default_hooks.checkpoint.save_best names a metric that '
                f'the validation does not have; it has {known}. '
                "'auto' takes the first average")

    def after_val_epoch(self, runner, metrics: dict[str, float]) -> None:
        """Saves the best checkpoint, also when the metrics have changed."""
        averages = [key for key in metrics if re.search(r'@.+:', key)]
        keys = sorted(metrics, key=lambda key: key not in averages[:1])
        named = {self._file_name(key): metrics[key] for key in keys}
        if metrics:
            self._check_best(list(metrics))
        super().after_val_epoch(runner, named)


def check_content(checkpoint: Any, source: Any) -> None:
    """Refuse a file that holds anything but a checkpoint.

    Raises:
        ValueError: If it is no dict with a state dict of tensors.
    """
    state = checkpoint
    if isinstance(checkpoint, Mapping):
        state = checkpoint.get('state_dict', checkpoint)
    if not isinstance(state, Mapping) or not all(
            isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f'{source}: expected a checkpoint, a dict with '
                         "'state_dict' of tensors, found another "
                         f'{type(checkpoint).__name__}')
    meta = checkpoint.get('meta') or {}
    facts = meta.get('dataset_meta') if isinstance(meta, Mapping) else meta
    if not isinstance(facts or {}, Mapping):
        raise ValueError(f"{source}: 'meta' and its 'dataset_meta' must be "
                         f'dicts, found {facts!r:.100}')


def _known(metainfo: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a model is trained for, among other metainfo of ``WTALDataset``;
    None means that it is not known."""
    return {
        key: list(value) if isinstance(value, (list, tuple)) else value
        for key in ('classes', 'seconds_per_snippet', 'snippet_offset',
                    'in_channels', 'stream_channels')
        if (value := (metainfo or {}).get(key)) is not None
    }


def _order_of_videos(runner) -> dict[str, Any]:
    """What, beside the seed, decides which videos an iteration holds."""
    loader = runner._train_loop.dataloader
    dataset = loader.dataset
    facts = dict(
        batch_size=getattr(loader.batch_sampler, 'batch_size', None),
        processes=get_world_size(),
        videos=len(dataset))
    if hasattr(dataset, 'get_data_info'):
        records = map(dataset.get_data_info, range(len(dataset)))
        names = [(x.get('video_name'), x.get('labels')) for x in records]
        facts['names_and_labels'] = hashlib.sha256(
            repr(names).encode()).hexdigest()[:16]
    return facts


def _difference(first: Any, second: Any) -> str | None:
    """Where two facts differ, in words."""
    if first == second or isinstance(first, float) and math.isclose(
            first, second, rel_tol=1e-6):
        return None
    if isinstance(first, list) and isinstance(second, list):
        if len(first) != len(second):
            return f'{len(first)} against {len(second)}'
        place = next(i for i, x in enumerate(first) if x != second[i])
        return (f'number {place} is {first[place]!r} against '
                f'{second[place]!r}')
    return f'{first} against {second}'


@HOOKS.register_module()
class CheckFitHook(Hook):
    """Refuses parts that do not belong together, before anything is computed.

    Model and data must agree in number of classes, channels and pairs in a
    batch; the data sets in their classes; a checkpoint that is tested or
    resumed in its weights, the classes and their order, the snippet length and
    the channels; a resumed training in what decides the videos of an
    iteration. A checkpoint that a new training starts from may lack weights,
    which is logged, but not all.

    Raises:
        ValueError: It names both sides.
    """

    priority = 'VERY_HIGH'

    def before_run(self, runner) -> None:
        """Compares model and data."""
        self._find_root(runner)
        streams = self._streams(runner)
        own = dict(
            num_classes=getattr(network(runner), 'num_classes', None),
            stream_channels=streams,
            in_channels=streams and sum(streams))
        first = None
        for name, facts in self._facts(runner).items():
            classes = facts.pop('classes', None)
            if classes is not None:
                facts['num_classes'] = len(classes)
            if any(
                    own.get(key) not in (None, value)
                    for key, value in facts.items()):
                mine, its = (', '.join(f'{key}={x}' for key, x in part.items()
                                       if key in own and x is not None)
                             for part in (own, facts))
                raise ValueError(
                    f'the model has {mine}, the {name} have {its}; '
                    f'their classes: {quote(classes or ())}')
            first = first or classes
            difference = _difference(first, classes)
            if difference:
                raise ValueError('the classes of the training data and of the '
                                 f'{name} differ: {difference}')
        loss = getattr(network(runner), 'loss_module', None)
        wanted = getattr(getattr(loss, 'base', loss), 'num_pairs', 0)
        if wanted and isinstance(runner._train_loop, BaseLoop):
            sampler = runner._train_loop.dataloader.batch_sampler
            found = getattr(sampler, 'num_pairs', 0)
            if found != wanted:
                raise ValueError(
                    f'the loss has num_pairs={wanted}, the batches of the '
                    f'training data {found} pairs: set train_dataloader.'
                    "batch_sampler=dict(type='PairBatchSampler', "
                    f'num_pairs={wanted}), or num_pairs=0 in the loss')

    @staticmethod
    def _find_root(runner) -> None:
        """Tell of a ``data_root`` that reaches no data set: MMEngine leaves
        those that a base has set as they are, the tools here do not."""
        own = runner.cfg.get('data_root')
        used = {
            node['data_root']
            for node, key, place in walk(runner.cfg._cfg_dict)
            if key == 'data_root' and place != key
        }
        if own is not None and used and own not in used:
            runner.logger.warning(
                f'data_root={own} of the config is not read: the data are of '
                f'{sorted(used)}. tools/train.py of mmaction_actiondiff puts '
                'it there; with other tools set dataset.data_root')

    @staticmethod
    def _streams(runner) -> list[int] | None:
        streams = (runner.cfg.get('model') or {}).get('stream_channels')
        return streams and list(streams)

    @staticmethod
    def _facts(runner) -> dict[str, dict[str, Any]]:
        """Facts of the data that are in use, by the phase they are for."""
        loops = dict(
            training=runner._train_loop,
            validation=runner._val_loop,
            test=runner._test_loop)
        return {
            f'{name} data':
            _known(getattr(loop.dataloader.dataset, 'metainfo', None))
            for name, loop in loops.items() if isinstance(loop, BaseLoop)
        }

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Writes down what the weights are for, beside ``dataset_meta``."""
        checkpoint['meta'].update(
            model=type(network(runner)).__name__,
            stream_channels=self._streams(runner),
            training=_order_of_videos(runner))

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Compares the checkpoint with model and data."""
        check_content(checkpoint, runner._load_from)
        starts = isinstance(runner._train_loop,
                            BaseLoop) and not runner._resume
        self._compare_weights(runner, checkpoint, starts)
        if not starts:
            self._compare_facts(runner, checkpoint.get('meta') or {})
        if runner._resume:
            self._compare_order(runner, checkpoint.get('meta') or {})
            averaged = 'ema_state_dict' in checkpoint
            if averaged != any(isinstance(x, EMAHook) for x in runner.hooks):
                its, own = 'with', 'without'
                if not averaged:
                    its, own = own, its
                raise ValueError(
                    f'{runner._load_from} is of a training {its} averaged '
                    f'weights, this one is {own} (custom_hooks, EMAHook): it '
                    'may start from it (load_from), not be resumed')

    @staticmethod
    def _compare_weights(runner, checkpoint: dict, starts: bool) -> None:
        model = network(runner)
        stored = {
            re.sub(r'^module\.', '', key): value
            for key, value in checkpoint.get('state_dict', checkpoint).items()
        }
        infinite = [
            key for key, value in stored.items()
            if isinstance(value, torch.Tensor) and not value.isfinite().all()
        ]
        if infinite:
            raise ValueError(
                f'{runner._load_from} holds weights that are not finite '
                f'({quote(infinite)}): the training had diverged; take an '
                'earlier checkpoint')
        own = model.state_dict()
        # MMEngine does without a counter.
        missing = [
            key for key in own
            if key not in stored and 'num_batches_tracked' not in key
        ]
        other = [
            f'{key} {tuple(stored[key].shape)} instead of '
            f'{tuple(own[key].shape)}' for key in own
            if key in stored and own[key].shape != stored[key].shape
        ]
        name = (checkpoint.get('meta') or {}).get('model')
        text = (f'{runner._load_from} does not fit {type(model).__name__} of '
                f'{runner.cfg.filename}' +
                (f', it is of {name}' if name else ''))
        unknown = [key for key in stored if key not in own]
        for words, keys in (('weights that it lacks',
                             missing), ('that the model lacks', unknown),
                            ('of another shape', other)):
            text += f'; {words}: {quote(keys)}' if keys else ''
        if missing or unknown or other:
            if not starts or len(missing) + len(other) == len(own):
                raise ValueError(text)
            runner.logger.warning(text)

    def _compare_facts(self, runner, meta: dict) -> None:
        stored = _known(meta.get('dataset_meta')) | _known(
            dict(stream_channels=meta.get('stream_channels')))
        model = _known(dict(stream_channels=self._streams(runner)))
        for name, facts in (*self._facts(runner).items(), ('model', model)):
            for key in stored.keys() & facts.keys():
                difference = _difference(stored[key], facts[key])
                if difference:
                    raise ValueError(
                        f'{runner._load_from} was trained with other {key} '
                        f'than the {name}: {difference}')

    @staticmethod
    def _compare_order(runner, meta: dict) -> None:
        stored = {**(meta.get('training') or {}), 'seed': meta.get('seed')}
        own = dict(
            seed=runner._randomness_cfg.get('seed'),
            **_order_of_videos(runner))
        sampler: Any = getattr(runner._train_loop.dataloader.batch_sampler,
                               'sampler', None)
        if own['seed'] is None and hasattr(sampler, 'seed'):
            # MMEngine takes the checkpoint's, after it has built the sampler
            own['seed'] = sampler.seed = stored['seed']
        other = [
            f'{key}={value}, there {stored[key]}'
            for key, value in own.items()
            if stored.get(key) not in (None, value)
        ]
        if other:
            raise ValueError(
                'what decides the videos of an iteration is not what '
                f'{runner._load_from} was trained with: {", ".join(other)}. '
                'Resume with the same, or start a new training from these '
                'weights: without --resume, in another --work-dir, with '
                f'--cfg-options load_from={runner._load_from}')


@HOOKS.register_module()
class StopAtNonFiniteHook(Hook):
    """Stops a training at its first loss, or at the first step of a gradient,
    that is not finite.

    No checkpoint with weights that are not finite is written, so that the
    last one can be resumed. With mixed precision, steps that the gradient
    scaler skips are none.

    Raises:
        ValueError: It names the iteration, the losses and the videos.
    """

    priority = 'HIGH'

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs=None) -> None:
        """Checks the losses, and the weights after the step."""
        losses = {
            key: torch.as_tensor(value).detach().float().mean()
            for key, value in (outputs or {}).items()
        }
        weights = [
            x.detach().sum(dtype=torch.float32)
            for x in network(runner).parameters()
        ]
        # with one wait for the device
        every = [*weights, *losses.values()]
        if not every or torch.stack([x.to(every[0])
                                     for x in every]).isfinite().all():
            return
        bad = not all(x.isfinite() for x in losses.values())
        samples = (
            data_batch.get('data_samples')
            if isinstance(data_batch, Mapping) else None)
        names = [
            str(sample.get('video_name')) for sample in samples or []
            if hasattr(sample, 'get')
        ]
        last = runner.message_hub.runtime_info.get('last_ckpt', 'none')
        raise ValueError(
            f"iteration {runner.iter + 1}: the {'loss' if bad else 'gradient'}"
            ' is not finite, the training stops. Losses: ' +
            ', '.join(f'{key}={float(x):.4g}' for key, x in losses.items()) +
            f". Videos of this process: {', '.join(names)}. Last checkpoint: "
            f'{last}. Look at the features of these videos, or lower the '
            'learning rate (optim_wrapper.optimizer.lr)')

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Refuses to write weights that are not finite."""
        for part in ('state_dict', 'ema_state_dict'):
            for key, value in checkpoint.get(part, {}).items():
                if not value.isfinite().all():
                    raise ValueError(
                        f'iteration {runner.iter + 1}: the weights {key} are '
                        'not finite, the training stops')


@HOOKS.register_module()
class ConfigScheduleHook(Hook):
    """Lets a resumed training follow the schedule of its config.

    MMEngine restores those of the checkpoint, so that a longer training would
    go on with the learning rate that ended the shorter one. Here it is what an
    unbroken training with this config has at this iteration. Schedulers that
    count epochs stay as they were.

    Raises:
        ValueError: If the checkpoint lacks what a training goes on from, lies
            beyond the last iteration, or is of another optimizer, whose
            settings would silently replace those of the config.
    """

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Replaces the checkpoint's schedule by the config's."""
        if runner._resume:
            self._require_progress(runner, checkpoint)
        schedulers = runner.param_schedulers or []
        states = checkpoint.get('optimizer')
        if (not runner._resume or states is None
                or not isinstance(runner._train_loop, BaseLoop)
                or not isinstance(schedulers, list)
                or any(scheduler.by_epoch for scheduler in schedulers)):
            return
        with warnings.catch_warnings():
            # No optimizer steps between those of the schedulers.
            warnings.simplefilter('ignore', UserWarning)
            for _ in range(checkpoint['meta']['iter']):
                for scheduler in schedulers:
                    scheduler.step()
        own = runner.optim_wrapper.param_groups
        # The last group is MMEngine's, of the settings before paramwise_cfg.
        stored = [*states['param_groups']]
        if 'base_param_settings' in states:
            stored.append(states['base_param_settings'])
        checkpoint['param_schedulers'] = [
            scheduler.state_dict() for scheduler in schedulers
        ]
        keys = ('lr', 'initial_lr')
        if all(
                math.isclose(new.get(key, 0), old.get(key, 0), rel_tol=1e-9)
                for new, old in zip(own, stored) for key in keys):
            return  # the same to the last bit
        runner.logger.warning(
            "the config's schedule differs from the checkpoint's: the "
            f"learning rate goes on from {own[0]['lr']:.4g}, not from "
            f"{stored[0]['lr']:.4g}")
        for new, old in zip(own, stored):
            old.update({key: new[key] for key in keys if key in new})

    @staticmethod
    def _require_progress(runner, checkpoint: dict) -> None:
        done = (checkpoint.get('meta') or {}).get('iter')
        if not isinstance(done, int) or not checkpoint.keys() >= {
                'optimizer', 'message_hub'
        }:
            raise ValueError(
                f'{runner._load_from} lacks an optimizer, a message_hub or '
                'meta.iter: a training may start from it (load_from), not be '
                'resumed')
        if done > runner.max_iters:
            raise ValueError(
                f'{runner._load_from} is of iteration {done}, beyond train_cfg'
                f'.max_iters={runner.max_iters}: there is nothing to train')
        groups = checkpoint['optimizer'].get('param_groups')
        if groups is None or not hasattr(runner.optim_wrapper, 'param_groups'):
            return
        for own, old in zip(runner.optim_wrapper.param_groups, groups):
            other = [
                f'{key}={own[key]}, there {old[key]}'
                for key in own.keys() & old.keys()
                if isinstance(own[key], (float,
                                         tuple)) and own[key] != old[key]
                # what schedulers change is theirs
                and f'initial_{key}' not in old and key not in ('lr',
                                                                'initial_lr')
            ]
            if own.keys() - old.keys() and old.keys() - own.keys():
                other.append('it is of another type')
            if other:
                raise ValueError(
                    'the optimizer of the config is not that of '
                    f'{runner._load_from}: {", ".join(other)}. A training may '
                    'start from it (load_from), not be resumed')
