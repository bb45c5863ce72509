import json
import multiprocessing
import os
import time

import numpy as np
import pytest

from mmaction_actiondiff.datasets import (PlantedActions, planted,
                                          write_planted_dataset)

SMALL = dict(num_classes=4, num_train=12, num_test=6, num_snippets=(30, 60))


def read(root):
    files = sorted(p for p in root.rglob('*') if p.is_file())
    return {str(p.relative_to(root)): p.read_bytes() for p in files}


@pytest.fixture(scope='module')
def demo(tmp_path_factory):
    root = tmp_path_factory.mktemp('planted') / 'demo'
    start = time.process_time()
    write_planted_dataset(root)
    assert time.process_time() - start < 10
    return root


def test_default_set(demo):
    train = PlantedActions(str(demo), 'training')
    test = PlantedActions(str(demo), 'test', test_mode=True)
    assert (len(train), len(test)) == (100, 50)
    assert len(train.metainfo['classes']) == 6
    size = sum(len(data) for data in read(demo).values())
    assert size < 8e6
    feature = np.load(demo / 'features/test_0001.npy')
    assert feature.dtype == np.float16
    assert feature.shape[1] == 64
    assert np.isfinite(feature).all() and (feature >= 0).all()


def test_default_set_is_weakly_supervised_localization(demo):
    database = json.loads((demo / 'annotations.json').read_text())['database']
    counts, shares = [], []
    for name, video in database.items():
        items = video['annotations']
        counts.append(len({item['label'] for item in items}))
        ends = np.array([item['segment'] for item in items])
        assert (ends[1:, 0] > ends[:-1, 1]).all()  # no overlap
        assert ends.min() >= 0 and ends.max() <= video['duration']
        shares.append(np.diff(ends).sum() / video['duration'])
        length = np.load(demo / f'features/{name}.npy', mmap_mode='r').shape[0]
        assert 60 <= length <= 300
        assert length == int(video['duration'] / 0.64)
    assert set(counts) == {1, 2}
    assert 0.2 < np.mean(shares) < 0.5
    lengths = {}
    for video in database.values():
        for item in video['annotations']:
            lengths.setdefault(item['label'], []).append(item['segment'][1] -
                                                         item['segment'][0])
    medians = sorted(np.median(x) for x in lengths.values())
    assert medians[-1] > 3 * medians[0]  # short and long actions


def test_phases_partition_the_instance(demo):
    database = json.loads((demo / 'annotations.json').read_text())['database']
    for video in database.values():
        for item in video['annotations']:
            (a, b), (c, d), (e, f) = item['phases']
            assert [a, f] == pytest.approx(item['segment'])
            assert a < b == c < d == e < f


def test_cores_tell_and_startups_of_two_classes_look_alike(demo):
    """Nearest class mean, with the evidence of each phase of a test video."""
    train, test = [
        PlantedActions(str(demo), s, test_mode=True)
        for s in ('training', 'test')
    ]
    database = json.loads((demo / 'annotations.json').read_text())['database']
    names = train.metainfo['classes']

    def collect(dataset, phase):
        means, labels = [], []
        for i in range(len(dataset)):
            record = dataset.get_data_info(i)
            feature = np.load(record['feature_path']).astype(np.float32)
            feature = feature - feature.mean(0)
            for item in database[record['video_name']]['annotations']:
                start, end = np.array(item['phases'][phase]) / 0.64
                part = feature[int(start):max(int(end), int(start) + 1)]
                means.append(part.mean(0))
                labels.append(names.index(item['label']))
        return np.array(means), np.array(labels)

    def accuracy(phase):
        x, y = collect(train, phase)
        centres = np.stack([x[y == c].mean(0) for c in range(len(names))])
        x, y = collect(test, phase)
        guess = np.linalg.norm(x[:, None] - centres, axis=2).argmin(1)
        return (guess == y).mean(), (guess // 2 == y // 2).mean()

    core, _ = accuracy(1)
    startup, startup_pair = accuracy(0)
    assert core > 0.8
    assert startup < core - 0.05
    assert startup_pair > startup + 0.05


def test_context_is_in_videos_of_the_class_outside_its_actions(tmp_path):
    params = dict(
        channels=64, seconds_per_snippet=0.64, signal=50., context=1., seed=0)
    directions = planted._directions(2, params)
    rng = np.random.default_rng(0)
    video = dict(
        duration=300 * 0.64,
        annotations=[planted._annotation(rng, 'b', 30 * 0.64, 60 * 0.64)])
    seen = [
        planted._feature(
            np.random.default_rng(i), video, dict(a=0, b=1), directions,
            params) for i in range(10)
    ]
    # responses to the contexts of class a and b, against the cores'
    response = np.abs(
        np.stack(seen).astype(np.float64) @ np.linalg.pinv(
            np.maximum(directions, 0)))
    inside = slice(30, 60)
    outside = np.delete(response, np.r_[inside], axis=1)
    assert outside[..., 3].max() > 5 * outside[..., 2].max()
    assert response[:, inside, 3].max() < outside[..., 3].max() / 2


def test_each_stream_sees_a_part():
    directions = planted._directions(6, dict(channels=64, seed=0))
    assert np.linalg.norm(directions, axis=1) == pytest.approx(1)
    rgb = np.linalg.norm(directions[:6, :32], axis=1)
    assert rgb.min() < 0.3 and rgb.max() > 0.95  # some mostly here, some there


def test_same_parameters_same_bytes(tmp_path):
    for name in ('a', 'b'):
        write_planted_dataset(tmp_path / name, **SMALL)
    assert read(tmp_path / 'a') == read(tmp_path / 'b')
    write_planted_dataset(tmp_path / 'c', **SMALL, seed=1)
    first, other = [
        np.load(tmp_path / name / 'features/test_0001.npy')[:20]
        for name in ('a', 'c')
    ]
    assert not np.array_equal(first, other)


def test_written_once(tmp_path):
    write_planted_dataset(tmp_path / 'a', **SMALL)
    before = os.stat(tmp_path / 'a/annotations.json').st_mtime_ns
    write_planted_dataset(tmp_path / 'a', **SMALL)
    assert os.stat(tmp_path / 'a/annotations.json').st_mtime_ns == before


def test_refuses_other_parameters_and_other_files(tmp_path):
    write_planted_dataset(tmp_path / 'a', **SMALL)
    with pytest.raises(
            ValueError, match=r'seed=0 \(wanted 1\).*another data_root'):
        write_planted_dataset(tmp_path / 'a', **SMALL, seed=1)
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine/thesis.txt').write_text('precious')
    with pytest.raises(FileExistsError, match='mine holds other files'):
        write_planted_dataset(tmp_path / 'mine', **SMALL)
    assert list(
        (tmp_path / 'mine').iterdir()) == [tmp_path / 'mine/thesis.txt']
    (tmp_path / 'empty').mkdir()
    write_planted_dataset(tmp_path / 'empty', **SMALL)
    assert (tmp_path / 'empty/annotations.json').is_file()


@pytest.mark.parametrize('params, words', [
    (dict(channels=7), 'channels must be even and >= 2, got 7'),
    (dict(num_classes=1), 'got 1, 12 and 6'),
    (dict(num_test=0), 'got 4, 12 and 0'),
    (dict(num_snippets=(9, 5)), r'got \(9, 5\)'),
])
def test_bad_parameters(tmp_path, params, words):
    with pytest.raises(ValueError, match=words):
        write_planted_dataset(tmp_path / 'a', **{**SMALL, **params})
    assert list(tmp_path.iterdir()) == []


def test_processes_may_write_at_the_same_time(tmp_path):
    """Ranks of one training, or two trainings that are started at once."""
    context = multiprocessing.get_context('fork')
    together = context.Barrier(4)

    def write():
        for number in range(5):
            together.wait(60)
            write_planted_dataset(tmp_path / f'x/{number}', **SMALL)

    processes = [context.Process(target=write) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    write_planted_dataset(tmp_path / 'b', **SMALL)
    assert len(list((tmp_path / 'x').iterdir())) == 5
    for folder in (tmp_path / 'x').iterdir():
        assert read(folder) == read(tmp_path / 'b')


def test_nothing_is_left_of_an_interrupted_run(tmp_path, monkeypatch):

    def fail(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(planted, '_feature', fail)
    with pytest.raises(KeyboardInterrupt):
        write_planted_dataset(tmp_path / 'a', **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_layout_of_another_data_set(tmp_path):
    videos = dict(
        long_one=dict(
            subset='validation',
            duration=100.,
            annotations=[
                dict(label='Diving', segment=[10., 30.]),
                dict(label='CliffDiving', segment=[10., 30.]),
                dict(label='Diving', segment=[90., 130.])
            ],
            labels=['Diving'],
            ambiguous=[[40., 41.]]),
        short_one=dict(subset='test', duration=0.3, annotations=[]))
    layout = tmp_path / 'layout.json'
    layout.write_text(json.dumps(dict(database=videos)))
    params = dict(layout_file=str(layout), channels=2048)
    root = tmp_path / 'a'
    dataset = PlantedActions(
        str(root), ['validation', 'test'],
        planted=params,
        test_mode=True,
        odd_segments='keep',
        rate_tolerance=None)
    assert dataset.metainfo['classes'] == ('CliffDiving', 'Diving')
    record = dataset.get_data_info(0)
    assert record['segments'].tolist() == [[10, 30], [10, 30], [90, 130]]
    assert record['labels'] == [1]
    assert record['ambiguous'].tolist() == [[40, 41]]
    assert np.load(root / 'features/long_one.npy').shape == (156, 2048)
    assert np.load(root / 'features/short_one.npy').shape == (1, 2048)
    layout.write_text(json.dumps(dict(database=dict(x=videos['long_one']))))
    with pytest.raises(ValueError, match='layout_crc32'):
        write_planted_dataset(root, **params)


@pytest.mark.parametrize('name', ['../x', 'a/b', '/x', '..', ''])
def test_names_of_a_layout_stay_in_the_folder(tmp_path, name):
    layout = tmp_path / 'in/layout.json'
    layout.parent.mkdir()
    video = dict(subset='test', duration=9., labels=['a'])
    layout.write_text(json.dumps(dict(database={name: video})))
    with pytest.raises(ValueError, match='cannot be used as a file name'):
        write_planted_dataset(tmp_path / 'in/a', layout_file=str(layout))
    assert [p.name for p in tmp_path.iterdir()] == ['in']
    assert [p.name for p in layout.parent.iterdir()] == ['layout.json']


def test_all_lengths_scaled(tmp_path):
    """Durations, actions and their phases; snippets last as long as before."""
    layout = tmp_path / 'layout.json'
    video = dict(
        subset='training',
        duration=64.,
        ambiguous=[[50., 60.]],
        annotations=[
            dict(label='Run', segment=[10., 20.]),
            dict(label='Jump', segment=[30., 34.])
        ])
    layout.write_text(json.dumps(dict(database=dict(v=video))))
    found = {}
    for scale in (1, 0.5, 2):
        write_planted_dataset(
            tmp_path / str(scale),
            layout_file=str(layout),
            channels=8,
            length_scale=scale)
        path = tmp_path / str(scale) / 'annotations.json'
        record = json.loads(path.read_text())['database']['v']
        found[scale] = record
        assert record['duration'] == 64 * scale
        first, second = record['annotations']
        np.testing.assert_allclose(first['segment'], [10 * scale, 20 * scale])
        np.testing.assert_allclose(second['segment'], [30 * scale, 34 * scale])
        np.testing.assert_allclose(
            np.array(first['phases']),
            np.array(found[1]['annotations'][0]['phases']) * scale)
        np.testing.assert_allclose(record['ambiguous'],
                                   [[50 * scale, 60 * scale]])
        feature = np.load(tmp_path / str(scale) / 'features' / 'v.npy')
        assert len(feature) == int(100 * scale)
    with pytest.raises(ValueError, match='length_scale=2'):
        write_planted_dataset(
            tmp_path / '2', layout_file=str(layout), channels=8)
    with pytest.raises(ValueError, match='length_scale must be > 0, got 0'):
        write_planted_dataset(tmp_path / 'x', length_scale=0)
