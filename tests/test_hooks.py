"""Checkpoints that need no trust and fit, and training that resumes exactly
and stops when it diverges.

The runner, its loop, optimizer, schedulers and EMA are MMEngine's own; only
the model and the data are small.
"""
from __future__ import annotations

import itertools
import logging
import os
import random
import re
import resource
import shutil
import signal
import time
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import HOOKS, METRICS, MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.fileio import LocalBackend
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.runner import BaseLoop, Runner
from torch import nn
from torch.utils.data import Dataset

from mmaction_actiondiff import cli, hooks
from mmaction_actiondiff.hooks import _to_plain
from mmaction_actiondiff.models import ActionDiffLoss, CO2NetLoss

RUNTIME = str(
    Path(__file__).parents[1] / 'configs' / '_base_' / 'default_runtime.py')


class Numbers(Dataset):
    """Sixteen vectors; ``metainfo`` as our data sets have it."""
    metainfo = dict(classes=('a', 'b'), dataset_name='numbers')

    def __init__(self, bad: float | None = None):
        self.bad = bad

    def __len__(self):
        return 16

    def __getitem__(self, index):
        value = index / 16 if self.bad is None or index != 7 else self.bad
        return dict(
            inputs=torch.full((4, ), value),
            data_samples=ActionDataSample(
                metainfo=dict(video_name=f'video_{index}')))


class Drops(BaseModel):
    """Draws from torch, NumPy and ``random`` in every training step."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 1))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if isinstance(inputs, list):
            inputs = torch.stack(inputs)
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
        return {
            'det/mAP@0.10': np.float64(-Constant.calls),
            'det/mAP@0.10:0.70': np.float64(Constant.calls)
        }


def build(work_dir,
          name,
          max_iters=8,
          bad=None,
          lr=0.05,
          model=None,
          **options) -> Runner:
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
        collate_fn=dict(type='pseudo_collate'),
        sampler=dict(type='InfiniteSampler', shuffle=True),
        dataset=Numbers(bad))
    return Runner(
        model=model or Drops(),
        train_dataloader=loader,
        val_dataloader=dict(
            loader, sampler=dict(type='DefaultSampler', shuffle=False)),
        train_cfg=dict(
            type='IterBasedTrainLoop', max_iters=max_iters, val_interval=4),
        val_cfg=dict(),
        val_evaluator=[Constant()],
        optim_wrapper=dict(
            optimizer=dict(type='AdamW', lr=lr), accumulative_counts=2),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=3),
            dict(type='CosineAnnealingLR', by_epoch=False, begin=3)
        ],
        custom_hooks=[dict(type='EMAHook', momentum=0.1)],
        experiment_name=name,
        cfg=cfg,
        **{
            key: cfg[key]
            for key in ('work_dir', 'default_hooks', 'env_cfg', 'log_level',
                        'log_processor', 'randomness', 'visualizer',
                        'default_scope', 'resume', 'load_from') if key in cfg
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
        'best_det_mAP@0.10_0.70_iter_8.pth', 'iter_6.pth', 'iter_8.pth'
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


def test_the_log_does_not_grow_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(hooks, '_LOG_LENGTH', 3)
    runner = build(tmp_path, 'short log')
    runner.train()
    assert len(runner.message_hub.get_scalar('train/loss').data[0]) == 3
    assert len(learning_rates(tmp_path, 8)) == 3


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


def test_resumed_between_two_steps(finished, tmp_path, monkeypatch):
    """The optimizer steps at every second iteration."""
    options = {'default_hooks.checkpoint.interval': 1}
    build(tmp_path / 'whole', 'whole', **options, **{
        'default_hooks.checkpoint.max_keep_ckpts': -1
    }).train()
    path = tmp_path / 'whole' / 'iter_5.pth'
    assert 'gradients' in torch.load(path, weights_only=True)
    assert 'gradients' not in torch.load(
        finished / 'iter_8.pth', weights_only=True)

    def resume(name):
        runner = build(
            tmp_path / name, name, resume=True, load_from=str(path), **options)
        runner.train()

    resume('resumed')
    expected = weights(finished / 'iter_8.pth')
    found = weights(tmp_path / 'resumed' / 'iter_8.pth')
    for key, value in expected.items():
        assert torch.equal(found[key], value), key
    monkeypatch.setattr(hooks, 'get_world_size', lambda: 2)
    with pytest.raises(ValueError, match='processes=2, there 1'):
        resume('two')
    checkpoint = torch.load(path, weights_only=True)
    checkpoint['meta']['training']['processes'] = 2
    torch.save(checkpoint, path)
    with pytest.raises(ValueError, match='iter_5.pth was written between'):
        resume('two again')


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


def learning_rates(work_dir, iteration: int) -> list[float]:
    hub = torch.load(
        work_dir / f'iter_{iteration}.pth', weights_only=True)['message_hub']
    return hub['log_scalars']['train/lr']['history'].tolist()


def test_longer_training_follows_the_schedule_of_its_config(
        finished, tmp_path, caplog):
    build(tmp_path / 'unbroken', 'unbroken', max_iters=12).train()
    runner = build(
        tmp_path / 'longer',
        'longer',
        max_iters=12,
        resume=True,
        load_from=str(finished / 'iter_8.pth'))
    warned = []
    runner.logger.warning = lambda text, *args: warned.append(text)
    runner.train()
    expected = learning_rates(tmp_path / 'unbroken', 12)
    rates = learning_rates(tmp_path / 'longer', 12)
    assert rates[8:] == pytest.approx(expected[8:])
    assert rates[:8] == learning_rates(finished, 8)
    assert [text for text in warned if 'schedule differs' in text]


def test_unchanged_schedule_is_left_alone(finished, tmp_path):
    runner = build(
        tmp_path, 'same', resume=True, load_from=str(finished / 'iter_6.pth'))
    warned = []
    runner.logger.warning = lambda text, *args: warned.append(text)
    runner.train()
    assert not [text for text in warned if 'schedule' in text]
    assert learning_rates(tmp_path, 8) == learning_rates(finished, 8)


def test_new_learning_rate_on_resume(finished, tmp_path):
    build(
        tmp_path,
        'faster',
        lr=0.5,
        resume=True,
        load_from=str(finished / 'iter_6.pth')).train()
    expected = 10 * np.array(learning_rates(finished, 8))
    assert learning_rates(tmp_path, 8)[6:] == pytest.approx(expected[6:])


def test_best_of_a_copied_folder_is_replaced_there(finished, tmp_path):
    copy = Path(shutil.copytree(finished, tmp_path / 'copy'))
    before = {path: path.read_bytes() for path in finished.glob('*.pth')}
    build(
        copy,
        'copy',
        max_iters=12,
        resume=True,
        load_from=str(copy / 'iter_8.pth')).train()
    best, = copy.glob('best_*.pth')
    assert best.name.endswith('iter_12.pth')
    assert {p: p.read_bytes() for p in finished.glob('*.pth')} == before


def checkpoint_hook(tmp_path, **options):
    hook = HOOKS.build(
        dict(type='WTALCheckpointHook', by_epoch=False, interval=1, **options))
    saved = []
    runner = Namespace(
        work_dir=str(tmp_path),
        message_hub=MessageHub(f'{tmp_path.name}'),
        logger=logging.getLogger('hook'),
        epoch=0,
        iter=4,
        _val_loop=None,
        save_checkpoint=lambda folder, filename, **kw: saved.append(filename))
    hook.before_train(runner)
    return hook, runner, saved


@pytest.mark.parametrize('options, metrics, expected', [
    ({}, {
        'det/mAP@0.30': 1.,
        'det/mAP@0.30:0.70': 2.,
        'det/mAP@0.30:0.50': 3.
    }, 'best_det_mAP@0.30_0.70_iter_4.pth'),
    ({}, {
        'acc/top1': 1.
    }, 'best_acc_top1_iter_4.pth'),
    (dict(save_best='det/mAP@0.30'), {
        'det/mAP@0.30': 1.,
        'det/mAP@0.30:0.70': 2.
    }, 'best_det_mAP@0.30_iter_4.pth'),
])
def test_best_follows_the_protocol(tmp_path, options, metrics, expected):
    hook, runner, saved = checkpoint_hook(tmp_path, **options)
    hook.after_val_epoch(runner, metrics)
    assert saved == [expected]
    assert not re.search(r'[<>:"/\\|?*]', expected)


def test_unknown_argument_is_refused(tmp_path):
    with pytest.raises(TypeError, match='nothing reads intervall'):
        checkpoint_hook(tmp_path, intervall=3)


def test_metric_of_another_protocol_is_named(tmp_path):
    hook, runner, _ = checkpoint_hook(tmp_path, save_best='det/mAP@0.10:0.70')
    with pytest.raises(ValueError, match='save_best.*mAP@0.50:0.95.*auto'):
        hook.after_val_epoch(runner, {'det/mAP@0.50:0.95': 1.})


@pytest.mark.parametrize('options, save_best, expected', [
    (dict(protocol='anet'), 'det/mAP@0.50:0.95', None),
    (dict(protocol='anet'), 'auto', None),
    (dict(exclude=['x']), 'det/video_acc', None),
    (dict(protocol='anet'), 'det/mAP@0.10:0.70', 'it has .*mAP@0.50:0.95'),
    (dict(prefix='x'), 'det/mAP@0.10:0.70', 'it has .*x/mAP@0.10:0.70'),
])
def test_metric_is_looked_for_before_the_training(tmp_path, options, save_best,
                                                  expected):
    hook, runner, _ = checkpoint_hook(tmp_path, save_best=save_best)
    metric = METRICS.build(dict(type='DetectionMAP', **options))
    runner._val_loop = Namespace(evaluator=Evaluator([metric]))
    if expected is None:
        hook.before_train(runner)
    else:
        with pytest.raises(ValueError, match=f'save_best.*{expected}.*auto'):
            hook.before_train(runner)


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_training_stops_at_the_first_loss_that_is_not_finite(tmp_path, bad):
    runner = build(tmp_path, f'bad {bad}', bad=bad)
    with pytest.raises(ValueError) as caught:
        runner.train()
    text = str(caught.value)
    iteration = int(re.search(r'iteration (\d+): the loss is', text)[1])
    assert 'loss_mse=nan' in text and 'video_7' in text
    written = sorted(tmp_path.glob('iter_*.pth'))
    assert all(int(path.stem[5:]) < iteration for path in written)
    for path in written:
        assert all(x.isfinite().all() for x in weights(path).values())


class Steep(Drops):
    """A finite loss whose gradient is not, from the third iteration on."""

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'predict':
            return super().forward(inputs, data_samples, mode)
        self.calls = getattr(self, 'calls', 0) + 1
        weight = self.net[0].weight
        zero = (weight * 0).abs().sum()
        return dict(loss_a=zero.sqrt() if self.calls > 2 else zero)


def test_training_stops_at_a_gradient_that_is_not_finite(tmp_path):
    runner = build(
        tmp_path,
        'steep',
        model=Steep(),
        **{'default_hooks.checkpoint.interval': 1})
    with pytest.raises(
            ValueError,
            match='iteration 4: the gradient .*loss_a='
            '0.*iter_3.pth'):
        runner.train()
    written = sorted(path.name for path in tmp_path.glob('iter_*.pth'))
    assert written[-1] == 'iter_3.pth'
    for name in written:
        assert all(x.isfinite().all()
                   for x in weights(tmp_path / name).values())


def test_weights_that_are_not_finite_are_not_written(tmp_path):
    runner = build(tmp_path, 'overflow')
    hook = HOOKS.build(dict(type='StopAtNonFiniteHook'))
    state = runner.model.state_dict()
    state['net.0.bias'] = torch.full((8, ), float('inf'))
    with pytest.raises(ValueError, match='iteration 1: the weights net.0.bia'):
        hook.before_save_checkpoint(runner, dict(state_dict=state))


class Loop(BaseLoop):
    """A loop that is built, over a data set."""

    def __init__(self, dataset):
        self.dataloader = Namespace(
            dataset=dataset, batch_sampler=Namespace(batch_size=4))

    def run(self):
        raise NotImplementedError


class Labelled:
    """Videos with labels, of which hooks see no more than this."""

    def __init__(self, labels=((0, ), (1, )), **metainfo):
        self.labels, self.metainfo = labels, metainfo

    def __len__(self):
        return len(self.labels)

    def get_data_info(self, index):
        return dict(video_name=f'v{index}', labels=list(self.labels[index]))


def data(classes=('a', 'b'), seconds=0.64, channels=4, streams=None, **kwargs):
    return Labelled(
        classes=tuple(classes),
        seconds_per_snippet=seconds,
        in_channels=channels,
        stream_channels=streams,
        **kwargs)


class Sized(nn.Linear):
    num_classes = 2


def fit(train=None, val=None, test=None, model=None, streams=(2, 2), **kwargs):
    """CheckFitHook and a runner."""
    loops = {
        f'_{name}_loop': dataset and Loop(dataset)
        for name, dataset in (('train', train), ('val', val), ('test', test))
    }
    cfg = Config(dict(model=dict(stream_channels=list(streams))))
    return HOOKS.build(dict(type='CheckFitHook')), Namespace(
        model=model or Sized(4, 2),
        cfg=cfg,
        logger=logging.getLogger('fit'),
        _load_from='old.pth',
        _resume=kwargs.get('resume', False),
        hooks=kwargs.get('hooks', []),
        _randomness_cfg=dict(seed=kwargs.get('seed', 0)),
        **loops)


def saved(**kwargs) -> dict:
    hook, runner = fit(train=data(), **kwargs)
    checkpoint = dict(
        meta=dict(
            seed=0,
            dataset_meta=runner._train_loop.dataloader.dataset.metainfo),
        state_dict=runner.model.state_dict())
    hook.before_save_checkpoint(runner, checkpoint)
    return checkpoint


@pytest.mark.parametrize('sets, expected', [
    (dict(train=data('abc')),
     'num_classes=2, .*the training data have .*num_classes=3'),
    (dict(train=data(), val=data('ba')), 'training data and of the validation '
     "data differ: number 0 is 'a' against 'b'"),
    (dict(test=data(streams=[1, 3])), r'\[2, 2\], .*the test data .*\[1, 3\]'),
    (dict(test=data(channels=8)), r'stream_channels=\[2, 2\].*in_channels=8'),
])
def test_model_and_data_must_fit(sets, expected):
    hook, runner = fit(**sets)
    with pytest.raises(ValueError, match=expected):
        hook.before_run(runner)
    hook, runner = fit(train=data(), val=data(), test=data())
    hook.before_run(runner)


def test_loss_and_batches_must_agree_on_the_pairs():
    hook, runner = fit(train=data())
    loader = runner._train_loop.dataloader
    loader.batch_sampler = Namespace(num_pairs=2)
    for loss in (CO2NetLoss(), ActionDiffLoss(dict(type='CO2NetLoss'))):
        runner.model.loss_module = loss
        with pytest.raises(ValueError, match='num_pairs=3, .* 2 pairs'):
            hook.before_run(runner)
    runner.model.loss_module = CO2NetLoss(num_pairs=2)
    hook.before_run(runner)
    runner.model.loss_module = CO2NetLoss(num_pairs=0)
    hook.before_run(runner)


@pytest.mark.parametrize('runner, expected', [
    (dict(test=data('ba')), "old.pth was .* other classes .* 'a' against 'b'"),
    (dict(test=data(seconds=0.32)), 'seconds_per_snippet.* 0.64 against 0.32'),
    (dict(test=data(channels=8)), 'in_channels .* 4 against 8'),
    (dict(test=data(), streams=(1, 3)), 'stream_channels'),
    (dict(train=data('ba'), resume=True), 'other classes'),
    (dict(test=data(), model=nn.Linear(5, 2)),
     r'does not fit Linear .* of Sized; .*weight \(2, 4\) instead of \(2, 5'),
    (dict(test=data(), model=nn.Sequential(nn.Linear(4, 2))),
     'it lacks: 0.weight, 0.bias .*; that the model lacks: weight, bias'),
])
def test_checkpoint_must_fit(runner, expected):
    hook, runner = fit(**runner)
    with pytest.raises(ValueError, match=expected):
        hook.after_load_checkpoint(runner, saved())


@pytest.mark.parametrize('labels, options, expected', [
    (((0, ), (1, )), dict(seed=7), 'seed=7, there 0'),
    (((0, ), ), {}, 'videos=1, there 2'),
    (((0, ), (0, 1)), {}, 'names_and_labels=.*, there .* load_from=old.pth'),
])
def test_resumed_with_other_videos(labels, options, expected):
    hook, runner = fit(train=data(labels=labels), resume=True, **options)
    with pytest.raises(ValueError, match=expected):
        hook.after_load_checkpoint(runner, saved())


def test_resumed_with_another_batch_size():
    hook, runner = fit(train=data(), resume=True)
    sampler = runner._train_loop.dataloader.batch_sampler
    sampler.batch_size = 5
    with pytest.raises(ValueError, match='batch_size=5, there 4'):
        hook.after_load_checkpoint(runner, saved())
    runner._resume = False  # it starts from these weights
    hook.after_load_checkpoint(runner, saved())


def test_averaged_weights_are_resumed_as_such():
    averaging = HOOKS.build(dict(type='EMAHook'))
    plain, averaged = saved(), dict(saved(), ema_state_dict={})
    cases = [([], plain, averaged), ([averaging], averaged, plain)]
    for used, good, bad in cases:
        hook, runner = fit(train=data(), resume=True, hooks=used)
        hook.after_load_checkpoint(runner, good)
        with pytest.raises(
                ValueError,
                match='averaged weights, this one is with.*EMAHook'):
            hook.after_load_checkpoint(runner, bad)
        runner._resume = False  # it starts from these weights
        hook.after_load_checkpoint(runner, bad)


def test_a_root_that_nothing_reads_is_told(caplog):
    hook, runner = fit(train=data())
    runner.cfg.update(
        data_root='mine', test_dataloader=dict(dataset=dict(data_root='demo')))
    hook.before_run(runner)
    assert "data_root=mine of the config is not read" in caplog.text
    caplog.clear()
    runner.cfg.data_root = 'demo'
    hook.before_run(runner)
    assert not caplog.text


def test_a_random_seed_is_resumed():
    hook, runner = fit(train=data(), resume=True, seed=None)
    sampler = Namespace(seed=99)
    runner._train_loop.dataloader.batch_sampler.sampler = sampler
    hook.after_load_checkpoint(runner, saved())
    assert sampler.seed == 0


def test_empty_or_diverged_checkpoints_are_refused():
    hook, runner = fit(test=data())
    for empty in (dict(state_dict={}), {}, dict(meta={}, state_dict={})):
        with pytest.raises(ValueError, match='old.pth does not fit'):
            hook.after_load_checkpoint(runner, empty)
    bad = saved()
    bad['state_dict']['bias'] = torch.tensor([float('nan'), 0.])
    with pytest.raises(ValueError, match=r'not finite \(bias'):
        hook.after_load_checkpoint(runner, bad)


def test_checkpoint_that_fits():
    for part in (dict(test=data()), dict(train=data(), resume=True)):
        hook, runner = fit(**part)
        hook.after_load_checkpoint(runner, saved())
    # A new training may start from other weights, but from some.
    hook, runner = fit(train=data('xy'))
    hook.after_load_checkpoint(runner,
                               dict(state_dict=dict(weight=torch.zeros(2, 4))))
    with pytest.raises(ValueError, match='does not fit'):
        hook.after_load_checkpoint(
            runner, dict(state_dict=dict(other=torch.zeros(2, 4))))


def test_early_average_is_not_drawn_to_the_initial_weights():
    """The average that ``gamma=1`` gives: the mean of the weights so far, of
    at most ``1 / momentum`` of them."""
    model = nn.Linear(1, 1, bias=False)
    average = MODELS.build(
        dict(type='MomentumAnnealingEMA', momentum=0.1, gamma=1, model=model))
    values = list(range(2, 8))
    for value in values:
        model.weight.data.fill_(value)
        average.update_parameters(model)
    mean = average.module.weight.item()
    assert mean == pytest.approx(np.mean(values))


def in_a_child(work_dir, name, prepare=lambda: None) -> int:
    """Start or resume the training of ``finished`` in a process.

    Forked, hence without the seconds that an import takes.
    """
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        prepare()
        last = cli.latest_checkpoint(work_dir)
        build(work_dir, name, resume=last is not None, load_from=last).train()
        code = 0
    except (KeyboardInterrupt, OSError, RuntimeError):
        pass
    finally:
        os._exit(code)


def wait(pid) -> bool:
    return os.waitpid(pid, 0)[1] == 0


def assert_resumes_to(finished, work_dir) -> None:
    """Whatever happened to it, the training ends as if nothing had."""
    for path in work_dir.glob('iter_*.pth'):
        if cli.is_whole(path):
            weights(path)  # a whole one loads
    assert wait(in_a_child(work_dir, f'{work_dir} resumed'))
    expected = weights(finished / 'iter_8.pth')
    found = weights(work_dir / 'iter_8.pth')
    assert all(torch.equal(found[key], expected[key]) for key in expected)


needs_fork = pytest.mark.skipif(
    not hasattr(os, 'fork'), reason='the system cannot fork')


@needs_fork
@pytest.mark.slow
@pytest.mark.parametrize('number, trials', [(signal.SIGKILL, 20),
                                            (signal.SIGTERM, 4),
                                            (signal.SIGINT, 4)])
def test_killed_at_random_moments(finished, tmp_path, number, trials):
    rng = np.random.default_rng(0)
    start = time.monotonic()
    assert wait(in_a_child(tmp_path / 'whole', f'{tmp_path} whole'))
    length = time.monotonic() - start  # of this machine, as busy as it is
    killed = 0
    for trial in range(trials):
        work_dir = tmp_path / str(trial)
        # Once or twice, the second time while it is resumed.
        for part in range(rng.integers(1, 3)):
            pid = in_a_child(work_dir, f'{work_dir} {part}')
            time.sleep(rng.uniform(0, length))
            os.kill(pid, number)
            killed += not wait(pid)
        assert_resumes_to(finished, work_dir)
    assert killed > trials / 2


@needs_fork
@pytest.mark.slow
@pytest.mark.parametrize('written', [0, 1, 2, 3])
def test_killed_while_it_writes_a_checkpoint(finished, tmp_path, written):

    def prepare():
        put, count = LocalBackend.put, itertools.count()

        def put_half(self, content, filepath):
            if next(count) < written:
                return put(self, content, filepath)
            put(self, content[:-100], filepath)
            os.kill(os.getpid(), signal.SIGKILL)

        LocalBackend.put = put_half

    assert not wait(in_a_child(tmp_path, f'half {written}', prepare))
    half, = (p for p in tmp_path.glob('*.pth') if not cli.is_whole(p))
    assert half.stat().st_size > 0
    assert_resumes_to(finished, tmp_path)


@needs_fork
@pytest.mark.slow
def test_full_disk(finished, tmp_path):
    size = (finished / 'iter_8.pth').stat().st_size
    for limit in (size // 2, size - 100):
        work_dir = tmp_path / str(limit)
        pid = in_a_child(
            work_dir, f'full {limit}',
            lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        assert not wait(pid)
        assert_resumes_to(finished, work_dir)
