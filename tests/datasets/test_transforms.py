import numpy as np
import pytest
import torch

from mmaction_actiondiff.datasets import (LoadSnippetFeature, PackWTALInputs,
                                          SampleSnippets)


def record(path='x.npy', length=None, **kwargs):
    """Snippet ``i`` holds the value ``i``; 2 s a snippet."""
    results = dict(
        video_name='x',
        feature_path=str(path),
        duration=20.,
        seconds_per_snippet=2.,
        snippet_offset=0.,
        labels=[1, 4],
        segments=np.array([[0., 4.], [6., 9.]]),
        segment_labels=np.array([4, 1]),
        ambiguous=np.array([[18., 19.]]))
    if length:
        results['feature'] = np.repeat(
            np.arange(length, dtype=np.float32)[:, None], 3, axis=1)
    return {**results, **kwargs}


def snippets(results):
    return results['feature'][:, 0].astype(int).tolist()


@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64])
def test_load(tmp_path, dtype):
    values = np.random.default_rng(0).random((10, 3)).astype(dtype)
    np.save(tmp_path / 'x.npy', values)
    results = LoadSnippetFeature(3)(record(tmp_path / 'x.npy'))
    assert results['feature'].dtype == dtype
    assert np.array_equal(results['feature'], values)


def test_local_files_are_mapped(tmp_path):
    path = tmp_path / 'x.npy'
    # 4 GB on paper, a few KB on disk
    np.lib.format.open_memmap(
        path, mode='w+', dtype=np.float32, shape=(500_000, 2048))
    results = LoadSnippetFeature(2048)(record(path))
    assert isinstance(results['feature'], np.memmap)
    results = SampleSnippets(7)({**results, 'draw': 3})
    assert PackWTALInputs()(results)['inputs'].shape == (2048, 7)


@pytest.mark.parametrize('values, words', [
    (np.zeros((3, 10), np.float32), r'found \(3, 10\); this looks like \(D'),
    (np.zeros((10, 4), np.float32), r'\(T, 3\).*need in_channels=4'),
    (np.zeros((0, 3), np.float32), r'T >= 1, found \(0, 3\)'),
    (np.zeros(3, np.float32), r'found \(3,\)'),
    (np.zeros((1, 10, 3), np.float32), r'found \(1, 10, 3\)'),
    (np.zeros((10, 3), np.int32), 'found int32'),
    (np.zeros((10, 3), '>f4'), 'found >f4'),
    (np.array([dict(), []], dtype=object), 'pickled Python objects'),
])
def test_bad_array(tmp_path, values, words):
    path = tmp_path / 'x.npy'
    np.save(path, values)
    with pytest.raises(ValueError, match=words) as error:
        LoadSnippetFeature(3)(record(path))
    assert str(path) in str(error.value)


@pytest.mark.parametrize('damage', [
    lambda data: data[:-8], lambda data: data[:40], lambda data: b'',
    lambda data: b'rgb, flow\n1, 2\n'
])
def test_bad_file(tmp_path, damage):
    path = tmp_path / 'x.npy'
    np.save(path, np.zeros((10, 3), np.float32))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match='cannot be read.*numpy.save') as e:
        LoadSnippetFeature(3)(record(path))
    assert str(path) in str(e.value)


def test_archive_and_missing_file(tmp_path):
    with open(tmp_path / 'x.npy', 'wb') as file:
        np.savez(file, rgb=np.zeros((10, 3)))
    with pytest.raises(ValueError, match='npz archive'):
        LoadSnippetFeature(3)(record(tmp_path / 'x.npy'))
    with pytest.raises(FileNotFoundError, match='no such feature file'):
        LoadSnippetFeature(3)(record(tmp_path / 'y.npy'))
    with pytest.raises(ValueError, match='in_channels must be >= 1, got 0'):
        LoadSnippetFeature(0)


def test_channels_come_from_the_record(tmp_path):
    np.save(tmp_path / 'x.npy', np.zeros((10, 3), np.float32))
    load = LoadSnippetFeature()
    assert load(record(tmp_path / 'x.npy', in_channels=3))['feature'].shape
    with pytest.raises(ValueError, match=r'expected \(T, 4\), found'):
        load(record(tmp_path / 'x.npy', in_channels=4))


@pytest.mark.parametrize('mode', ['crop', 'uniform'])
@pytest.mark.parametrize('length', [3, 4])
def test_short_videos_stay(mode, length):
    results = SampleSnippets(4, mode)(record(length=length))
    assert snippets(results) == list(range(length))
    assert results['seconds_per_snippet'] == 2.
    assert results['duration'] == 20.


def test_crop():
    seen = set()
    for draw in range(200):
        results = SampleSnippets(4)(record(length=7, draw=draw))
        start = snippets(results)[0]
        assert snippets(results) == list(range(start, start + 4))
        assert results['duration'] == 8.
        seen.add(start)
    assert seen == {0, 1, 2, 3}


def test_crop_moves_the_ground_truth():
    results = SampleSnippets(4, random=False)(record(length=8))
    assert snippets(results) == [2, 3, 4, 5]  # 4 s to 12 s
    assert results['segments'].tolist() == [[2., 5.]]
    assert results['segment_labels'].tolist() == [1]
    assert results['ambiguous'].tolist() == []
    assert results['labels'] == [1, 4]  # still the video's


def test_crop_keeps_the_offset():
    """Windows of 6 s every 2 s: the cell of snippet 0 starts at 2 s."""
    results = SampleSnippets(
        4, random=False)(
            record(length=8, snippet_offset=2.))
    # snippets 2 to 5 cover 6 s to 14 s, and again start at 2 s
    assert results['segments'].tolist() == [[2., 5.]]
    assert results['duration'] == 10. and results['snippet_offset'] == 2.
    packed = PackWTALInputs()(results)['data_samples']
    assert packed.metainfo['snippet_offset'] == 2.


@pytest.mark.parametrize('mode', ['uniform', 'stretch'])
def test_one_snippet_of_each_part(mode):
    results = SampleSnippets(3, mode, random=False)(record(length=9))
    assert snippets(results) == [1, 4, 7]
    assert results['seconds_per_snippet'] == 6.
    for draw in range(20):
        results = SampleSnippets(3, mode)(record(length=9, draw=draw))
        assert [x // 3 for x in snippets(results)] == [0, 1, 2]


def test_stretch_repeats():
    results = SampleSnippets(6, 'stretch', random=False)(record(length=3))
    assert snippets(results) == [0, 0, 1, 1, 2, 2]
    assert results['seconds_per_snippet'] == 1.


@pytest.mark.parametrize('length', [1, 5, 23, 100, 257])
def test_times_stay_right(length):
    """A snippet shows what is at its own time, to within its own length."""
    for draw in range(5):
        results = SampleSnippets(60, 'stretch')(
            record(length=length, draw=draw))
        unit = results['seconds_per_snippet']
        assert unit * 60 == pytest.approx(length * 2)
        shown = np.array(snippets(results))
        assert (np.diff(shown) >= 0).all()
        centre = (np.arange(60) + 0.5) * unit
        assert np.abs((shown + 0.5) * 2 - centre).max() <= (unit + 2) / 2 + .01


def test_random_numbers_follow_the_draw():

    def sample(**kwargs):
        np.random.seed(sample.state)
        sample.state += 1
        return snippets(
            SampleSnippets(20, 'stretch')(record(length=500, **kwargs)))

    sample.state = 0
    assert sample(draw=3) == sample(draw=3)
    assert sample(draw=3) != sample(draw=4)
    assert sample() != sample()  # numpy's global state
    sample.state = 0
    first = sample()
    sample.state = 0
    assert first == sample()


def test_bad_sampling_arguments():
    with pytest.raises(ValueError, match='num_snippets must be >= 1, got 0'):
        SampleSnippets(0)
    with pytest.raises(ValueError, match="got 'pad'"):
        SampleSnippets(4, 'pad')


def test_pack():
    results = record(length=10)
    results['feature'] = results['feature'].astype(np.float16)
    packed = PackWTALInputs()(results)
    inputs, sample = packed['inputs'], packed['data_samples']
    assert inputs.dtype == torch.float16
    assert inputs.shape == (3, 10)
    assert inputs[2].tolist() == list(range(10))
    assert sample.metainfo['num_snippets'] == 10
    assert sample.metainfo['video_name'] == 'x'
    assert sample.metainfo['duration'] == 20.
    assert sample.metainfo['seconds_per_snippet'] == 2.
    assert sample.metainfo['ambiguous'].tolist() == [[18., 19.]]
    assert sample.gt_label.dtype == torch.long
    assert sample.gt_label.tolist() == [1, 4]
    assert sample.gt_instances.segments.dtype == np.float64
    assert sample.gt_instances.labels.tolist() == [4, 1]
    assert sample.gt_instances.segments.tolist() == [[0, 4], [6, 9]]


def test_pack_without_ground_truth():
    sample = PackWTALInputs()(record(
        length=2,
        labels=[],
        segments=np.zeros((0, 2)),
        segment_labels=np.zeros(0, np.int64)))['data_samples']
    assert sample.gt_label.shape == (0, )
    assert len(sample.gt_instances) == 0


@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64])
@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(value, dtype):
    results = record('folder/x.npy', length=10)
    results['feature'] = results['feature'].astype(dtype)
    results['feature'][4, 2] = results['feature'][7, 0] = value
    with pytest.raises(
            ValueError,
            match=rf'folder/x.npy: 2 of 30.*first is {value} at snippet 4.*'
            'channel 2'):
        PackWTALInputs()(results)


def test_infinities_of_both_signs_and_huge_values():
    results = record(length=10)
    results['feature'][3, 0], results['feature'][5, 0] = np.inf, -np.inf
    with pytest.raises(ValueError, match='2 of 30'):
        PackWTALInputs()(results)
    results['feature'] = np.full((10, 3), 1e300)
    with pytest.raises(ValueError, match='30 of 30.*not finite as float32'):
        PackWTALInputs()(results)
    for value, dtype in ((3e38, np.float32), (-65504, np.float16)):
        results['feature'] = np.full((10, 3), value, dtype)
        assert PackWTALInputs()(results)['inputs'].shape == (3, 10)
