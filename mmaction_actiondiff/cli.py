# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""What ``tools/train.py`` and ``tools/test.py`` share."""
from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import shlex
import subprocess
import sys
import traceback
import zipfile
import zlib
from argparse import (ArgumentParser, ArgumentTypeError, Namespace,
                      RawDescriptionHelpFormatter)
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from glob import glob
from pathlib import Path

import mmaction.registry
import mmengine
import numpy as np
import torch
import torch.distributed as dist
from filelock import FileLock, Timeout
from mmaction.registry import OPTIMIZERS, RUNNERS
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.evaluator import BaseMetric
from mmengine.registry import Registry, init_default_scope
from mmengine.runner import BaseLoop, Runner
from mmengine.utils import import_modules_from_strings

from . import settings
from .dumps import DumpPredictions
from .files import check_output
from .hooks import network

_PACKAGE = str(Path(__file__).parent)
# The parts of MMEngine whose errors name a type, an argument or a setting.
_MMENGINE = tuple(
    os.path.join(os.path.dirname(mmengine.__file__), part)
    for part in ('config', 'registry'))
# What is raised here on purpose explains itself.
_RAISING = (_PACKAGE, os.path.join(torch.__path__[0], 'optim'),
            os.path.join(torch.__path__[0], 'utils', 'data'),
            os.path.join(mmengine.__path__[0], 'runner', 'runner.py'),
            os.path.dirname(multiprocessing.__file__))
# What a launcher tells each of its processes.
_LAUNCHED = dict(
    pytorch='RANK', slurm='SLURM_PROCID', mpi='OMPI_COMM_WORLD_RANK')
_EXPECTED = (OSError, TypeError, ValueError, KeyError, AttributeError,
             AssertionError, ModuleNotFoundError)

_CHECKPOINT = re.compile(r'(?:iter|epoch)_(\d+)\.pth')
# The workers of a killed training hold its lock a little longer.
_LOCK_SECONDS = 10.
# Options whose value is a path, by the end of their name.
_PATHS = re.compile(
    r'(^|[._])(root|dir|file|path|folder|load_from|video_scores)$')


class UsageError(ValueError):
    """A user's mistake, which a tool explains in one line."""


class VideoNameParser(ArgumentParser):
    """Takes what is no option of its own for a value: the name of a video may
    begin with a dash, as ``-aBcDeFgHiJ`` of ActivityNet does."""

    def _parse_optional(self, arg_string: str):
        option = arg_string.split('=')[0]
        if option.startswith('-') and any(
                known.startswith(option)
                for known in self._option_string_actions):
            return super()._parse_optional(arg_string)
        return None


def make_parser(description: str | None,
                kind: type[ArgumentParser] = ArgumentParser) -> ArgumentParser:
    """A parser that shows the docstring of a tool as it stands."""
    return kind(
        description=description, formatter_class=RawDescriptionHelpFormatter)


def at_least(least: int) -> Callable[[str], int]:
    """A type of argparse: an integer that is not below ``least``."""

    def whole(text: str) -> int:
        value = int(text)
        if value < least:
            raise ArgumentTypeError(f'must be >= {least}, got {text}')
        return value

    return whole


def share(text: str) -> float:
    """A type of argparse: a number in [0, 1]."""
    value = float(text)
    if not 0 <= value <= 1:
        raise ArgumentTypeError(f'must lie in [0, 1], got {text}')
    return value


def device(text: str) -> str:
    """A type of argparse: a device that torch can use here."""
    try:
        torch.zeros((), device=text)
    except (RuntimeError, AssertionError) as error:
        raise ArgumentTypeError(
            f'{text} cannot be used: {str(error).splitlines()[0]}') from error
    return text


class ConfigOptions(DictAction):
    """``key=value``, where a value that is a path stays as it is.

    MMEngine reads ``data_root=2024`` as a number, ``a,b`` as a list, and
    ``(old)`` as a tuple.
    """

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        pairs = [value.partition('=') for value in values]
        for word, (key, equals, _) in zip(values, pairs):
            if not equals or not all(key.split('.')):
                parser.error(f'--cfg-options takes KEY=VALUE, got {word!r}')
        paths = {
            key: text
            for key, _, text in pairs if _PATHS.search(key) and text != 'None'
        }
        super().__call__(
            parser, namespace,
            [f'{key}={text}'
             for key, _, text in pairs if key not in paths], option_string)
        getattr(namespace, self.dest).update(paths)


def add_config_options(parser: ArgumentParser, words: str) -> None:
    """Add ``--cfg-options``; ``words`` say what it is for."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        default={},
        metavar='KEY=VALUE',
        help=words)


def add_common_arguments(parser: ArgumentParser) -> None:
    """Add the options that training and testing have."""
    parser.add_argument('--work-dir', help='folder of the logs and results')
    add_config_options(
        parser, 'override settings of the config, as in `model.seed=1 '
        'test_evaluator.tiou_thrs="[0.1,0.2]"`; data_root, num_classes and '
        'other variables of the config reach every place that has them')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes of a distributed run were started')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def load_config(args: Namespace) -> Config:
    """Read the config and apply the options of the tools to it.

    ``work_dir`` is, in this order, ``--work-dir``, the config's, or
    ``work_dirs/NAME_OF_CONFIG``.

    Raises:
        FileNotFoundError: If the config does not exist.
        ValueError: If it cannot be read, or nothing reads an option or a
            variable.
    """
    if not os.path.isfile(args.config):
        others = glob(os.path.join(os.path.dirname(args.config), '*.py'))
        raise FileNotFoundError(f'the config {args.config} does not exist' +
                                settings.closest(args.config, others, 0.6))
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    try:
        cfg = Config.fromfile(args.config)
    except Exception as error:  # a config is a program
        if isinstance(error, OSError) and error.strerror:
            raise
        raise ValueError(f'the config {args.config} cannot be read: '
                         f'{type(error).__name__}: {error}') from error
    refuse_options(args, 'launcher')
    if args.work_dir is not None:
        refuse_options(args, 'work_dir')
    settings.apply_inherited(cfg)
    if cfg.get('auto_scale_lr') and cfg.get('train_dataloader'):
        # What the learning rate of the config is meant for.
        cfg.auto_scale_lr.setdefault('base_batch_size',
                                     cfg.train_dataloader.get('batch_size'))
    settings.apply_options(cfg, args.cfg_options)
    if any(key.startswith('custom_imports') for key in args.cfg_options):
        try:
            import_modules_from_strings(**cfg.custom_imports)
        except ImportError as error:
            raise ValueError(
                f'--cfg-options custom_imports: {error}') from None
    settings.check(cfg)
    for words in (*settings.drop_late_schedulers(cfg),
                  *settings.drop_sampler_batch_size(cfg)):
        warn(words)
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = os.path.join('work_dirs', Path(args.config).stem)
    cfg.launcher = args.launcher
    init_default_scope(cfg.get('default_scope', 'mmaction'))
    return cfg


def refuse_options(args: Namespace, *names: str) -> None:
    """Refuse ``--cfg-options`` that the arguments of a tool replace.

    Args:
        args (Namespace): The parsed command line.
        names (str): Keys that are replaced, with all that lies below them.

    Raises:
        ValueError: It names the option.
    """
    for option in args.cfg_options:
        if any(f'{option}.'.startswith(f'{name}.') for name in names):
            raise ValueError(f'--cfg-options {option}=... changes nothing '
                             'here: the arguments of the tool say it, see '
                             '--help')


def build_runner(cfg: Config) -> Runner:
    """Build the runner, on CPUs also for a distributed run.

    Raises:
        FileNotFoundError: If the checkpoint to load does not exist.
        ValueError: If a CPU run is to be distributed other than by torchrun,
            a launcher has started no process, or the config is of no run.
    """
    checkpoint = cfg.get('load_from')
    if checkpoint and '://' not in checkpoint:
        if os.path.isdir(checkpoint):
            raise ValueError(
                f'{checkpoint} is a folder, not a checkpoint; its latest is '
                f'{latest_checkpoint(checkpoint)}')
        if not os.path.isfile(checkpoint):
            raise FileNotFoundError(
                f'the checkpoint {checkpoint} does not exist')
        with open(checkpoint, 'rb') as file:
            zipped = file.read(2) == b'PK'  # torch's format, whole or not
        if zipped and not is_whole(checkpoint):
            other = latest_checkpoint(os.path.dirname(checkpoint) or '.')
            raise ValueError(
                f'{checkpoint} is damaged, or was not written to its end; '
                f'take {other or "another one"}')
    if 'model' not in cfg:
        raise ValueError(f'{cfg.filename} is no config of a run: it has no '
                         'model')
    if cfg.get('train_dataloader') and torch.cuda.is_available():
        # the copy to the GPU then runs beside its computations
        cfg.train_dataloader.setdefault('pin_memory', True)
    if cfg.launcher not in ('none', 'pytorch') and get_device() == 'cpu':
        raise ValueError('without a GPU only `--launcher pytorch` (torchrun) '
                         f'is supported, got {cfg.launcher!r}')
    variable = _LAUNCHED.get(cfg.launcher)
    if variable and variable not in os.environ:
        raise ValueError(
            f'--launcher {cfg.launcher} is for the processes that '
            f'it starts: {variable} is not set; tools/dist_train.sh and '
            'tools/slurm_train.sh start them')
    kind = ((cfg.get('optim_wrapper') or {}).get('optimizer')
            or {}).get('type')
    if isinstance(kind, str) and OPTIMIZERS.get(kind) is None:
        raise ValueError(_unknown_type(kind, 'optimizer'))
    if cfg.launcher != 'none' and get_device() == 'cpu':
        # MMEngine would choose a GPU for every process; it leaves an
        # initialised process group alone.
        dist.init_process_group('gloo')
        cfg.setdefault(
            'model_wrapper_cfg',
            dict(
                type='MMDistributedDataParallel',
                device_ids=None,
                broadcast_buffers=False,
                find_unused_parameters=cfg.get('find_unused_parameters',
                                               False)))
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)


def is_whole(path: str | os.PathLike) -> bool:
    """Whether a checkpoint was written to its end and is undamaged: its zip
    directory stands at the end, and the parts have check sums."""
    try:
        with zipfile.ZipFile(path) as file:
            return file.testzip() is None
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError,
            NotImplementedError, RuntimeError):
        return False


def latest_checkpoint(work_dir: str | os.PathLike) -> str | None:
    """Return the checkpoint that a training goes on from, or None.

    It is the one that MMEngine's file ``last_checkpoint`` names, sought in
    ``work_dir``, wherever that has been copied from; if it is damaged or
    away, the newest whole ``iter_N.pth`` or ``epoch_N.pth`` before it, with a
    warning.
    """
    numbers = {
        path: int(match[1])
        for path in Path(work_dir).glob('*')
        if (match := _CHECKPOINT.fullmatch(path.name))
    }
    with contextlib.suppress(OSError):
        text = Path(work_dir, 'last_checkpoint').read_text('utf-8', 'replace')
        match = _CHECKPOINT.fullmatch(re.split(r'[/\\]', text.strip())[-1])
        if match:
            last = int(match[1])
            numbers = {path: n for path, n in numbers.items() if n <= last}
    for path in sorted(numbers, key=lambda path: -numbers[path]):
        if is_whole(path):
            return str(path)
        warn(f'{path} is damaged, or was not written to its end: the one '
             'before it is sought')
    return None


def set_aside(work_dir: str | os.PathLike, config: str) -> str | None:
    """Move an earlier training out of the way of a new one: its checkpoints,
    predictions, logs, report and the file called ``config``.

    Returns:
        str | None: Where to, the first free folder ``earlier_N`` in
        ``work_dir``; None if there was no checkpoint.
    """
    folder = Path(work_dir)
    if not has_checkpoint(folder):
        return None
    number = 1
    while (target := folder / f'earlier_{number}').exists():
        number += 1
    target.mkdir()
    for pattern in ('iter_*.pth', 'epoch_*.pth', 'best_*.pth',
                    'last_checkpoint', '*.npz', 'pictures', 'test',
                    'report.html', '[0-9]*_[0-9]*'):
        for path in list(folder.glob(pattern)):
            path.rename(target / path.name)
    if (folder / config).is_file():
        (folder / config).rename(target / config)
    return str(target)


def has_checkpoint(work_dir: str | os.PathLike) -> bool:
    """Whether a training has left one there, whole or not."""
    return any(
        _CHECKPOINT.fullmatch(path.name) for path in Path(work_dir).glob('*'))


def put_back(work_dir: str | os.PathLike, aside: str) -> None:
    """Undo :func:`set_aside`; a config of the same name is replaced."""
    for path in Path(aside).glob('*'):
        os.replace(path, Path(work_dir, path.name))
    os.rmdir(aside)
    warn(f'what was moved to {aside} is in {work_dir} again')


def refuse_set_aside(work_dir: str | os.PathLike) -> None:
    """Refuse to resume where the last training was set aside.

    Raises:
        ValueError: It names the last checkpoint that was.
    """
    aside = [
        last for path in Path(work_dir).glob('earlier_*')
        if (last := latest_checkpoint(path))
    ]
    if aside:
        newest = max(aside, key=os.path.getmtime)
        raise ValueError(
            f'{work_dir} holds no whole checkpoint to go on from; a training '
            'in it was set aside when a new one began: --resume '
            f'{newest} goes on with that; without --resume one begins anew')


@contextlib.contextmanager
def exclusive(lock: str, seconds: float, taken: str) -> Iterator[None]:
    """Hold a lock, a file; ``taken`` says what holds it for longer.

    Raises:
        ValueError: If it cannot be had.
    """
    check_output(lock)
    os.makedirs(os.path.dirname(lock), exist_ok=True)
    try:
        held = FileLock(lock).acquire(timeout=seconds)
    except Timeout:
        raise ValueError(f'{taken}: name another --work-dir') from None
    with held:
        yield


@contextlib.contextmanager
def work_folder(cfg: Config) -> Iterator[None]:
    """Keep the work folder of a training from any other.

    A new training sets aside what an earlier one has left there; if it fails
    before it has a checkpoint of its own, all that is put back.

    Raises:
        ValueError: If the folder cannot be written, another training is
            running in it, or the new one is to start from a checkpoint in it.
    """
    if rank() > 0:
        yield
        return
    with exclusive(
            os.path.join(cfg.work_dir, 'train.lock'), _LOCK_SECONDS,
            f'another training is running in {cfg.work_dir}'):
        earlier = None
        if not cfg.get('resume'):
            source = cfg.get('load_from')
            place = Path(source).resolve() if source else Path()
            if Path(cfg.work_dir).resolve() in (place, place.parent):
                raise ValueError(
                    f'{source}, from which this training starts, lies in its '
                    'work folder, which would be set aside: name another '
                    '--work-dir')
            earlier = set_aside(cfg.work_dir,
                                os.path.basename(cfg.filename or ''))
            if earlier:
                warn(f'{cfg.work_dir} held a training, which --resume would '
                     f'have gone on with: it was moved to {earlier}')
        try:
            yield
        except Exception:
            if earlier and not has_checkpoint(cfg.work_dir):
                put_back(cfg.work_dir, earlier)
            raise


@contextlib.contextmanager
def command(interrupted: str = 'interrupted') -> Iterator[None]:
    """Run a tool: end with the message alone where an error explains itself.

    These are the errors that a ``raise`` statement of this package, of
    MMEngine's runner, or of torch's optimizers and loaders has brought, also
    in a worker; those of files that cannot be read or written; and those about
    a type, an argument or a config. All others keep their traceback.
    ``interrupted`` is what to say after Ctrl-C.
    """
    try:
        yield
    except (KeyboardInterrupt, Exception) as error:
        if _was_interrupted(error):
            print(f'\n{interrupted}', file=sys.stderr)
            sys.exit(130)
        message = _explanation(error) if isinstance(error, _EXPECTED) else None
        if message is None:
            raise
        sys.exit(f'Error: {message}')
    finally:
        if dist.is_available() and dist.is_initialized():
            dist.destroy_process_group()


def _was_interrupted(error: BaseException | None) -> bool:
    """Tell whether Ctrl-C came first, which libraries make other errors of.

    MMEngine's printer of configs says that the config's syntax is wrong.
    """
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _explanation(error: BaseException) -> str | None:
    if isinstance(error, OSError) and error.strerror:
        place = f'{error.filename}: ' if error.filename else ''
        return f'{place}{error.strerror}'
    text = str(error.args[0]) if isinstance(error, KeyError) else str(error)
    if unknown := re.match(r'(\w+) is not in the \w+::([\w ]+) registry',
                           text):
        return _unknown_type(*unknown.groups())
    frame = traceback.extract_tb(error.__traceback__)[-1]
    if isinstance(error,
                  UsageError) or frame.name != 'call_hook' and (_explains(
                      text, frame.filename, frame.line)):
        return text
    if text and isinstance(
            error, (TypeError, ValueError, AttributeError, AssertionError)):
        calls = [call for call, _ in traceback.walk_tb(error.__traceback__)]
        for call in reversed(calls):
            if call.f_code.co_name == 'build_from_cfg':
                return f"{call.f_locals.get('obj_type')}: {text}"
    # torch hands on the error of a worker as the text of its traceback.
    worker = re.findall(r'^  File "(.+)", line \d+, in .+\n    (.*)$', text,
                        re.MULTILINE)
    if 'in DataLoader worker process' in text and worker and _explains(
            text, *worker[-1]):
        return re.split(rf'^{type(error).__name__}: ', text, 0,
                        re.MULTILINE)[-1].strip()
    return None


def _unknown_type(name: str, kind: str) -> str:
    """What a misspelt ``type`` may have meant."""
    known = {
        other
        for registry in vars(mmaction.registry).values()
        if isinstance(registry, Registry) and registry.name == kind
        for part in filter(None, (registry, registry.parent))
        for other in part.module_dict
    }
    close = settings.closest(name, known - {name})
    return f"type='{name}' is no {kind}{close}"


def _explains(text: str, filename: str, line: str | None) -> bool:
    return (filename.startswith(_RAISING) and (line or '').startswith('raise ')
            or filename.startswith(_MMENGINE)
            or 'unexpected keyword argument' in text
            and filename.startswith(os.path.dirname(mmengine.__file__)))


def refuse_same_names(paths: Iterable[str]) -> None:
    """Refuse files of one name in several folders: the results are kept by
    name.

    Raises:
        ValueError: If there are such files.
    """
    stems = Counter(Path(path).stem for path in paths)
    twice = [name for name, number in stems.items() if number > 1]
    if twice:
        raise ValueError(f'several inputs have the same name: {twice[:5]}; '
                         'results are kept by name, so take them one after '
                         'the other, each into a place of its own')


def end_with(errors: Collection[str], total: int) -> None:
    """Name the inputs that could not be used, if any, and exit with 1."""
    if errors:
        sys.exit('\n  '.join([
            f'Error: {len(errors)} of {total} inputs could not be used:',
            *errors
        ]))


def rank() -> int:
    """The number of this process, before the processes know each other."""
    names = _LAUNCHED.values()
    return int(next((os.environ[n] for n in names if n in os.environ), 0))


def warn(message: str) -> None:
    """Print a warning before there is a logger, once for all ranks."""
    if rank() == 0:
        print(f'WARNING: {message}', file=sys.stderr, flush=True)


def where_next(runner: Runner) -> str:
    """Return what a finished training has left, and what to do with it.

    The commands work as they stand: they name the config that the training
    has written, and the tools beside the one that runs.
    """
    work_dir = runner.work_dir
    with contextlib.suppress(ValueError):  # no way leads there (Windows)
        work_dir = os.path.relpath(work_dir)
    config = os.path.join(work_dir, os.path.basename(runner.cfg.filename))
    last = latest_checkpoint(work_dir)
    lines = [f'Finished. {work_dir} holds the config and the logs']
    if last is None:
        return lines[0]
    lines.append(f'  {last} (last)')
    for path in sorted(Path(work_dir).glob('best_*.pth')):
        by = ('by the labels of held-out videos'
              if path.name.startswith('best_label_') else
              'evaluation, test-selected')
        lines.append(f'  {path} (best {by})')
    dump = os.path.join(work_dir, f'predictions_{Path(last).stem}.npz')
    calls = [['test.py', config, last, '--dump', dump],
             ['visualize.py', dump, '--num', '8'], ['replay.py', config, dump],
             ['report.py', work_dir]]
    if not hasattr(network(runner), 'dump_snippets'):
        calls = [['test.py', config, last]]
    tools = os.path.dirname(sys.argv[0])
    quote = subprocess.list2cmdline if os.name == 'nt' else shlex.join
    lines.append('Next:')
    lines += [
        '  ' + quote(['python', os.path.join(tools, tool), *words])
        for tool, *words in calls
    ]
    return '\n'.join(lines)


def dump_predictions(runner: Runner, path: str) -> None:
    """Let a test write its predictions, with the scores behind them."""
    add_metric(runner, DumpPredictions(path))
    model = network(runner)
    if hasattr(model, 'dump_snippets'):
        model.dump_snippets = True


def keep_validation(runner: Runner) -> str | None:
    """Let a training write what its last validation predicts; the file."""
    # a fault of the training data is told first, as without this
    if (not hasattr(network(runner), 'dump_snippets')
            or None in (runner.train_loop, runner.val_loop)):
        return None
    path = os.path.join(runner.work_dir, 'validation.npz')
    add_metric(runner, DumpPredictions(path, curves=False), runner.val_loop)
    return path


def add_metric(runner: Runner,
               metric: BaseMetric,
               loop: BaseLoop | None = None) -> None:
    """Add a metric to the test, or another loop; the config is left as it
    is."""
    evaluator = (loop or runner.test_loop).evaluator
    metric.dataset_meta = evaluator.dataset_meta
    evaluator.metrics.append(metric)


def test_seeds(runner: Runner, num_seeds: int) -> str:
    """Test with seeds 0, 1, ... of the sampler of the localizer; a table of
    the mean and the standard deviation (of the sample) of every metric.

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
