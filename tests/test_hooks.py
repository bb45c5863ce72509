"""Checkpoints that need no trust, and training that resumes exactly.

The runner, its loop, optimizer, schedulers and EMA are MMEngine's own; only
the model and the data are small.
"""
from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import HOOKS
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

import mmaction_actiondiff  # noqa: F401
from mmaction_actiondiff.hooks import _to_plain

RUNTIME = str(
    Path(__file__).parents[1] / 'configs' / '_base_' / 'default_runtime.py')


class Numbers(Dataset):
    """Sixteen vectors; ``metainfo`` as our data sets have it."""
    metainfo = dict(classes=('a', 'b'), dataset_name='numbers')

    def __len__(self):
        return 16

    def __getitem__(self, index):
        return dict(inputs=torch.full((4, ), index / 16))


class Drops(BaseModel):
    """Draws from torch, NumPy and ``random`` in every training step."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 1))

    def forward(self, inputs, mode='tensor'):
        if mode == 'predict':
            return [dict(out=row) for row in self.net(inputs)]
        noise = torch.randn(len(inputs),
                            1) + np.random.rand() + random.random()
        return dict(loss_mse=(self.net(inputs) - noise).square().mean())


class Constant(BaseMetric):
    """A NumPy number that grows, so that the best is saved every time."""
    calls = 0

    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        Constant.calls += 1
        return {'det/mAP@0.10:0.70': np.float64(Constant.calls)}


def build(work_dir, name, **options) -> Runner:
    torch.manual_seed(0)
    cfg = Config.fromfile(RUNTIME)
    cfg.merge_from_dict({
        'work_dir': str(work_dir),
        'log_level': 'ERROR',
        'default_hooks.checkpoint.interval': 2,
        'default_hooks.logger.interval': 3,
        **options
    })
    loader = dict(
        batch_size=4,
        num_workers=0,
        collate_fn=dict(type='default_collate'),
        sampler=dict(type='InfiniteSampler', shuffle=True),
        dataset=Numbers())
    return Runner(
        model=Drops(),
        train_dataloader=loader,
        val_dataloader=dict(
            loader, sampler=dict(type='DefaultSampler', shuffle=False)),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=8, val_interval=3),
        val_cfg=dict(),
        val_evaluator=[Constant()],
        optim_wrapper=dict(
            optimizer=dict(type='AdamW', lr=0.05), accumulative_counts=2),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=3),
            dict(type='CosineAnnealingLR', by_epoch=False, begin=3, T_max=9)
        ],
        custom_hooks=[dict(type='EMAHook', momentum=0.1)],
        experiment_name=name,
        cfg=cfg,
        **{
            key: cfg[key]
            for key in ('work_dir', 'default_hooks', 'env_cfg', 'log_level',
                        'log_processor', 'randomness', 'visualizer',
                        'default_scope', 'resume', 'load_from')
        })


@pytest.fixture(scope='module')
def finished(tmp_path_factory) -> Path:
    work_dir = tmp_path_factory.mktemp('finished')
    build(work_dir, 'finished').train()
    return work_dir


def weights(path) -> dict:
    checkpoint = torch.load(path, weights_only=True)
    return {**checkpoint['state_dict'], **checkpoint['ema_state_dict']}


def test_everything_written_loads_without_trust(finished):
    written = sorted(path.name for path in finished.glob('*.pth'))
    assert written == [
        'best_det_mAP@0.10:0.70_iter_8.pth', 'iter_6.pth', 'iter_8.pth'
    ]
    for name in written:
        checkpoint = torch.load(finished / name, weights_only=True)
        hub = checkpoint['message_hub']
        assert hub['log_scalars']['train/loss']['history'].ndim == 1
        assert isinstance(hub['runtime_info']['best_score'], float)
        assert checkpoint['meta']['dataset_meta'] == Numbers.metainfo


def test_history_comes_back(finished):
    checkpoint = torch.load(finished / 'iter_6.pth', weights_only=True)
    hook = HOOKS.build(dict(type='PlainCheckpointHook'))
    hook.after_load_checkpoint(None, checkpoint)
    hub = MessageHub('comes back')
    hub.load_state_dict(checkpoint['message_hub'])
    history, counts = hub.get_scalar('train/loss').data
    assert history.shape == counts.shape == (6, )
    hub.update_scalar('train/loss', 2.)
    assert hub.get_scalar('train/loss').current() == 2


def test_resumed_equals_uninterrupted(finished, tmp_path):
    """Weights, their average, BatchNorm, AdamW, learning rates, accumulated
    gradients and every random number."""
    runner = build(
        tmp_path,
        'resumed',
        resume=True,
        load_from=str(finished / 'iter_6.pth'))
    torch.manual_seed(99)  # what the process has drawn so far is no matter
    runner.train()
    expected = weights(finished / 'iter_8.pth')
    found = weights(tmp_path / 'iter_8.pth')
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(found[key], value), key


def test_random_numbers_depend_on_seed_and_iteration_only():

    def draws(seed, iteration):
        runner = type('R', (), dict(seed=seed, iter=iteration))
        HOOKS.build(dict(type='IterationSeedHook')).before_train_iter(
            runner, iteration)
        return random.random(), np.random.rand(), torch.rand(1).item()

    reference = draws(3, 7)
    torch.rand(5), np.random.rand(5), random.random()
    assert draws(3, 7) == reference
    assert draws(3, 8) != reference and draws(4, 7) != reference


def test_plain_values_keep_their_structure():
    value = dict(
        a=(np.float32(1.5), [np.int64(2)]), b=np.arange(3), c=None, d='text')
    plain = _to_plain(value)
    assert plain['a'] == (1.5, [2]) and type(plain['a'][0]) is float
    assert plain['b'].tolist() == [0, 1, 2] and plain['d'] == 'text'


def test_what_cannot_be_plain_is_named():
    with pytest.raises(TypeError, match='Linear cannot be stored'):
        _to_plain(dict(model=nn.Linear(1, 1)))


_FAULTS = """
import resource
import numpy as np
from mmaction_actiondiff.hooks import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(2**23)  # 64 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
default = faults()
known = keep_freed_memory()
faults()
kept = faults()
keep_freed_memory(False)
faults()
print(int(known), default, kept, faults())
"""


def test_freed_memory_is_kept_while_training():
    # A process of its own: NumPy must not have a free block already.
    out = subprocess.run([sys.executable, '-c', _FAULTS],
                         capture_output=True,
                         text=True,
                         check=True)
    known, default, kept, again = map(int, out.stdout.split())
    if not known:
        pytest.skip('the C library has no mallopt: nothing is kept')
    assert kept < default / 10
    assert again > default / 2
