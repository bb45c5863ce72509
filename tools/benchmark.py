"""Train and judge every entry of a benchmark, write one table.

    python tools/benchmark.py configs/benchmarks/shrec21.py --seeds 0 1 2

Finished runs are kept: the same command goes on where it was stopped, and
trains again only what a changed config changes. Every run is judged at its
last iteration.
"""
from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterable, Mapping

import numpy as np
from _benchmark_report import FAMILIES, chart, markdown, summarise, write
from mmengine.config import Config

import mmaction_actiondiff
from mmaction_actiondiff import cli

ROOT = Path(__file__).resolve().parents[1]
_TRAIN = [
    'tools/train.py', '{run}/train.py', '--work-dir', '{run}/train', '--resume'
]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of the benchmark')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument(
        '--entries', nargs='+', help='only these, and those they build on')
    parser.add_argument(
        '--jobs', type=int, default=1, help='runs at the same time')
    parser.add_argument(
        '--work-dir', default='work_dirs/benchmark', help='folder of the runs')
    parser.add_argument('--data-root', help='folder of the data set')
    parser.add_argument(
        '--out',
        default='docs/benchmark',
        help='folder of NAME.md, NAME.json and NAME.png')
    parser.add_argument(
        '--report-only',
        action='store_true',
        help='run nothing, report what is finished')
    parser.add_argument(
        '--keep-rows',
        action='store_true',
        help='an entry keeps its row of OUT/NAME.json until all its seeds are '
        'finished')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=cli.DictAction,
        default={},
        help='override settings of every entry, for a quick trial')
    return parser.parse_args()


# -- What to run --------------------------------------------------------------


@dataclass
class Run:
    """One entry with one seed.

    ``key`` is a digest of all that decides the result: resolved configs,
    commands, and the keys of the runs it builds on.
    """
    name: str
    seed: int
    folder: Path
    configs: dict[str, Config]
    commands: list[list[str]]
    env: dict[str, str]
    needs: list[Run]
    checkpoint: Path
    main_metric: str
    trained: bool
    key: str = ''
    step: int = field(default=0, init=False)

    def __str__(self) -> str:
        return f'{self.name} seed {self.seed}'

    def result(self) -> dict | None:
        """What a finished run has found, unless its config has changed."""
        path = self.folder / 'result.json'
        if not path.is_file():
            return None
        result = json.loads(path.read_text())
        return result if result['key'] == self.key else None


class Plan:
    """All runs of a benchmark, those that others build on first.

    Args:
        bench (Config): The benchmark.
        args (argparse.Namespace): Of the command line.

    Raises:
        ValueError: If an entry is unknown, or judged by another protocol
            than the benchmark states.
    """

    def __init__(self, bench: Config, args: argparse.Namespace) -> None:
        self.bench = bench
        self.folder = Path(os.path.abspath(args.work_dir), bench.name)
        self.options = dict(args.cfg_options)
        if args.data_root:
            self.options['data_root'] = args.data_root
        self.runs: dict[tuple[str, int], Run] = {}
        unknown = sorted(set(args.entries or ()) - set(bench.entries))
        if unknown:
            raise ValueError(f'{bench.name} has the entries '
                             f'{sorted(bench.entries)}, not {unknown}')
        for seed in args.seeds:
            for name in bench.entries:
                self.add(name, seed)
        wanted = set(args.entries or bench.entries)
        for name, seed in reversed(self.runs):  # dependants come last
            if name in wanted:
                wanted.update(o.name for o in self.runs[name, seed].needs)
        self.wanted = [run for run in self.runs.values() if run.name in wanted]

    def add(self, name: str, seed: int) -> Run:
        """The run of an entry, made with all that it builds on."""
        if (name, seed) in self.runs:
            return self.runs[name, seed]
        entry = self.bench.entries[name]
        weights, scores = entry.get('weights'), entry.get('video_scores')
        needs = {
            other: self.add(other, seed)
            for other in (*entry.get('needs', ()), weights, scores) if other
        }
        folder = self.folder / name / f'seed_{seed}'
        places = dict(run=str(folder), seed=str(seed))
        for other, run in needs.items():
            places[other] = str(run.folder)
            places[f'{other}_checkpoint'] = str(run.checkpoint)
        env = {k: v.format(**places) for k, v in entry.get('env', {}).items()}
        parts = entry.get('parts', dict(train=entry.config))
        configs = {
            part: self.resolve(path, entry, seed, env)
            for part, path in parts.items()
        }
        part, cfg = list(configs.items())[-1]
        self.check_protocol(name, cfg)
        commands = entry.get('commands', [] if weights else [_TRAIN])
        commands = [[arg.format(**places) for arg in line]
                    for line in commands]
        checkpoints = {
            part: folder / part / f'iter_{cfg.train_cfg.max_iters}.pth'
            for part, cfg in configs.items()
        }
        if weights:
            checkpoints[part] = needs[weights].checkpoint
        for item, checkpoint in checkpoints.items():
            commands.append([
                'tools/measure.py', f'{folder}/{item}.py',
                str(checkpoint), '--out', f'{folder}/measured_{item}.json',
                '--work-dir', f'{folder}/measured'
            ])
            if item != part:
                commands[-1].append('--speed-only')
        commands[-1] += ['--scores-out', f'{folder}/video_scores.json']
        if self.bench.other_protocols:
            commands[-1] += ['--protocols', *self.bench.other_protocols]
        if scores:
            commands[-1] += [
                '--video-scores', f'{needs[scores].folder}/video_scores.json'
            ]
        run = Run(
            name,
            seed,
            folder,
            configs,
            commands,
            env,
            list(needs.values()),
            checkpoints[part],
            self.bench.main_metric,
            trained=not weights)
        run.key = self.digest(run)
        self.runs[name, seed] = run
        return run

    def resolve(self, path: str, entry: Mapping, seed: int,
                env: Mapping[str, str]) -> Config:
        """A config as it will be run."""
        old = dict(os.environ)
        os.environ.update(env)
        try:
            cfg = cli.load_config(
                argparse.Namespace(
                    config=str(ROOT / path.format(data=self.bench.data)),
                    cfg_options={
                        # logs only: tell the iteration of a validation
                        'default_hooks.logger.log_metric_by_epoch': False,
                        **entry.get('options', {}),
                        **self.options,
                        'randomness.seed': seed
                    },
                    work_dir='.',
                    launcher='none',
                    local_rank=0))
        finally:
            os.environ.clear()
            os.environ.update(old)
        cfg.pop('work_dir')
        return cfg

    def check_protocol(self, name: str, cfg: Config) -> None:
        """All entries of a table are judged alike."""
        metrics = cfg.test_evaluator
        for metric in metrics if isinstance(metrics, list) else [metrics]:
            if metric['type'] in ('DetectionMAP', 'PairedDetectionMAP'):
                found = metric.get('protocol', 'seconds212')
                if found != self.bench.protocol:
                    raise ValueError(
                        f'{name} is judged by {found!r}, the benchmark '
                        f'{self.bench.name} by {self.bench.protocol!r}')

    def digest(self, run: Run) -> str:
        content = json.dumps([{
            part: cfg.to_dict()
            for part, cfg in run.configs.items()
        }, run.commands, run.env, [other.key for other in run.needs]],
                             sort_keys=True,
                             default=str)
        content = content.replace(str(self.folder), '{work}')
        return hashlib.sha256(content.encode()).hexdigest()


# -- Running ------------------------------------------------------------------


class Pool:
    """Runs the plan's commands, a few at a time, and never stops at a failure.

    Args:
        runs (Iterable[Run]): In an order in which they may start.
        jobs (int): Processes at the same time.
    """

    def __init__(self, runs: Iterable[Run], jobs: int) -> None:
        self.todo = [run for run in runs if run.result() is None]
        self.jobs = jobs
        self.total = len(self.todo)
        self.active: dict[int, tuple[subprocess.Popen, Run]] = {}
        self.failed: list[Run] = []
        self.finished = 0
        self.started = time.monotonic()

    def work(self) -> None:
        try:
            while self.todo or self.active:
                self.start_ready()
                if self.active:
                    pid, status, usage = os.wait4(-1, 0)
                    if pid in self.active:
                        process, run = self.active.pop(pid)
                        process.returncode = os.waitstatus_to_exitcode(status)
                        self.after(run, process.returncode, usage.ru_maxrss)
        finally:
            for process, _ in self.active.values():
                process.terminate()
            for process, _ in self.active.values():
                process.wait()

    def start_ready(self) -> None:
        for run in list(self.todo):
            broken = [o for o in run.needs if o in self.failed]
            if broken:
                self.todo.remove(run)
                self.fail(run, f'it builds on {broken[0]}')
            elif len(self.active) < self.jobs and all(other.result()
                                                      for other in run.needs):
                self.todo.remove(run)
                prepare(run)
                print(f'{self.place()} {run} starts', flush=True)
                self.next_command(run)

    def next_command(self, run: Run) -> None:
        tool, *arguments = run.commands[run.step]
        env = dict(os.environ, **run.env)
        env.setdefault('OMP_NUM_THREADS', '1')
        with open(run.folder / 'log.txt', 'a', encoding='utf-8') as log:
            process = subprocess.Popen(
                [sys.executable, str(ROOT / tool), *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=env)
        self.active[process.pid] = (process, run)

    def after(self, run: Run, status: int, peak: int) -> None:
        if status:
            self.fail(run, f'exit status {status}')
            return
        note_memory(run, peak)
        run.step += 1
        if run.step < len(run.commands):
            self.next_command(run)
            return
        try:
            result = collect(run)
        except ValueError as error:
            self.fail(run, str(error))
            return
        write(run.folder / 'result.json', json.dumps(result, indent=1))
        self.finished += 1
        value = result['metrics'].get(run.main_metric)
        found = '' if value is None else f': {value:.2f}'
        print(f'{self.place()} {run}{found}{self.rest()}', flush=True)

    def fail(self, run: Run, reason: str) -> None:
        self.failed.append(run)
        print(f'{self.place()} {run} FAILED: {reason}', flush=True)
        log = run.folder / 'log.txt'
        if log.is_file():
            tail = log.read_text(errors='replace').splitlines()[-15:]
            print(f'  {log}')
            print('\n'.join(f'  | {line}' for line in tail), flush=True)

    def place(self) -> str:
        return f'[{self.finished + len(self.failed)}/{self.total}]'

    def rest(self) -> str:
        left = self.total - self.finished - len(self.failed)
        seconds = (time.monotonic() - self.started) / self.finished * left
        return f', about {seconds / 60:.0f} min left' if left else ''


def prepare(run: Run) -> None:
    """Make the folder; what another config has left there goes."""
    plan = run.folder / 'key.txt'
    if run.folder.exists() and (not plan.is_file()
                                or plan.read_text() != run.key):
        shutil.rmtree(run.folder)
    run.folder.mkdir(parents=True, exist_ok=True)
    write(plan, run.key)
    for part, cfg in run.configs.items():
        write(run.folder / f'{part}.py', cfg.pretty_text)


def note_memory(run: Run, peak: int) -> None:
    """Keep the largest memory of the processes that train."""
    if not run.trained or run.commands[run.step][0] == 'tools/measure.py':
        return
    path = run.folder / 'memory.json'
    if sys.platform != 'darwin':
        peak *= 1024
    if path.is_file():
        peak = max(peak, json.loads(path.read_text()))
    write(path, json.dumps(peak))


def collect(run: Run) -> dict:
    """The result of a run that has ended.

    Raises:
        ValueError: If it was not validated at its last iteration.
    """
    rows: dict[str, list[dict]] = {}
    for part in run.configs:
        logs = sorted((run.folder / part).glob('*/vis_data/scalars.json'))
        rows[part] = [
            json.loads(line) for log in logs
            for line in log.read_text().splitlines()
        ]
    *_, (part, cfg) = run.configs.items()
    last = cfg.train_cfg.max_iters
    measured = {
        item: json.loads((run.folder / f'measured_{item}.json').read_text())
        for item in run.configs
    }
    validated: dict[int, dict] = {
        row['step']: {
            k: v
            for k, v in row.items() if '/' in k
        }
        for row in rows[part] if any('/' in key for key in row)
    }
    if run.trained and last not in validated:
        raise ValueError(f'no validation at the last iteration, {last}, in '
                         f'{run.folder / part}')
    # what the last validation found wins over the test of the checkpoint
    metrics = {**measured[part]['metrics'], **validated.get(last, {})}
    history = {
        step: row[run.main_metric]
        for step, row in sorted(validated.items()) if run.main_metric in row
    }
    times = [[row['time'] for row in rows[item] if 'loss' in row]
             for item in run.configs]
    gpu = [row['memory'] for row in sum(rows.values(), []) if 'memory' in row]
    memory = run.folder / 'memory.json'
    return dict(
        key=run.key,
        iteration=last,
        metrics=metrics,
        history=history,
        protocol=measured[part].get('protocol'),
        parameters=sum(found['parameters'] for found in measured.values()),
        inference_ms=sum(found['inference_ms'] for found in measured.values()),
        # iterations alone: neither the start nor the validation
        train_seconds=sum(
            float(np.mean(own)) * item.train_cfg.max_iters
            for own, item in zip(times, run.configs.values()))
        if all(times) else None,
        peak_memory_mb=json.loads(memory.read_text()) /
        2**20 if memory.is_file() else None,
        peak_gpu_memory_mb=max(gpu) if gpu else None,
        machine=measured[part]['machine'],
        versions=versions())


def versions() -> dict[str, str]:
    """Versions of what a number may depend on."""
    found = {
        name: importlib.metadata.version(name)
        for name in ('torch', 'mmengine', 'mmaction2', 'numpy')
    }
    digest = hashlib.sha256()
    for path in sorted(
            Path(mmaction_actiondiff.__file__).parent.rglob('*.py')):
        if '.mim' not in path.parts:
            digest.update(path.read_bytes())
    return dict(
        python=platform.python_version(),
        **found,
        mmaction_actiondiff=mmaction_actiondiff.__version__,
        source=digest.hexdigest()[:12])


# -- Reporting ----------------------------------------------------------------


def write_report(bench: Config, plan: Plan, args: argparse.Namespace,
                 published: dict | None) -> None:
    results: dict[str, dict[int, dict]] = {}
    for name in bench.entries:
        runs = {
            seed: result
            for (other, seed), run in plan.runs.items()
            if other == name and (result := run.result())
        }
        if runs:
            results[name] = runs
    if not results:
        print('No run has finished: there is nothing to report.')
        return
    report = summarise(bench, results, args.seeds, published)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    write(out / f'{bench.name}.json', json.dumps(report, indent=1) + '\n')
    write(out / f'{bench.name}.md', markdown(bench, report))
    chart(bench, report, out / f'{bench.name}.png')
    print(f'Report: {out / bench.name}.md, .json, .png')


def load_benchmark(path: str) -> Config:
    """Read the config; entries that a derived one sets to None are left out.
    """
    bench = Config.fromfile(path)
    bench.name = Path(path).stem
    bench.entries = {k: v for k, v in bench.entries.items() if v is not None}
    for name, entry in bench.entries.items():
        if entry.family not in FAMILIES:
            raise ValueError(f'{path}: the family of {name} must be one of '
                             f'{FAMILIES}, got {entry.family!r}')
    return bench


def main() -> int:
    args = parse_args()
    bench = load_benchmark(args.config)
    published = None
    if args.keep_rows:
        path = Path(args.out, f'{bench.name}.json')
        if not path.is_file():
            sys.exit(f'Error: --keep-rows takes rows from {path}, which is '
                     'not there')
        published = json.loads(path.read_text())
    plan = Plan(bench, args)
    pool = Pool([] if args.report_only else plan.wanted, args.jobs)
    kept = sum(run.result() is not None for run in plan.wanted)
    print(
        f'{bench.name}: {len(plan.wanted)} runs, {kept} finished before',
        flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        pool.work()
    except KeyboardInterrupt:
        print('Stopped; the same command goes on from here.')
        return 130
    finally:
        write_report(bench, plan, args, published)
    return 1 if pool.failed else 0


if __name__ == '__main__':
    sys.exit(main())
