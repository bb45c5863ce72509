# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Measure whether a long training gathers memory or open files. Linux.

    python -m benchmarks.endurance --iterations 50000

Trains ActionDiff on a tiny generated set, with checkpoints, validations and
logs as in any training, and prints what the process holds: resident
memory and open files, looked at a thousand times on the way.
"""
from __future__ import annotations

import argparse
import os
import resource
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.hooks import Hook

from mmaction_actiondiff import cli
from mmaction_actiondiff.datasets import write_planted_dataset

from . import ROOT

MIB = 2**20


class Watch(Hook):
    """Notes resident memory in bytes and open files of this process."""

    priority = 'LOWEST'

    def __init__(self, interval: int) -> None:
        self.interval = interval
        self.rows: list[tuple[int, int, int]] = []

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs=None) -> None:
        if self.every_n_train_iters(runner, self.interval):
            pages = int(Path('/proc/self/statm').read_text('utf-8').split()[1])
            self.rows.append((runner.iter + 1, pages * resource.getpagesize(),
                              len(os.listdir('/proc/self/fd'))))
            if len(self.rows) % 100 == 0:
                iteration, memory, files = self.rows[-1]
                print(
                    f'{iteration} iterations: {memory / MIB:.1f} MiB, '
                    f'{files} open files',
                    flush=True)

    def summary(self) -> str:
        """The slope of the memory after the first fifth."""
        iteration, memory, _ = np.array(self.rows).T
        later = iteration > iteration[-1] / 5
        slope = np.polyfit(iteration[later], memory[later] / MIB, 1)[0]
        return (f'after the first fifth: {slope * 10_000:+.2f} MiB per 10,000 '
                'iterations')


def main() -> None:
    parser = cli.make_parser(__doc__)
    add = parser.add_argument
    add('--iterations', type=cli.at_least(100), default=50_000)
    args = parser.parse_args()
    with cli.command(), tempfile.TemporaryDirectory() as folder:
        write_planted_dataset(
            f'{folder}/data',
            num_classes=2,
            num_train=8,
            num_test=2,
            num_snippets=(6, 12),
            channels=4)
        options: dict[str, Any] = {
            'data_root': f'{folder}/data',
            'stream_channels': [4],
            'model.base_branch.embed_channels': 4,
            'model.condition.condition_channels': 4,
            'model.diffusion_head.denoiser.channels': 4,
            'train_cfg.max_iters': args.iterations,
            'train_cfg.val_interval': args.iterations // 10,
            'default_hooks.checkpoint.interval': args.iterations // 50,
            'train_dataloader.batch_size': 2,
            'log_level': 'WARNING',
        }
        for phase in ('train', 'val', 'test'):
            options[f'{phase}_dataloader.dataset.seconds_per_snippet'] = .64
            options[f'{phase}_dataloader.num_workers'] = 0
            options[f'{phase}_dataloader.persistent_workers'] = False
        cfg = cli.load_config(
            argparse.Namespace(
                config=str(ROOT / 'configs/actiondiff_custom.py'),
                work_dir=f'{folder}/run',
                launcher='none',
                local_rank=0,
                cfg_options=options))
        runner = cli.build_runner(cfg)
        watch = Watch(max(args.iterations // 1000, 1))
        runner.register_hook(watch)
        runner.train()
    print(watch.summary())


if __name__ == '__main__':
    main()
