"""Runs the commands of a plan, a few runs at a time."""
from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from pathlib import Path
from typing import Iterable, Iterator

import numpy as np

from mmaction_actiondiff import cli

from . import ROOT, BenchmarkError
from .plan import Run
from .report import write

_MARKER = 'run.json'
# Seconds between asking a process to end and ending it.
_PATIENCE = 10


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the only benchmark that runs in a folder (not on Windows).

    Raises:
        BenchmarkError: If another one does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / '.lock', 'a', encoding='utf-8') as file:
        if os.name == 'posix':
            import fcntl
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise BenchmarkError(
                    f'another benchmark works in {folder}: wait for it, or '
                    'choose another --work-dir') from None
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
        self.waiting = [run for run in runs if run.result() is None]
        self.total = len(self.waiting)
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
        futures: dict[Future, Run] = {}
        try:
            while self.waiting or futures:
                for run in list(self.waiting):
                    broken = [o for o in run.needs if o in self.failed]
                    if broken:
                        self.fail(run, f'it builds on {broken[0]}')
                    elif all(other.result() for other in run.needs):
                        futures[self.executor.submit(execute, self, run)] = run
                    else:
                        continue
                    self.waiting.remove(run)
                done, _ = wait_for(futures, return_when=FIRST_COMPLETED)
                for future in done:
                    self.settle(futures.pop(future), future)
        finally:
            with self.lock:
                self.stopped = True
            self.executor.shutdown(wait=False, cancel_futures=True)
            self.end_processes()
            self.executor.shutdown()

    def settle(self, run: Run, future: Future) -> None:
        try:
            result = future.result()
        except BenchmarkError as error:
            self.fail(run, str(error))
            return
        self.finished += 1
        value = result['metrics'].get(run.main_metric)
        text = '' if value is None else f': {value:.2f}'
        left = self.total - self.finished - len(self.failed)
        if left:
            seconds = time.monotonic() - self.started
            minutes = seconds / self.finished * left / 60
            text += f', about {minutes:.0f} min left'
        self.say(f'{run}{text}')

    def fail(self, run: Run, reason: str) -> None:
        self.failed.append(run)
        self.say(f'{run} FAILED: {reason}')
        log = run.folder / 'log.txt'
        if log.is_file():
            tail = log.read_text('utf-8', 'replace').splitlines()[-15:]
            print(
                '\n'.join([f'  {log}', *(f'  | {line}' for line in tail)]),
                flush=True)

    def say(self, text: str) -> None:
        done = self.finished + len(self.failed)
        print(f'[{done}/{self.total}] {text}', flush=True)

    def call(self, run: Run, command: list[str]) -> int | None:
        """Run one command; its largest memory in bytes, where known.

        Raises:
            BenchmarkError: If it fails, or all is to stop.
        """
        script, *arguments = command
        env = dict(os.environ, **run.env)
        env.setdefault('OMP_NUM_THREADS', '1')
        with open(run.folder / 'log.txt', 'a', encoding='utf-8') as log:
            with self.lock:
                if self.stopped:
                    raise BenchmarkError('stopped')
                process = subprocess.Popen([
                    sys.executable,
                    str(ROOT / 'benchmarks/child.py'),
                    str(ROOT / script), *arguments
                ],
                                           stdin=subprocess.PIPE,
                                           stdout=log,
                                           stderr=subprocess.STDOUT,
                                           env=env,
                                           start_new_session=True)
                self.active.add(process)
        peak = None
        if hasattr(os, 'wait4'):
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            peak = usage.ru_maxrss * (1 if sys.platform == 'darwin' else 1024)
        else:
            process.wait()
        self.active.discard(process)
        if process.stdin:
            process.stdin.close()
        if process.returncode:
            raise BenchmarkError(f'exit status {process.returncode}')
        return peak

    def end_processes(self) -> None:
        """End what still runs, with all that it has started."""
        for number in (signal.SIGTERM, getattr(signal, 'SIGKILL', 0)):
            for process in list(self.active):
                with contextlib.suppress(ProcessLookupError):
                    if hasattr(os, 'killpg'):
                        os.killpg(process.pid, number)
                    else:
                        process.terminate()
            limit = time.monotonic() + _PATIENCE
            while self.active and time.monotonic() < limit:
                time.sleep(0.05)


def execute(pool: Pool, run: Run) -> dict:
    """Do all that a run has to, from where it was stopped.

    Raises:
        BenchmarkError: If a command fails or leaves no result.
    """
    prepare(run)
    pool.say(f'{run} starts')
    memory = run.folder / 'memory.json'
    for command in run.commands:
        if command[0] == 'tools/train.py' and cli.latest_checkpoint(
                command[command.index('--work-dir') + 1]):
            command = [*command, '--resume']
        if '--dump' in command:
            # of an earlier try; the tool does not replace any
            Path(command[command.index('--dump') + 1]).unlink(missing_ok=True)
        peak = pool.call(run, command)
        if peak and run.trained and command[0] != 'benchmarks/measure.py':
            if memory.is_file():
                peak = max(peak, json.loads(memory.read_text()))
            write(memory, json.dumps(peak))
    result = collect(run)
    write(run.folder / 'result.json', json.dumps(result, indent=1))
    return result


def prepare(run: Run) -> None:
    """Make the folder of a run.

    Raises:
        BenchmarkError: If it holds anything but this run.
    """
    folder, marker = run.folder, run.folder / _MARKER
    run_is = dict(entry=run.name, seed=run.seed, key=run.key)
    if folder.exists() and any(folder.iterdir()):
        if not marker.is_file() or json.loads(marker.read_text()) != run_is:
            raise BenchmarkError(
                f'{folder} holds files of something else ({_MARKER} is not '
                'that of this run): move them away, or choose another '
                '--work-dir')
    folder.mkdir(parents=True, exist_ok=True)
    write(marker, json.dumps(run_is))
    for part, cfg in run.configs.items():
        write(folder / f'{part}.py', cfg.pretty_text)


def collect(run: Run) -> dict:
    """The result of a run that has ended.

    Raises:
        BenchmarkError: If it was not validated at its last iteration.
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
        raise BenchmarkError(f'no validation at the last iteration, {last}, '
                             f'in {run.folder / part}')
    times = [[row['time'] for row in rows[item] if 'loss' in row]
             for item in run.configs]
    gpu = [row['memory'] for row in sum(rows.values(), []) if 'memory' in row]
    memory = run.folder / 'memory.json'
    return dict(
        key=run.key,
        iteration=last,
        # what the last validation found wins over the test of the checkpoint
        metrics={
            **measured[part]['metrics'],
            **validated.get(last, {})
        },
        history={
            step: row[run.main_metric]
            for step, row in sorted(validated.items())
            if run.main_metric in row
        },
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
        versions=measured[part]['versions'])
