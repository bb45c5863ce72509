import copy
from itertools import cycle, islice
from pathlib import Path

import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmaction_actiondiff.datasets import (LengthSampler, PlantedActions,
                                          WTALSampler, samplers)

ROOT = Path(__file__).resolve().parents[2]


class Labels:
    """A data set of labels alone."""

    def __init__(self, *labels):
        self.labels = labels

    def __len__(self):
        return len(self.labels)

    def get_cat_ids(self, index):
        return self.labels[index]


class Durations:
    """A data set of durations alone."""

    def __init__(self, *durations):
        self.durations = durations

    def __len__(self):
        return len(self.durations)

    def get_data_info(self, index):
        return dict(duration=self.durations[index])


def take(sampler, count):
    return list(islice(iter(sampler), count))


@pytest.fixture
def as_rank(monkeypatch):

    def make(rank, world_size, *args, kind=WTALSampler, **kwargs):
        monkeypatch.setattr(samplers, 'get_dist_info', lambda:
                            (rank, world_size))
        return kind(*args, **kwargs)

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


def test_length_is_an_epoch():
    sampler = WTALSampler(range(7), seed=0)
    assert len(sampler) == 7
    assert sampler.set_epoch(3) is None


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
    sampler = WTALSampler(Labels(*labels), seed=0, num_pairs=2, batch_size=6)
    drawn = [index for index, _ in take(sampler, 6 * 200)]
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
    args = dict(seed=0, num_pairs=1, batch_size=4)
    first, second = [take(as_rank(r, 2, data, **args), 60) for r in (0, 1)]
    assert first == take(as_rank(0, 2, data, **args), 60)
    assert [i for i, _ in first] != [i for i, _ in second]
    assert not {d for _, d in first} & {d for _, d in second}
    rest = [
        index for share in (first, second)
        for k, (index, _) in enumerate(share) if k % 4 >= 2
    ]
    assert sorted(rest) == sorted(list(range(30)) * 2)


def test_more_pairs_than_classes():
    data = Labels([0], [0], [0])
    sampler = WTALSampler(data, seed=0, num_pairs=2, batch_size=4)
    a, b, c, d = [index for index, _ in take(sampler, 4)]
    assert a != b and c != d


def test_bad_arguments():
    data = Labels([0], [0], [1])
    with pytest.raises(ValueError, match='num_pairs must be >= 0, got -1'):
        WTALSampler(data, 0, num_pairs=-1)
    with pytest.raises(ValueError, match='batch_size >= 6, got 5'):
        WTALSampler(data, 0, num_pairs=3, batch_size=5)
    with pytest.raises(ValueError, match='batch_size >= 2, got None'):
        WTALSampler(data, 0, num_pairs=1)
    with pytest.raises(ValueError, match='3 videos have 2 classes, each in'):
        WTALSampler(Labels([0], [1], []), 0, num_pairs=1, batch_size=2)


def test_runner_builds_it(tmp_path):
    loader = Runner.build_dataloader(
        dict(
            batch_size=4,
            num_workers=0,
            sampler=dict(
                type='mmaction.WTALSampler', num_pairs=1, batch_size=4),
            dataset=dict(
                type='mmaction.PlantedActions',
                data_root=str(tmp_path / 'planted'),
                subset='training',
                planted=dict(num_train=12, num_test=1, num_snippets=(20, 30)),
                pipeline=[
                    dict(type='LoadSnippetFeature', in_channels=64),
                    dict(type='SampleSnippets', num_snippets=16),
                    dict(type='PackWTALInputs')
                ])),
        seed=5)
    assert loader.sampler.seed == 5
    assert isinstance(loader.dataset, PlantedActions)
    assert loader.collate_fn.func is pseudo_collate
    batches = list(islice(loader, 5))  # more than an epoch, no restart
    assert [len(batch['inputs']) for batch in batches] == [4] * 5
    one, two = batches[0]['data_samples'][:2]
    assert set(one.gt_label.tolist()) & set(two.gt_label.tolist())


def test_longest_first():
    sampler = LengthSampler(Durations(3., 9., 5., 9., 1.))
    assert list(sampler) == list(sampler) == [1, 3, 2, 0, 4]
    assert len(sampler) == 5


@pytest.mark.parametrize('num_videos', [1, 2, 7, 9, 12])
@pytest.mark.parametrize('world_size', [1, 2, 3, 5])
def test_ranks_share_the_lengths(as_rank, num_videos, world_size):
    data = Durations(*[float(i * 5 % 7) for i in range(num_videos)])
    shares = [
        list(as_rank(rank, world_size, data, kind=LengthSampler))
        for rank in range(world_size)
    ]
    assert len({len(share) for share in shares}) == 1
    # MMEngine takes the results of the ranks in turns, cuts the rest off.
    merged = [i for turn in zip(*shares) for i in turn]
    order = list(as_rank(0, 1, data, kind=LengthSampler))
    assert sorted(order) == list(range(num_videos))
    assert merged[:num_videos] == order
    surplus = merged[num_videos:]
    assert len(surplus) < world_size
    assert surplus == list(islice(cycle(reversed(order)), len(surplus)))


def test_batches_by_length_change_no_prediction(tmp_path):
    """A small model sees every video of the data set alone and batched."""
    cfg = Config.fromfile(ROOT / 'configs/actiondiff_demo.py')
    init_default_scope('mmaction')
    model = MODELS.build(cfg.model).eval()
    torch.nn.init.normal_(model.diffusion_head.denoiser.head.weight)
    loader = cfg.test_dataloader
    loader.dataset.update(
        data_root=str(tmp_path / 'planted'),
        planted=dict(
            num_train=6, num_test=7, num_snippets=(20, 90), **cfg.planted))
    assert loader.sampler.type == 'LengthSampler'
    found = []
    for batch_size in (3, 1):
        loader.batch_size = batch_size
        batches = list(Runner.build_dataloader(copy.deepcopy(loader), seed=0))
        samples = [s for batch in batches for s in model.test_step(batch)]
        lengths = [s.num_snippets for s in samples]
        assert lengths == sorted(lengths, reverse=True)
        found.append({s.video_name: s.pred_instances for s in samples})
    together, alone = found
    assert len(alone) == 7 and together.keys() == alone.keys()
    for name, expected in alone.items():
        for key in ('segments', 'scores'):
            torch.testing.assert_close(
                together[name][key], expected[key], atol=1e-4, rtol=1e-4)
        assert torch.equal(together[name].labels, expected.labels)
