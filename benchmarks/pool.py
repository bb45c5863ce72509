# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Runs the commands of a plan, a few runs at a time. Linux and macOS."""
from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from pathlib import Path
from typing import Any, Iterable, Iterator

import numpy as np
from filelock import FileLock, Timeout

from mmaction_actiondiff import cli
from mmaction_actiondiff.files import write_text

from . import ROOT, BenchmarkError
from .plan import Run


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the only benchmark that runs in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(folder / '.lock').acquire(timeout=0)
    except Timeout:
        raise BenchmarkError(f'another benchmark works in {folder}: wait for '
                             'it, or choose another --work-dir') from None
    with lock:
        yield


class Pool:
    """Runs what is not finished, and never stops at a failure.

    Args:
        runs (Iterable[Run]): In an order in which they may start.
        jobs (int): Processes at the same time, >= 1.

    Attributes:
        failed (list[Run]): Also those that build on a failed one.
    """

    def __init__(self, runs: Iterable[Run], jobs: int) -> None:
        self.runs = [run for run in runs if run.result() is None]
        self.total = len(self.runs)
        self.failed: list[Run] = []
        self.finished = 0
        self.executor = ThreadPoolExecutor(jobs)
        self.active: set[subprocess.Popen] = set()
        self.stopped = False
        self.lock = threading.Lock()
        self.started = time.monotonic()

    def work(self) -> None:
        """Return when every run has finished or failed.

        Whatever else ends it ends the processes that it has started.
        """
        futures: dict[str, Future] = {}
        try:
            for run in self.runs:
                needs = [
                    futures[other.key] for other in run.needs
                    if other.key in futures
                ]
                futures[run.key] = self.executor.submit(
                    self.attempt, run, needs)
            for future in as_completed(futures.values()):
                future.result()
        finally:
            with self.lock:
                self.stopped = True
                for process in self.active:
                    process.stdin.close()  # see child.py
            self.executor.shutdown(cancel_futures=True)

    def attempt(self, run: Run, needs: list[Future]) -> None:
        """Do a run once those that it builds on have ended."""
        wait(needs)
        broken = [other for other in run.needs if other in self.failed]
        try:
            if broken:
                raise BenchmarkError(f'it builds on {broken[0]}')
            result = execute(self, run)
        except BenchmarkError as error:
            self.failed.append(run)
            log, tail = run.folder / 'log.txt', []
            if log.is_file():
                tail = log.read_text('utf-8', 'replace').splitlines()[-15:]
                tail = [f'  {log}', *(f'  | {line}' for line in tail)]
            self.say('\n'.join([f'{run} FAILED: {error}', *tail]))
            return
        self.finished += 1
        value = result['metrics'].get(run.main_metric)
        text = '' if value is None else f': {value:.2f}'
        left = self.total - self.finished - len(self.failed)
        if left:
            seconds = (time.monotonic() - self.started) / self.finished * left
            text += f', about {seconds / 60:.0f} min left'
        self.say(f'{run}{text}')

    def say(self, text: str) -> None:
        done = self.finished + len(self.failed)
        if not self.stopped:
            print(f'[{done}/{self.total}] {text}', flush=True)

    def call(self, run: Run, command: list[str]) -> int:
        """Run one command; its largest memory in bytes."""
        script, *arguments = command
        with open(run.folder / 'log.txt', 'a', encoding='utf-8') as log:
            with self.lock:
                if self.stopped:
                    raise BenchmarkError('stopped')
                words = [ROOT / 'benchmarks/child.py', ROOT / script]
                process = subprocess.Popen(
                    [sys.executable, *words, *arguments],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={
                        'OMP_NUM_THREADS': '1',
                        **os.environ
                    },
                    start_new_session=True)
                self.active.add(process)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        with self.lock:
            self.active.discard(process)
            process.stdin.close()
        if process.returncode:
            raise BenchmarkError(f'exit status {process.returncode}')
        return usage.ru_maxrss * (1 if sys.platform == 'darwin' else 1024)


def execute(pool: Pool, run: Run) -> dict:
    """Do all that a run has to, from where it was stopped."""
    run.folder.mkdir(parents=True, exist_ok=True)
    write_text(run.folder / 'train.py', run.config.pretty_text)
    pool.say(f'{run} starts')
    memory = run.folder / 'memory.json'
    for command in run.commands:
        trains = command[0] == 'tools/train.py'
        if trains and cli.latest_checkpoint(run.folder / 'train'):
            command = [*command, '--resume']
        peak = pool.call(run, command)
        if trains:
            write_text(memory, json.dumps(max(peak, _read(memory) or 0)))
    result = collect(run)
    write_text(run.folder / 'result.json', json.dumps(result, indent=1))
    return result


def collect(run: Run) -> dict:
    """The result of a run that has ended."""
    measured = _read(run.folder / 'measured_train.json')
    rows = [
        json.loads(line)
        for log in sorted(run.folder.glob('train/*/vis_data/scalars.json'))
        for line in log.read_text('utf-8').splitlines()
    ]
    last = run.config.train_cfg.max_iters
    validated: dict[int, dict] = {}
    for row in rows:
        if values := {k: v for k, v in row.items() if '/' in k}:
            validated[row['step']] = values
    if last not in validated:
        raise BenchmarkError(f'no validation at the last iteration, {last}, '
                             f'in {run.folder / "train"}')
    # iterations alone: neither the start nor the validation
    times = [row['time'] for row in rows if 'loss' in row]
    memory = _read(run.folder / 'memory.json')
    return dict(
        key=run.key,
        iteration=last,
        # what the last validation found wins over the test of the checkpoint
        metrics=measured['metrics'] | validated[last],
        history={
            step: row[run.main_metric]
            for step, row in sorted(validated.items())
            if run.main_metric in row
        },
        protocol=measured.get('protocol'),
        train_seconds=float(np.mean(times)) * last if times else None,
        peak_memory_mb=memory and memory / 2**20,
        peak_gpu_memory_mb=max(
            (row['memory'] for row in rows if 'memory' in row), default=None),
        **{
            key: measured[key]
            for key in ('parameters', 'inference_ms', 'machine', 'versions')
        })


def _read(path: Path) -> Any:
    """What a json file holds; None if there is no such file."""
    return json.loads(path.read_text('utf-8')) if path.is_file() else None
