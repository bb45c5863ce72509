"""A long training gathers neither memory nor open files. Linux.

    ACTIONDIFF_LONG_TRAINING=50000 \\
        python -m pytest -s tests/test_long_training.py
"""
from __future__ import annotations

import os
import resource
from argparse import Namespace
from pathlib import Path

import pytest
from mmengine.hooks import Hook

from mmaction_actiondiff import cli
from mmaction_actiondiff.datasets import write_planted_dataset

ITERATIONS = int(os.getenv('ACTIONDIFF_LONG_TRAINING', 300))


class Watch(Hook):
    """Notes memory (MiB) and open files of this process ten times."""

    priority = 'LOWEST'

    def __init__(self):
        self.rows = []

    def after_train_iter(self, runner, *args, **kwargs):
        if self.every_n_train_iters(runner, ITERATIONS // 10):
            pages = int(Path('/proc/self/statm').read_text().split()[1])
            self.rows.append((pages * resource.getpagesize() / 2**20,
                              len(os.listdir('/proc/self/fd'))))
            print(f'{runner.iter + 1} iterations: {self.rows[-1][0]:.1f} MiB, '
                  f'{self.rows[-1][1]} open files')


@pytest.mark.slow
@pytest.mark.skipif(not Path('/proc').is_dir(), reason='needs /proc')
def test_memory_and_open_files(root, tmp_path):
    """With checkpoints, validations and logs as in any training."""
    write_planted_dataset(
        tmp_path / 'data',
        num_classes=2,
        num_train=8,
        num_test=2,
        num_snippets=(6, 12),
        channels=4)
    options = {
        'data_root': str(tmp_path / 'data'),
        'stream_channels': [4],
        'model.base_branch.embed_channels': 4,
        'model.condition.condition_channels': 4,
        'model.diffusion_head.denoiser.channels': 4,
        'train_cfg.max_iters': ITERATIONS,
        'train_cfg.val_interval': ITERATIONS // 10,
        'default_hooks.checkpoint.interval': ITERATIONS // 50,
        'train_dataloader.batch_size': 2,
        'log_level': 'WARNING',
    }
    for phase in ('train', 'val', 'test'):
        options[f'{phase}_dataloader.dataset.seconds_per_snippet'] = .64
        options[f'{phase}_dataloader.num_workers'] = 0
        options[f'{phase}_dataloader.persistent_workers'] = False
    runner = cli.build_runner(
        cli.load_config(
            Namespace(
                config=str(root / 'configs/actiondiff_custom.py'),
                work_dir=str(tmp_path / 'run'),
                launcher='none',
                local_rank=0,
                cfg_options=options)))
    watch = Watch()
    runner.register_hook(watch)
    runner.train()
    memory, files = zip(*watch.rows[2:])  # what is loaded late is there
    assert memory[-1] - memory[0] < 20
    assert len(set(files)) == 1
