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
from typing import Any, ContextManager, Mapping, Sequence

from mmengine.config import Config

from mmaction_actiondiff import cli
from mmaction_actiondiff.evaluation import make_protocol

from . import ROOT

_NAME = re.compile(r'[A-Za-z0-9][\w.-]*')


@dataclass
class Run:
    """One entry with one seed.

    Attributes:
        key (str): Digest of all that decides the result: resolved config, and
            the key of the run it builds on.
        folder (Path): ``ENTRY/seed_N-KEY``: with other options it is another
            folder, so that nothing finished is ever replaced.
        config (Config): What is trained and tested.
        main_metric (str): What is said when it has finished.
        source (Run, optional): What it builds on: its video scores.
    """
    name: str
    seed: int
    key: str
    folder: Path
    config: Config
    main_metric: str
    source: Run | None = None

    def __str__(self) -> str:
        return f'{self.name} seed {self.seed}'

    def result(self) -> dict | None:
        """What the finished run has found."""
        path = self.folder / 'result.json'
        return json.loads(path.read_text('utf-8')) if path.is_file() else None


def load_plan(path: str) -> Config:
    """Read a plan, or make one of the config of a single model.

    Entries that a derived plan sets to None are left out.

    Raises:
        UsageError: If there is no such file, it lacks a key or names an entry
            that is not there, or an entry has a name that is no plain name of
            a folder.
    """
    if not os.path.isfile(path):
        raise cli.UsageError(f'the plan {path} does not exist; see '
                             'configs/benchmarks/*.py')
    bench = Config.fromfile(path)
    if 'model' in bench:
        bench = _plan_of_one(path, bench)
    lacking = {'data', 'protocol', 'main_metric', 'base', 'entries'
               } - set(bench)
    if lacking:
        raise cli.UsageError(f'the plan {path} lacks {sorted(lacking)}; '
                             'configs/benchmarks/shrec21.py explains them')
    for key, value in dict(
            other_protocols=[], ceiling=None, compare=[]).items():
        bench.setdefault(key, value)
    unknown = {bench.base, bench.ceiling, *sum(map(list, bench.compare), [])
               } - {None, *bench.entries}
    if unknown:
        raise cli.UsageError(f'{path}: base, ceiling and compare name entries '
                             f'that there are not: {sorted(unknown)}')
    bench.name = Path(path).stem
    bench.entries = {k: v for k, v in bench.entries.items() if v is not None}
    for name in (bench.name, *bench.entries):
        if not _NAME.fullmatch(name):
            raise cli.UsageError(
                f'{path}: {name!r} is to name a folder below --work-dir: use '
                'letters, digits, "_", "-" and ".", a letter or digit first')
    return bench


def metrics_of(cfg: Config) -> list[Any]:
    """The metrics of ``test_evaluator``."""
    metrics = cfg.get('test_evaluator') or []
    return metrics if isinstance(metrics, list) else [metrics]


def evaluators(cfg: Config, protocols: Sequence[str],
               video_scores: str | None) -> list[dict]:
    """What a run is tested by: the metrics of its config, the same by further
    protocols, whose names prefix them, and recall.

    With ``video_scores``, the dump of a localizer, the proposals of a
    class-agnostic one are paired with these, too.
    """
    found = list(metrics_of(cfg))
    # what has a prefix is given besides the protocol of the plan
    main = [metric for metric in found if 'prefix' not in metric]
    if video_scores:
        main = [
            dict(metric, video_scores=video_scores) for metric in main
            if metric['type'] == 'PairedDetectionMAP'
        ]
        found += main
    given = {metric.get('prefix') for metric in found}
    found += [
        dict(metric, protocol=name, prefix=name) for name in protocols
        if name not in given for metric in main
        if metric['type'] == 'DetectionMAP' or video_scores
    ]
    if not any(metric['type'] == 'ProposalRecall' for metric in found):
        found.append(dict(type='ProposalRecall'))
    return found


def _plan_of_one(path: str, cfg: Config) -> Config:
    metrics = [m for m in metrics_of(cfg) if m['type'] == 'DetectionMAP']
    if not metrics:
        raise cli.UsageError(f'{path}: its test_evaluator has no DetectionMAP '
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
        UsageError: If an entry is unknown, or evaluated by another
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
            raise cli.UsageError(f'{bench.name} has the entries '
                                 f'{sorted(bench.entries)}, not {unknown}')
        for seed in seeds:
            for name in bench.entries:
                self.add(name, seed)
        wanted = set(entries or bench.entries)
        wanted |= {
            run.source.name
            for run in self.runs.values() if run.source and run.name in wanted
        }
        self.wanted = [run for run in self.runs.values() if run.name in wanted]

    def locked(self) -> ContextManager:
        """Be the only benchmark that runs in the folder."""
        return cli.exclusive(
            str(self.folder / '.lock'), 0,
            f'another benchmark works in {self.folder}')

    def results(self) -> dict[str, dict[int, dict]]:
        """Of the finished runs, by entry and seed."""
        found: dict[str, dict[int, dict]] = {}
        for name in self.bench.entries:
            for seed in self.seeds:
                if result := self.runs[name, seed].result():
                    found.setdefault(name, {})[seed] = result
        return found

    def add(self, name: str, seed: int) -> Run:
        """The run of an entry, after the one that it builds on."""
        if (name, seed) in self.runs:
            return self.runs[name, seed]
        entry = self.bench.entries[name]
        cfg = self.resolve(entry, seed)
        self.check_protocol(name, cfg)
        source, scores = None, None
        if entry.get('video_scores'):
            source = self.add(entry.video_scores, seed)
            scores = str(source.folder / 'test.npz')
        others = self.bench.other_protocols
        # what is run, not where
        content = [cfg.to_dict(), others, source and source.key]
        text = json.dumps(content, sort_keys=True, default=str)
        key = hashlib.sha256(text.encode()).hexdigest()
        cfg.test_dataloader.batch_size = 1  # every video by itself
        cfg.test_evaluator = evaluators(cfg, others, scores)
        run = Run(
            name=name,
            seed=seed,
            key=key,
            folder=self.folder / name / f'seed_{seed}-{key[:8]}',
            config=cfg,
            main_metric=self.bench.main_metric,
            source=source)
        self.runs[name, seed] = run
        return run

    def resolve(self, entry: Mapping, seed: int) -> Config:
        """A config as it will be run."""
        path = entry['config'].replace('{data}', self.bench.data)
        args = Namespace(
            config=str(ROOT / path),
            cfg_options={
                **self.bench.get('options', {}),
                **entry.get('options', {}),
                **self.options, 'randomness.seed': seed
            },
            work_dir='.',
            launcher='none',
            local_rank=0)
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
                    raise cli.UsageError(
                        f'{name} is evaluated by {found!r}, the benchmark '
                        f'{self.bench.name} by {self.bench.protocol!r}')
