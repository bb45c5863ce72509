# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Does the runs of a plan, a few at a time. Linux and macOS."""
from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Iterable

from mmaction_actiondiff.files import write_text

from .plan import Run

#: What does one run; its argument is the folder of the run.
SCRIPT = Path(__file__).with_name('run.py')


class Pool:
    """Does what is not finished, and never stops at a failure.

    Args:
        runs (Iterable[Run]): What others build on builds on nothing itself.
        jobs (int): Processes at the same time, >= 1.

    Attributes:
        failed (list[Run]): Also those that build on a failed one.
    """

    def __init__(self, runs: Iterable[Run], jobs: int) -> None:
        self.runs = [run for run in runs if run.result() is None]
        self.jobs = jobs
        self.failed: list[Run] = []
        self.finished = 0
        self.stopped = False
        self.started = time.monotonic()

    def work(self) -> None:
        """Return when every run has finished or failed.

        Whatever else ends it ends the processes that it has started: they
        read a pipe whose other end this process alone holds.
        """
        reader, writer = os.pipe()
        executor = ThreadPoolExecutor(self.jobs)
        first = [run for run in self.runs if not run.source]
        then = [run for run in self.runs if run.source]
        try:
            for wave in first, then:
                futures = [
                    executor.submit(self.attempt, run, reader) for run in wave
                ]
                for future in as_completed(futures):
                    future.result()
        finally:
            self.stopped = True
            os.close(writer)
            executor.shutdown(cancel_futures=True)
            os.close(reader)

    def attempt(self, run: Run, alive: int) -> None:
        """Do a run for as long as something may still be written to the pipe
        that is read by ``alive``."""
        if run.source in self.failed:
            self.fail(run, f'it builds on {run.source}')
            return
        self.say(f'{run} starts')
        run.folder.mkdir(parents=True, exist_ok=True)
        write_text(run.folder / 'train.py', run.config.pretty_text)
        log = run.folder / 'log.txt'
        with open(log, 'a', encoding='utf-8') as file:
            status = subprocess.run([sys.executable, SCRIPT, run.folder],
                                    stdin=alive,
                                    stdout=file,
                                    stderr=subprocess.STDOUT,
                                    env={
                                        'OMP_NUM_THREADS': '1',
                                        **os.environ
                                    },
                                    start_new_session=True).returncode
        result = run.result()
        if status or result is None:
            tail = log.read_text('utf-8', 'replace').splitlines()[-15:]
            self.fail(
                run, '\n'.join([
                    f'exit status {status}', f'  {log}',
                    *(f'  | {line}' for line in tail)
                ]))
            return
        self.finished += 1
        value = result['metrics'].get(run.main_metric)
        text = '' if value is None else f': {value:.2f}'
        left = len(self.runs) - self.finished - len(self.failed)
        if left:
            seconds = (time.monotonic() - self.started) / self.finished * left
            text += f', about {seconds / 60:.0f} min left'
        self.say(f'{run}{text}')

    def fail(self, run: Run, reason: str) -> None:
        self.failed.append(run)
        self.say(f'{run} FAILED: {reason}')

    def say(self, text: str) -> None:
        done = self.finished + len(self.failed)
        if not self.stopped:
            print(f'[{done}/{len(self.runs)}] {text}', flush=True)
