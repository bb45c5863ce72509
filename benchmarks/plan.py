# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""What a benchmark runs: the entries of its plan, seed by seed."""
from __future__ import annotations

import hashlib
import json
import os
import re
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence
from unittest.mock import patch

from mmengine.config import Config

from mmaction_actiondiff import cli
from mmaction_actiondiff.evaluation import make_protocol

from . import ROOT, BenchmarkError

FAMILIES = ('ours', 'control', 'wtal', 'supervised')
_TRAIN = ['tools/train.py', '{run}/train.py', '--work-dir', '{run}/train']
_NAME = re.compile(r'[A-Za-z0-9][\w.-]*')


@dataclass
class Run:
    """One entry with one seed.

    Attributes:
        key (str): Digest of all that decides the result: resolved configs,
            commands, environment, and the keys of the runs it builds on.
        folder (Path): ``ENTRY/seed_N-KEY``: with other options it is another
            folder, so that nothing finished is ever replaced.
        configs (dict[str, Config]): The stages, the evaluated one last.
        commands (list[list[str]]): Scripts below the root, with arguments.
        checkpoint (Path): Of the last iteration.
    """
    name: str
    seed: int
    key: str
    folder: Path
    configs: dict[str, Config]
    commands: list[list[str]]
    env: dict[str, str]
    needs: list[Run]
    checkpoint: Path
    main_metric: str

    def __str__(self) -> str:
        return f'{self.name} seed {self.seed}'

    def result(self) -> dict | None:
        """What the finished run has found."""
        path = self.folder / 'result.json'
        if not path.is_file():
            return None
        result = json.loads(path.read_text(encoding='utf-8'))
        return result if result['key'] == self.key else None


def load_plan(path: str) -> Config:
    """Read a plan, or make one of the config of a single model.

    Entries that a derived plan sets to None are left out.

    Raises:
        BenchmarkError: If there is no such file, or an entry has an unknown
            family, or a name that is no plain name of a folder.
    """
    if not os.path.isfile(path):
        raise BenchmarkError(f'the plan {path} does not exist; see '
                             'configs/benchmarks/*.py')
    bench = Config.fromfile(path)
    if 'model' in bench:
        bench = _plan_of_one(path, bench)
    bench.name = Path(path).stem
    bench.entries = {k: v for k, v in bench.entries.items() if v is not None}
    names = [bench.name, *bench.entries]
    for name, entry in bench.entries.items():
        names += entry.get('parts', ())
        if entry.family not in FAMILIES:
            raise BenchmarkError(f'{path}: the family of {name} must be one '
                                 f'of {FAMILIES}, got {entry.family!r}')
    for name in names:
        if not _NAME.fullmatch(name):
            raise BenchmarkError(
                f'{path}: {name!r} is to name a folder below --work-dir: use '
                'letters, digits, "_", "-" and ".", a letter or digit first')
    return bench


def metrics_of(cfg: Config) -> list[Any]:
    """The metrics of ``test_evaluator``."""
    metrics = cfg.get('test_evaluator') or []
    return metrics if isinstance(metrics, list) else [metrics]


def _plan_of_one(path: str, cfg: Config) -> Config:
    metrics = [m for m in metrics_of(cfg) if m['type'] == 'DetectionMAP']
    if not metrics:
        raise BenchmarkError(f'{path}: its test_evaluator has no DetectionMAP '
                             'to report')
    protocol = make_protocol(metrics[0].get('protocol', 'seconds212'))
    low, high = protocol.averages[0]
    name = Path(path).stem
    config = os.path.relpath(os.path.realpath(path), ROOT)
    return Config(
        dict(
            data=name,
            protocol=protocol.name,
            other_protocols=[],
            main_metric=f'det/mAP@{low:.2f}:{high:.2f}',
            base=name,
            ceiling=None,
            compare=[],
            entries={name: dict(config=config, family='ours', label=name)}))


def filled(value: Any, places: Mapping[str, str]) -> Any:
    """A nest of containers whose strings have ``{place}`` filled in."""
    if isinstance(value, str):
        for place, text in places.items():
            value = value.replace(f'{{{place}}}', text)
    elif isinstance(value, Mapping):
        return {k: filled(v, places) for k, v in value.items()}
    elif isinstance(value, (list, tuple)):
        return type(value)(filled(item, places) for item in value)
    return value


class Plan:
    """All runs of a benchmark, those that others build on first.

    Args:
        bench (Config): What :func:`load_plan` returns.
        work_dir (str | Path): The runs are in the folder of the plan's name
            below it.
        seeds (Sequence[int]): Of every entry.
        entries (Sequence[str], optional): Only these, and those they build
            on.
        options (Mapping, optional): Override settings of every entry.

    Raises:
        BenchmarkError: If an entry is unknown, or evaluated by another
            protocol than the plan states.
    """

    def __init__(self,
                 bench: Config,
                 work_dir: str | Path,
                 seeds: Sequence[int],
                 entries: Sequence[str] | None = None,
                 options: Mapping | None = None) -> None:
        self.bench = bench
        self.folder = Path(os.path.abspath(work_dir), bench.name)
        self.seeds = seeds
        self.options = options or {}
        self.runs: dict[tuple[str, int], Run] = {}
        unknown = sorted(set(entries or ()) - set(bench.entries))
        if unknown:
            raise BenchmarkError(f'{bench.name} has the entries '
                                 f'{sorted(bench.entries)}, not {unknown}')
        for seed in seeds:
            for name in bench.entries:
                self.add(name, seed)
        wanted = set(entries or bench.entries)
        for run in reversed(self.runs.values()):  # what needs others is last
            if run.name in wanted:
                wanted.update(other.name for other in run.needs)
        self.wanted = [run for run in self.runs.values() if run.name in wanted]

    def results(self) -> dict[str, dict[int, dict]]:
        """Of the finished runs, by entry and seed."""
        found: dict[str, dict[int, dict]] = {}
        for name in self.bench.entries:
            for seed in self.seeds:
                if result := self.runs[name, seed].result():
                    found.setdefault(name, {})[seed] = result
        return found

    def add(self, name: str, seed: int) -> Run:
        """The run of an entry, made with all that it builds on."""
        if (name, seed) in self.runs:
            return self.runs[name, seed]
        entry = self.bench.entries[name]
        scores = entry.get('video_scores')
        needs = [
            self.add(other, seed) for other in (*entry.get('needs', ()),
                                                *([scores] if scores else ()))
        ]
        # Folders stay names in braces until the key is known: it says what is
        # run, not where.
        env = dict(entry.get('env', {}))
        configs = {
            part: self.resolve(path, entry, seed, env)
            for part, path in entry.get('parts', dict(
                train=entry['config'])).items()
        }
        last = list(configs)[-1]
        self.check_protocol(name, configs[last])
        commands = filled(
            entry.get('commands', [_TRAIN]), dict(seed=str(seed)))
        iterations = configs[last].train_cfg.max_iters
        checkpoint = f'{{run}}/{last}/iter_{iterations}.pth'
        commands.append([
            'benchmarks/measure.py', f'{{run}}/{last}.py', checkpoint, '--out',
            f'{{run}}/measured_{last}.json', '--work-dir', '{run}/measured',
            '--scores-out', '{run}/video_scores.npz'
        ])
        if self.bench.other_protocols:
            commands[-1] += ['--protocols', *self.bench.other_protocols]
        if scores:
            commands[-1] += [
                '--video-scores', f'{{{scores}}}/video_scores.npz'
            ]
        content = {part: cfg.to_dict() for part, cfg in configs.items()}
        text = json.dumps(
            [content, commands, env, [other.key for other in needs]],
            sort_keys=True,
            default=str)
        key = hashlib.sha256(text.encode()).hexdigest()
        folder = self.folder / name / f'seed_{seed}-{key[:8]}'
        places = dict(run=str(folder))
        for other in needs:
            places[other.name] = str(other.folder)
            places[f'{other.name}_checkpoint'] = str(other.checkpoint)
        run = Run(
            name=name,
            seed=seed,
            key=key,
            folder=folder,
            configs={
                k: Config(filled(v, places))
                for k, v in content.items()
            },
            commands=filled(commands, places),
            env=filled(env, places),
            needs=needs,
            checkpoint=Path(filled(checkpoint, places)),
            main_metric=self.bench.main_metric)
        self.runs[name, seed] = run
        return run

    def resolve(self, path: str, entry: Mapping, seed: int,
                env: Mapping[str, str]) -> Config:
        """A config as it will be run."""
        args = Namespace(
            config=str(ROOT / path.replace('{data}', self.bench.data)),
            cfg_options={
                # logs only: tell the iteration of a validation
                'default_hooks.logger.log_metric_by_epoch': False,
                **self.bench.get('options', {}),
                **entry.get('options', {}),
                **self.options,
                'randomness.seed': seed
            },
            work_dir='.',
            launcher='none',
            local_rank=0)
        with patch.dict(os.environ, env):
            cfg = cli.load_config(args)
        cfg.pop('work_dir')
        return cfg

    def check_protocol(self, name: str, cfg: Config) -> None:
        """All entries of a table are evaluated alike."""
        for metric in metrics_of(cfg):
            # what has a prefix is given besides
            if 'DetectionMAP' in metric['type'] and 'prefix' not in metric:
                found = metric.get('protocol', 'seconds212')
                if found != self.bench.protocol:
                    raise BenchmarkError(
                        f'{name} is evaluated by {found!r}, the benchmark '
                        f'{self.bench.name} by {self.bench.protocol!r}')
