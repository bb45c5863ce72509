# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Measure whether a long training gathers memory or open files. Linux.

    python -m benchmarks.endurance --iterations 50000

Trains ActionDiff on a tiny generated set, with checkpoints, validations and
logs as in any training, and prints what the process holds every thousandth
part of the way.
"""
from __future__ import annotations

import argparse
import os
import resource
import tempfile
from pathlib import Path

import numpy as np
from mmengine.hooks import Hook

from mmaction_actiondiff import cli

from . import ROOT

MIB = 2**20
_DATA = dict(num_snippets=[6, 12], num_train=8, num_test=2)


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
            pages = int(Path('/proc/self/statm').read_text().split()[1])
            self.rows.append((runner.iter + 1, pages * resource.getpagesize(),
                              len(os.listdir('/proc/self/fd'))))

    def summary(self) -> str:
        """Memory, its slope after the first tenth, and open files."""
        iteration, memory, files = np.array(self.rows).T
        settled = iteration > iteration[-1] / 10
        slope = np.polyfit(iteration[settled], memory[settled] / MIB, 1)[0]
        return (f'{iteration[-1]} iterations: {memory[settled][0] / MIB:.1f} '
                f'MiB after a tenth, {memory[-1] / MIB:.1f} at the end, '
                f'{slope * 10_000:+.2f} per 10,000 iterations; open files '
                f'{files[settled].min()} to {files[settled].max()}, '
                f'{files[-1]} at the end')


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--iterations', type=cli.at_least(100), default=50_000)
    args = parser.parse_args()
    total = args.iterations
    with cli.command(), tempfile.TemporaryDirectory() as folder:
        cfg = cli.load_config(
            argparse.Namespace(
                config=str(ROOT / 'configs/actiondiff_demo.py'),
                work_dir=f'{folder}/run',
                launcher='none',
                local_rank=0,
                cfg_options={
                    'data_root': f'{folder}/data',
                    'num_classes': 2,
                    **{
                        f'{phase}_dataloader.dataset.planted.{key}': value
                        for phase in ('train', 'val', 'test')
                        for key, value in _DATA.items()
                    },
                    'model.base_branch.embed_channels': 4,
                    'model.base_branch.attention_channels': 2,
                    'model.condition.condition_channels': 4,
                    'model.diffusion_head.denoiser.channels': 8,
                    'train_dataloader.batch_size': 2,
                    'train_dataloader.batch_sampler.num_pairs': 1,
                    'model.loss.base.num_pairs': 1,
                    'model.diffusion_head.num_inference_steps': 1,
                    'train_cfg.max_iters': total,
                    'train_cfg.val_interval': total // 10,
                    'default_hooks.checkpoint.interval': total // 50,
                    'log_level': 'WARNING',
                }))
        runner = cli.build_runner(cfg)
        watch = Watch(max(total // 1000, 1))
        runner.register_hook(watch)
        runner.train()
    print(watch.summary())


if __name__ == '__main__':
    main()
