from itertools import islice
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.hooks import DistSamplerSeedHook
from mmengine.runner import Runner
from torch.utils.data import SequentialSampler

from mmaction_actiondiff.datasets import (PairBatchSampler, PlantedActions,
                                          ResumableTrainLoop, WTALSampler,
                                          samplers)


class Labels:
    """A data set of labels alone."""

    def __init__(self, *labels):
        self.labels = labels

    def __len__(self):
        return len(self.labels)

    def get_data_info(self, index):
        return dict(labels=self.labels[index])


def take(sampler, count):
    """(index, draw) of so many samples, on over the epochs."""
    sampler.endless = True
    return [(int(x), x.draw) for x in islice(iter(sampler), count)]


def take_batches(batches, count):
    """(index, draw) of the samples of so many batches."""
    batches.sampler.endless = True
    return [(int(x), x.draw) for batch in islice(iter(batches), count)
            for x in batch]


@pytest.fixture
def as_rank(monkeypatch):

    def make(rank, world_size, *args, **kwargs):
        monkeypatch.setattr(samplers, 'get_dist_info', lambda:
                            (rank, world_size))
        return WTALSampler(*args, **kwargs)

    return make


def test_epochs():
    drawn = take(WTALSampler(range(7), seed=3), 21)
    indices = [index for index, _ in drawn]
    epochs = [indices[:7], indices[7:14], indices[14:]]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    assert len({draw for _, draw in drawn}) == 21


def test_every_iteration_is_the_same():
    sampler = WTALSampler(range(50), seed=3)
    assert take(sampler, 120) == take(sampler, 120)
    assert take(sampler, 120) == take(WTALSampler(range(50), seed=3), 120)
    other = take(WTALSampler(range(50), seed=4), 120)
    assert take(sampler, 120) != other
    assert not {d for _, d in take(sampler, 120)} & {d for _, d in other}


def test_seed_defaults_to_a_random_one():
    seeds = {WTALSampler(range(3)).seed for _ in range(4)}
    assert len(seeds) > 1


@pytest.mark.parametrize('size', [6, 7, 8])
def test_epochs_are_pieces_of_the_endless_order(size):
    data = Labels(*[[i % 2] for i in range(size)])
    plain = WTALSampler(data, seed=0)
    batches = PairBatchSampler(WTALSampler(data, seed=0), 3, num_pairs=1)
    endless = take(WTALSampler(data, seed=0), 3 * size)
    paired = take_batches(
        PairBatchSampler(WTALSampler(data, seed=0), 3, num_pairs=1), 9)
    assert len(plain) == size and len(batches) == -(-size // 3)
    for epoch in (0, 2, 1):
        plain.set_epoch(epoch)
        assert [(int(x), x.draw)
                for x in plain] == endless[epoch * size:(epoch + 1) * size]
        batches.sampler.set_epoch(epoch)
        start = epoch * len(batches) * 3
        assert [(int(x), x.draw) for batch in batches
                for x in batch] == paired[start:start + len(batches) * 3]


def test_a_position_is_reached_at_once():
    data = Labels(*[[i % 3] for i in range(20)])
    for num_pairs in (0, 2):
        batches = PairBatchSampler(WTALSampler(data, seed=0), 5, num_pairs)
        whole = take_batches(batches, 40)
        batches.sampler.position = 31 * 5
        assert take_batches(batches, 9) == whole[31 * 5:]
    batches.sampler.position = 10**12  # no draw before it is made
    assert len(take_batches(batches, 1)) == 5


def test_ranks_share_an_epoch(as_rank):
    shares = [
        take(as_rank(rank, 3, range(12), seed=1), 8) for rank in (0, 1, 2)
    ]
    for half in (slice(0, 4), slice(4, 8)):
        epoch = [index for share in shares for index, _ in share[half]]
        assert sorted(epoch) == list(range(12))
    together = take(as_rank(0, 1, range(12), seed=1), 24)
    assert sorted(sum(shares, [])) == sorted(together)


def test_pairs_share_a_class():
    labels = [[0], [0, 1], [1], [2], [2], [3], [], [0], [2], [1]]
    batches = PairBatchSampler(
        WTALSampler(Labels(*labels), seed=0), 6, num_pairs=2)
    drawn = [index for index, _ in take_batches(batches, 200)]
    used = set()
    for start in range(0, len(drawn), 6):
        classes = []
        for a, b in (drawn[start:start + 2], drawn[start + 2:start + 4]):
            assert a != b
            common = set(labels[a]) & set(labels[b])
            assert common
            classes.append(common)
            used |= common
        assert classes[0] != classes[1]
    assert used == {0, 1, 2}  # class 3 has one video
    # the rest of the batches are the shuffled epochs
    rest = [x for i, x in enumerate(drawn) if i % 6 >= 4]
    assert all(
        sorted(rest[i:i + 10]) == list(range(10)) for i in range(0, 400, 10))


def test_pairs_of_ranks_differ(as_rank):
    data = Labels(*[[i % 3] for i in range(30)])

    def drawn(rank):
        batches = PairBatchSampler(as_rank(rank, 2, data, seed=0), 4, 1)
        return take_batches(batches, 15)

    first, second = drawn(0), drawn(1)
    assert first == drawn(0)
    assert [i for i, _ in first] != [i for i, _ in second]
    assert not {d for _, d in first} & {d for _, d in second}
    rest = [
        index for share in (first, second)
        for k, (index, _) in enumerate(share) if k % 4 >= 2
    ]
    assert sorted(rest) == sorted(list(range(30)) * 2)


def test_without_pairs_it_is_the_sampler():
    data = Labels(*[[0]] * 7)
    batches = PairBatchSampler(WTALSampler(data, seed=2), 4)
    assert take_batches(batches, 5) == take(WTALSampler(data, seed=2), 20)


def test_more_pairs_than_classes():
    data = Labels([0], [0], [0])
    batches = PairBatchSampler(WTALSampler(data, seed=0), 4, num_pairs=2)
    a, b, c, d = [index for index, _ in take_batches(batches, 1)]
    assert a != b and c != d


def test_bad_arguments():
    sampler = WTALSampler(Labels([0], [0], [1]), 0)
    with pytest.raises(ValueError, match='num_pairs must be >= 0, got -1'):
        PairBatchSampler(sampler, 4, num_pairs=-1)
    with pytest.raises(ValueError, match='batch_size >= 6, got 5'):
        PairBatchSampler(sampler, 5, num_pairs=3)
    with pytest.raises(ValueError, match='3 videos have 2 classes, each in'):
        PairBatchSampler(WTALSampler(Labels([0], [1], []), 0), 2, 1)
    with pytest.raises(TypeError, match='WTALSampler, got SequentialSampler'):
        PairBatchSampler(SequentialSampler([0]), 2)


PLANTED = dict(
    type='mmaction.PlantedActions',
    subset='training',
    planted=dict(num_train=12, num_test=1, num_snippets=(20, 30)),
    pipeline=[
        dict(type='LoadSnippetFeature'),
        dict(type='SampleSnippets', num_snippets=16),
        dict(type='PackWTALInputs')
    ])


def build_loader(root, wrap=lambda dataset: dataset, **kwargs):
    dataset = dict(PLANTED, data_root=str(root))
    return Runner.build_dataloader(
        dict(
            batch_size=4,
            num_workers=0,
            sampler=dict(type='mmaction.WTALSampler'),
            batch_sampler=dict(type='mmaction.PairBatchSampler', num_pairs=1),
            dataset=wrap(dataset),
            **kwargs),
        seed=5)


def test_runner_builds_it(tmp_path):
    loader = build_loader(tmp_path / 'planted')
    sampler = loader.batch_sampler.sampler
    assert sampler.seed == 5 and len(loader) == 3
    assert isinstance(loader.dataset, PlantedActions)
    assert loader.collate_fn.func is pseudo_collate
    sampler.endless = True
    batches = list(islice(loader, 5))  # more than an epoch, no restart
    assert [len(batch['inputs']) for batch in batches] == [4] * 5
    one, two = batches[0]['data_samples'][:2]
    assert set(one.gt_label.tolist()) & set(two.gt_label.tolist())


@pytest.mark.parametrize('wrap', [
    lambda data: dict(type='ConcatDataset', datasets=[data, data]),
    lambda data: dict(type='RepeatDataset', dataset=data, times=2)
])
def test_wrapped_data_sets_keep_pairs_and_draws(tmp_path, wrap):
    batches = []
    for state in (0, 1):
        np.random.seed(state)  # without a draw, crops would depend on it
        loader = build_loader(tmp_path / 'planted', wrap)
        assert len(loader.dataset) == 24 and len(loader) == 6
        batches.append(list(loader))
    for one, two in zip(*batches):
        assert all(map(torch.equal, one['inputs'], two['inputs']))
        first, second = one['data_samples'][:2]
        assert set(first.gt_label.tolist()) & set(second.gt_label.tolist())


def test_an_epoch_loop_ends_its_epochs(tmp_path):
    """MMEngine's hook tells the sampler which epoch it is."""
    loader = build_loader(tmp_path / 'planted')
    whole = take_batches(build_loader(tmp_path / 'planted').batch_sampler, 6)
    found = []
    for epoch in (0, 1):
        runner = SimpleNamespace(
            train_loop=SimpleNamespace(dataloader=loader), epoch=epoch)
        DistSamplerSeedHook().before_train_epoch(runner)
        assert len(list(loader)) == len(loader) == 3
        found += [(int(x), x.draw) for b in loader.batch_sampler for x in b]
    assert found == whole


@pytest.mark.parametrize('with_pairs', [True, False])
def test_resumed_loop_reads_nothing_twice(tmp_path, with_pairs):
    """From iteration 4 of 6 on, it takes what the whole run took there."""

    class Run(SimpleNamespace):
        visualizer = model = val_loop = Mock()

        def call_hook(self, *args, **kwargs):
            pass

    class Loop(ResumableTrainLoop):

        def run_iter(self, batch):
            seen.append([x.video_name for x in batch['data_samples']])
            self._iter += 1

    runs = []
    for start in (0, 4):
        seen: list = []
        loader = build_loader(tmp_path / 'planted')
        if not with_pairs:
            loader = Runner.build_dataloader(
                dict(
                    batch_size=4,
                    num_workers=0,
                    sampler=dict(type='mmaction.WTALSampler'),
                    dataset=loader.dataset),
                seed=5)
        opened = Mock(wraps=loader.dataset.prepare_data)
        loader.dataset.prepare_data = opened
        loop = Loop(Run(), loader, max_iters=6, val_interval=100)
        loop._iter = start
        loop.run()
        runs.append(seen)
        assert opened.call_count == 4 * (6 - start)
    assert len(runs[0]) == 6 and runs[1] == runs[0][4:]
