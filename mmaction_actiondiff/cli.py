"""What ``tools/train.py`` and ``tools/test.py`` share."""
from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
import tempfile
import traceback
import zipfile
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import torch
import torch.distributed as dist
from mmaction.registry import RUNNERS
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.model import is_model_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from .dumps import DumpPredictions, load_classes, load_dump

_PACKAGE = str(Path(__file__).parent)
_EXPECTED = (FileNotFoundError, TypeError, ValueError)


class UsageError(ValueError):
    """A user's mistake, which a tool explains in one line."""


def add_common_arguments(parser: ArgumentParser) -> None:
    """Add the options that both tools have."""
    parser.add_argument('--work-dir', help='folder of the logs and results')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        help='override settings of the config, as in `key=value '
        'model.head.ratio=8 thrs="[0.1,0.2]"`; `data_root=DIR` reaches every '
        'data set')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes of a distributed run were started')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def load_config(args: Namespace) -> Config:
    """Read the config and apply the options of both tools to it.

    ``work_dir`` is, in this order, ``--work-dir``, the config's, or
    ``work_dirs/NAME_OF_CONFIG``. A ``data_root`` among ``--cfg-options``
    replaces the one of every data set, which MMEngine would leave alone.

    Raises:
        FileNotFoundError: If the config does not exist.
    """
    if not os.path.isfile(args.config):
        raise FileNotFoundError(f'the config {args.config} does not exist')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    if 'data_root' in args.cfg_options:
        for phase in ('train', 'val', 'test'):
            _replace_data_root(
                cfg.get(f'{phase}_dataloader'), args.cfg_options['data_root'])
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = os.path.join('work_dirs', Path(args.config).stem)
    cfg.launcher = args.launcher
    init_default_scope(cfg.get('default_scope', 'mmaction'))
    return cfg


def _replace_data_root(node: Any, data_root: str) -> None:
    if isinstance(node, dict):
        if 'data_root' in node:
            node['data_root'] = data_root
        for child in node.values():
            _replace_data_root(child, data_root)
    elif isinstance(node, (list, tuple)):
        for child in node:
            _replace_data_root(child, data_root)


def build_runner(cfg: Config) -> Runner:
    """Build the runner, on CPUs also for a distributed run.

    Raises:
        FileNotFoundError: If the checkpoint to load does not exist.
        ValueError: If a CPU run is to be distributed other than by torchrun.
    """
    checkpoint = cfg.get('load_from')
    if checkpoint and '://' not in checkpoint and not os.path.isfile(
            checkpoint):
        raise FileNotFoundError(f'the checkpoint {checkpoint} does not exist')
    if cfg.launcher != 'none' and get_device() == 'cpu':
        # MMEngine would choose a GPU for every process; it leaves an
        # initialised process group alone.
        if cfg.launcher != 'pytorch':
            raise ValueError(
                'without a GPU only `--launcher pytorch` (torchrun) is '
                f'supported, got {cfg.launcher!r}')
        dist.init_process_group('gloo')
        cfg.setdefault(
            'model_wrapper_cfg',
            dict(
                type='MMDistributedDataParallel',
                device_ids=None,
                broadcast_buffers=False,
                find_unused_parameters=cfg.get('find_unused_parameters',
                                               False)))
    if 'runner_type' in cfg:
        return RUNNERS.build(cfg)
    return Runner.from_cfg(cfg)


def latest_checkpoint(work_dir: str) -> str | None:
    """Return the newest whole ``iter_N.pth`` or ``epoch_N.pth``, or None.

    A run that was killed while it wrote leaves a truncated file; its zip
    directory, which stands at the end, is missing then.
    """
    found = [
        (int(match[1]), str(path)) for path in Path(work_dir).glob('*')
        if (match := re.fullmatch(r'(?:iter|epoch)_(\d+)\.pth', path.name))
        and zipfile.is_zipfile(path)
    ]
    return max(found)[1] if found else None


@contextlib.contextmanager
def command() -> Iterator[None]:
    """Run a tool: end with the message alone where an error explains itself.

    These are the errors that a ``raise`` statement of this package has
    brought, in this process or in a worker of a data loader. All others keep
    their traceback.
    """
    try:
        yield
    except _EXPECTED as error:
        message = _explanation(error)
        if message is None:
            raise
        sys.exit(f'Error: {message}')
    finally:
        if dist.is_available() and dist.is_initialized():
            dist.destroy_process_group()


def _explanation(error: BaseException) -> str | None:
    if isinstance(error, UsageError):
        return str(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    if _is_ours(frame.filename, frame.line or ''):
        return str(error)
    # torch hands on the error of a worker as the text of its traceback.
    frames = re.findall(r'^  File "(.+)", line \d+, in .+\n    (.*)$',
                        str(error), re.MULTILINE)
    if 'in DataLoader worker process' in str(error) and frames and _is_ours(
            *frames[-1]):
        return re.split(rf'^{type(error).__name__}: ', str(error), 0,
                        re.MULTILINE)[-1].strip()
    return None


def _is_ours(filename: str, line: str) -> bool:
    return filename.startswith(_PACKAGE) and line.startswith('raise ')


def require_gpu_for_amp() -> None:
    """Refuse mixed precision on a CPU before anything is loaded.

    Raises:
        ValueError: If there is no accelerator.
    """
    if get_device() == 'cpu':
        raise ValueError('--amp needs a GPU, and torch '
                         f'{torch.__version__} finds none; leave it out')


def warn(message: str) -> None:
    """Print a warning before there is a logger, once for all ranks."""
    if int(os.environ.get('RANK', 0)) == 0:
        print(f'WARNING: {message}', file=sys.stderr, flush=True)


def where_next(runner: Runner) -> str:
    """Return what a finished training has left, and what to do with it.

    The commands name the config that the training has written: it holds what
    ``--cfg-options`` has changed. They call the tools that lie beside the one
    that runs, and work as they stand.
    """
    work_dir = _short(runner.work_dir)
    config = os.path.join(work_dir, os.path.basename(runner.cfg.filename))
    last = latest_checkpoint(work_dir)
    lines = [f'Finished. {work_dir} holds the config and the logs']
    if last is None:
        return lines[0]
    lines += [f'  {last} (last)']
    lines += [
        f'  {path} (best evaluation, test-selected)'
        for path in sorted(Path(work_dir).glob('best_*.pth'))
    ]
    tools = os.path.dirname(sys.argv[0])

    def call(tool: str, *words: str) -> str:
        return '  ' + _quote('python', os.path.join(tools, tool), *words)

    lines.append('Next:')
    if not hasattr(network(runner), 'dump_snippets'):
        return '\n'.join([*lines, call('test.py', config, last)])
    dump = os.path.join(work_dir, f'predictions_{Path(last).stem}.npz')
    return '\n'.join([
        *lines,
        call('test.py', config, last, '--dump', dump),
        call('visualize.py', dump, '--num', '8'),
        call('replay.py', config, dump)
    ])


def _short(path: str) -> str:
    """A path from here, or as it is where none leads there (Windows)."""
    try:
        return os.path.relpath(path)
    except ValueError:
        return path


def _quote(*words: str) -> str:
    """Words as a shell takes them."""
    return (subprocess.list2cmdline(words)
            if os.name == 'nt' else shlex.join(words))


def network(runner: Runner) -> Any:
    """The model of a runner, out of what distributes it."""
    model = runner.model
    return model.module if is_model_wrapper(model) else model


def set_test_dir(cfg: Config) -> None:
    """Give a test a folder of its own, ``test/`` in that of the run.

    A runner writes its config into its folder: a test in the folder of the
    training would replace the config that made the checkpoint.
    """
    cfg.work_dir = os.path.join(cfg.work_dir, 'test')


def check_output(path: str, overwrite: bool = True) -> None:
    """Refuse a file that cannot be written, before the work that fills it.

    Raises:
        ValueError: If the file is a folder or its folder cannot be written,
            or if it exists and may not be overwritten.
    """
    folder = os.path.dirname(path) or '.'
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f'{path} cannot be written: {error.strerror or error}') from error
    if os.path.isdir(path):
        raise ValueError(f'{path} is a folder; name a file')
    if os.path.exists(path) and not overwrite:
        raise ValueError(f'{path} exists: delete it, or name another file')


def dump_predictions(runner: Runner, path: str) -> None:
    """Let a test write its predictions, with the scores behind them.

    The config is left as it is.
    """
    evaluator = runner.test_loop.evaluator
    metric = DumpPredictions(path)
    metric.dataset_meta = evaluator.dataset_meta
    evaluator.metrics.append(metric)
    model = network(runner)
    if hasattr(model, 'dump_snippets'):
        model.dump_snippets = True


def read_dump(path: str,
              cfg: Config | None = None) -> tuple[list[dict], list[str]]:
    """Read a dump and the names of its classes.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no dump, or the model of ``cfg`` has
            another number of classes.
    """
    samples, classes = load_dump(path), load_classes(path)
    if cfg is not None and len(classes) != cfg.model.num_classes:
        raise ValueError(f'{path} has {len(classes)} classes, the model of '
                         f'{cfg.filename} has {cfg.model.num_classes}')
    return samples, classes


def test_seeds(runner: Runner, num_seeds: int) -> str:
    """Test with seeds 0, 1, ... of the sampler of the localizer.

    Returns:
        str: A table of the mean and the standard deviation (of the sample)
        of every metric.

    Raises:
        ValueError: If the localizer has no sampler to seed.
    """
    model = network(runner)
    if not hasattr(model, 'seed'):
        raise ValueError(
            f'{type(model).__name__} does not sample, hence has no seed: '
            'leave out --seeds')
    runs = []
    for seed in range(num_seeds):
        model.seed = seed
        runs.append(runner.test())
    lines = [f'mean and standard deviation over {num_seeds} sampler seeds']
    for key in runs[0]:
        values = np.array([run[key] for run in runs], dtype=float)
        lines.append(f'  {key:<24} {values.mean():8.3f} '
                     f'± {values.std(ddof=1):.3f}')
    return '\n'.join(lines)
