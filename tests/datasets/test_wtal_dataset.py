import gc
import json
import os
import time

import numpy as np
import pytest
from mmaction.registry import DATASETS
from torch.utils.data import DataLoader

from mmaction_actiondiff.datasets import WTALDataset, WTALSampler, data_hint
from mmaction_actiondiff.datasets.samplers import SampleIndex

UNIT = 0.5


def two_videos():
    return dict(
        b_video=dict(
            subset='training',
            duration=10.0,
            annotations=[
                dict(label='swim', segment=[1.0, 2.5]),
                dict(label='run', segment=[3, 4]),
                dict(label='swim', segment=[6.0, 9.9])
            ],
            ambiguous=[[4.0, 5.0]]),
        a_video=dict(subset='test', duration=5.2, annotations=[]))


def write(root, database, frames=None, **content):
    """The files of a data set; features of the right length, D = 3."""
    (root / 'features').mkdir(parents=True, exist_ok=True)
    (root / 'annotations.json').write_text(
        json.dumps(dict(database=database, **content)))
    for name, video in database.items():
        length = frames or int((video.get('duration') or 1) / UNIT) or 1
        values = np.arange(length * 3, dtype=np.float32).reshape(-1, 3)
        np.save(root / f'features/{name}.npy', values)
    return str(root)


def load(root, subset='training', **kwargs):
    return WTALDataset(str(root), subset, UNIT, **kwargs)


def test_record(tmp_path):
    dataset = load(write(tmp_path, two_videos()))
    record = dataset.get_data_info(0)
    assert len(dataset) == 1
    assert record['video_name'] == 'b_video'
    assert record['feature_path'] == str(tmp_path / 'features/b_video.npy')
    assert record['duration'] == 10.0
    assert record['seconds_per_snippet'] == UNIT
    assert record['labels'] == [0, 1]
    assert record['segments'].dtype == np.float64
    assert record['segments'].tolist() == [[1, 2.5], [3, 4], [6, 9.9]]
    assert record['segment_labels'].dtype == np.int64
    assert record['segment_labels'].tolist() == [1, 0, 1]
    assert record['ambiguous'].tolist() == [[4, 5]]
    assert dataset.metainfo == dict(
        classes=('run', 'swim'),
        dataset_name=tmp_path.name,
        seconds_per_snippet=UNIT,
        snippet_offset=0.,
        in_channels=3,
        stream_channels=None,
        recognizers=None)


def test_segments_stay_with_their_video(tmp_path):
    videos = {
        f'v{i}':
        dict(
            subset='training',
            duration=20.,
            annotations=[
                dict(label=f'c{i}', segment=[k, k + 1]) for k in range(i + 1)
            ],
            ambiguous=[[i, i + .5]] * (3 - i))
        for i in range(4)
    }
    dataset = load(write(tmp_path, videos))
    for i in range(4):
        record = dataset.get_data_info(i)
        assert record['segments'][:, 0].tolist() == list(range(i + 1))
        assert record['segment_labels'].tolist() == [i] * (i + 1)
        assert record['ambiguous'].tolist() == [[i, i + .5]] * (3 - i)


def test_video_of_no_segments_is_fine_for_testing(tmp_path):
    record = load(
        write(tmp_path, two_videos()), 'test', test_mode=True).get_data_info(0)
    assert record['labels'] == []
    assert record['segments'].shape == record['ambiguous'].shape == (0, 2)


def test_video_level_labels_are_enough(tmp_path):
    videos = two_videos()
    videos['b_video'] = dict(
        subset='training', duration=10.0, labels=['swim', 'hop', 'swim'])
    dataset = load(write(tmp_path, videos))
    assert dataset.metainfo['classes'] == ('hop', 'swim')
    assert dataset.get_data_info(0)['labels'] == [0, 1]


def test_video_level_labels_take_precedence(tmp_path):
    videos = two_videos()
    videos['b_video']['labels'] = ['swim']
    record = load(write(tmp_path, videos)).get_data_info(0)
    assert record['labels'] == [1]
    assert record['segment_labels'].tolist() == [1, 0, 1]


def test_order_of_classes(tmp_path):
    root = write(tmp_path, two_videos(), classes=['swim', 'walk', 'run'])
    assert load(root).get_data_info(0)['segment_labels'].tolist() == [0, 2, 0]
    root = write(tmp_path, two_videos(), classes=['run', 'swim', 'run'])
    with pytest.raises(ValueError, match=r'named twice: run \(1 in total\)'):
        load(root)


def test_subsets_and_exclude(tmp_path):
    root = write(tmp_path, two_videos())
    both = load(root, ['training', 'test'], test_mode=True)
    assert len(both) == 2
    rest = load(
        root, ['training', 'test'], test_mode=True, exclude=['b_video'])
    assert [rest.get_data_info(i)['video_name']
            for i in range(len(rest))] == ['a_video']
    with pytest.raises(ValueError, match='exclude names: c_video'):
        load(root, exclude=['c_video'])
    with pytest.raises(
            ValueError,
            match=r"no videos in subset \['val'\].*"
            r"has the subsets \['test', 'training'\]"):
        load(root, 'val')
    assert len(load(root, 'Train')) == len(load(root, 'TRAINING')) == 1


def test_base_arguments_reach_mmengine(tmp_path):
    root = write(tmp_path, two_videos())
    dataset = load(root, ['training', 'test'], test_mode=True, indices=[1])
    assert dataset.get_data_info(0)['video_name'] == 'a_video'


def test_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        load(tmp_path / 'nowhere', dataset_name='thumos14')
    message = str(error.value)
    assert str(tmp_path / 'nowhere/annotations.json') in message
    assert 'tools/prepare/thumos14.py --out' in message


def test_missing_features_are_told_together(tmp_path):
    videos = {
        f'v{i}': dict(subset='training', duration=5., labels=['a'])
        for i in range(9)
    }
    root = write(tmp_path, videos)
    for i in range(1, 9):
        (tmp_path / f'features/v{i}.npy').unlink()
    with pytest.raises(FileNotFoundError) as error:
        load(root)
    assert 'of 9 videos' in str(error.value)
    assert 'v1, v2, v3, v4, v5, … (8 in total)' in str(error.value)
    assert 'Expected layout' in str(error.value)
    (tmp_path / 'features/v0.npy').unlink()
    (tmp_path / 'features').rmdir()
    with pytest.raises(FileNotFoundError, match=r'\(9 in total\)'):
        load(root)


@pytest.mark.parametrize('text, words', [
    ('{"database": {"a"', 'not a complete json file'),
    ('[1, 2]', 'found \\[1, 2\\]'),
    ('{"videos": {}}', r"key \"database\".*found the keys \['videos'\]"),
    ('{"database": {"a": 3}}', 'record of a.*expected a json object, found 3'),
])
def test_bad_json(tmp_path, text, words):
    write(tmp_path, two_videos())
    (tmp_path / 'annotations.json').write_text(text)
    with pytest.raises(ValueError, match=words) as error:
        load(tmp_path)
    assert 'annotations.json' in str(error.value)


@pytest.mark.parametrize('change, words', [
    (dict(duration=None), r'b_video: expected "duration".*custom.py'),
    (dict(duration='long'),
     r'"duration" must be a number > 0, found \'long\''),
    (dict(duration=0),
     r'b_video is malformed: "duration" must be .* > 0, found 0'),
    (dict(duration=float('nan')), '"duration" must be .* > 0, found nan'),
    (dict(annotations=[]), r'without a label: b_video \(1 in total\)'),
    (dict(annotations=3), r'b_video is malformed: "annotations".*found 3'),
    (dict(annotations=[dict(label='run')]), '"annotations" must be a list'),
    (dict(labels=None), '"labels" must be a list of class names, found None'),
    (dict(labels=['Swiming']),
     "b_video has the label 'Swiming'.*closest is 'swim'"),
    (dict(ambiguous=3), 'record of b_video is malformed'),
    (dict(ambiguous=[[1, 2, 3]]), r'b_video is .* expected \[start, end\]'),
])
def test_bad_record(tmp_path, change, words):
    videos = two_videos()
    videos['b_video'].update(change)
    root = write(tmp_path, videos, frames=20, classes=['run', 'swim'])
    with pytest.raises(ValueError, match=words):
        load(root)


@pytest.mark.parametrize('segment, words', [
    ([2, 1], r'b_video is malformed: \[2.0, 1.0\] is not 0 <= start <= end'),
    ([-1, 1], r'b_video is malformed: \[-1.0, 1.0\] is not 0 <= start'),
    ([0, float('nan')], r'b_video .* expected \[start, end\].*nan'),
    ([0, 1, 2], r'b_video .* expected \[start, end\].*\[0, 1, 2\]'),
    ('late', r"b_video .* expected \[start, end\].*'late'"),
    ([1, 1], r"must end after its start.*odd_segments='keep'"),
    ([9, 10.6], r"within the video of 10 s, found \[9.0, 10.6\]"),
])
def test_bad_segment(tmp_path, segment, words):
    videos = two_videos()
    videos['b_video']['annotations'][1]['segment'] = segment
    with pytest.raises(ValueError, match=words):
        load(write(tmp_path, videos))


@pytest.mark.parametrize('segment', [[1, 1], [9, 10.6], [11, 12]])
def test_odd_segments_can_be_kept(tmp_path, segment):
    videos = two_videos()
    videos['b_video']['annotations'][1]['segment'] = segment
    dataset = load(write(tmp_path, videos), odd_segments='keep')
    assert dataset.get_data_info(0)['segments'][1].tolist() == segment


def test_end_within_a_snippet_of_the_end_is_rounding(tmp_path):
    videos = two_videos()
    videos['b_video']['annotations'][1]['segment'] = [9, 10.4]
    assert len(load(write(tmp_path, videos))) == 1


def test_reversed_segment_is_never_kept(tmp_path):
    videos = two_videos()
    videos['b_video']['annotations'][1]['segment'] = [2, 1]
    with pytest.raises(ValueError, match='is not 0 <= start <= end'):
        load(write(tmp_path, videos), odd_segments='keep')


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match='seconds_per_snippet.*found 0'):
        WTALDataset(str(tmp_path), 'training', 0)
    root = write(tmp_path, two_videos())
    with pytest.raises(ValueError, match='how many seconds a snippet covers'):
        WTALDataset(root, 'training')
    with pytest.raises(ValueError, match="odd_segments.*got 'drop'"):
        load(tmp_path, odd_segments='drop')


def test_features_of_another_frame_rate(tmp_path):
    videos = {
        f'v{i}': dict(subset='training', duration=100., labels=['a'])
        for i in range(5)
    }
    root = write(tmp_path, videos, frames=192)  # 24 instead of 25 fps
    with pytest.raises(
            ValueError, match=r'last 0.960 times.*seconds_per_snippet=0.5208'):
        load(root)
    assert len(load(root, rate_tolerance=None)) == 5
    # one odd video is not a wrong rate
    write(tmp_path, videos)
    np.save(tmp_path / 'features/v0.npy', np.zeros((10, 3), np.float32))
    assert len(load(root)) == 5


def test_draw_reaches_the_pipeline(tmp_path):
    dataset = load(write(tmp_path, two_videos()), pipeline=[dict])
    drawn = dataset[SampleIndex(0, 7)]
    assert drawn['draw'] == 7 and drawn['video_name'] == 'b_video'
    assert 'draw' not in dataset[0]


def test_short_clips_of_an_exact_length(tmp_path):
    """12 snippets in 6 s: as long as they should be."""
    videos = {
        f'v{i}': dict(subset='training', duration=6., labels=['a'])
        for i in range(16)
    }
    assert len(load(write(tmp_path, videos))) == 16


def test_grid_of_the_file_and_of_a_video(tmp_path):
    videos = two_videos()
    videos['b_video'].update(stride=4, window=16, fps=25)
    root = write(tmp_path, videos, frames=61, seconds_per_snippet=0.25)
    dataset = WTALDataset(
        root, ['training', 'test'], test_mode=True, rate_tolerance=None)
    first, second = (dataset.get_data_info(i) for i in range(2))
    assert first['seconds_per_snippet'] == pytest.approx(0.16)
    assert first['snippet_offset'] == pytest.approx(0.24)
    assert second['seconds_per_snippet'] == 0.25
    assert second['snippet_offset'] == 0
    assert dataset.metainfo['seconds_per_snippet'] is None
    with pytest.raises(ValueError, match='seconds=0.25.*seconds=0.5'):
        load(root)


def test_channels_agree(tmp_path):
    root = write(tmp_path, two_videos(), stream_channels=[1, 2])
    assert load(root).metainfo['stream_channels'] == [1, 2]
    write(tmp_path, two_videos(), stream_channels=[2, 2])
    with pytest.raises(ValueError, match=r'stream_channels \[2, 2\].*has 3'):
        load(root)
    write(tmp_path, two_videos())
    np.save(tmp_path / 'features/a_video.npy', np.zeros((10, 4), 'f4'))
    with pytest.raises(ValueError, match=r'a_video.npy: expected \(T, 3\)'):
        load(root, ['training', 'test'], test_mode=True)


def test_names_that_leave_the_folder(tmp_path):
    root = write(tmp_path, two_videos())
    content = json.loads((tmp_path / 'annotations.json').read_text())
    content['database']['../b'] = content['database'].pop('b_video')
    (tmp_path / 'annotations.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match="'../b' cannot be used as a file"):
        load(root)


def batches(root, workers, count=6):
    dataset = DATASETS.build(
        dict(
            type='WTALDataset',
            data_root=root,
            subset='training',
            seconds_per_snippet=UNIT,
            pipeline=[
                dict(type='LoadSnippetFeature'),
                dict(type='SampleSnippets', num_snippets=5),
                dict(type='PackWTALInputs')
            ]))
    sampler = WTALSampler(dataset, seed=1)
    sampler.endless = True
    loader = DataLoader(
        dataset,
        batch_size=3,
        sampler=sampler,
        num_workers=workers,
        collate_fn=lambda batch:
        [(x['data_samples'].video_name, x['inputs'].tolist()) for x in batch])
    result = []
    for batch in loader:
        result.append(batch)
        if len(result) == count:
            return result


def test_training_data_do_not_depend_on_workers(tmp_path):
    videos = {
        f'v{i}': dict(subset='training', duration=50., labels=['a'])
        for i in range(4)
    }
    root = write(tmp_path, videos)
    np.random.seed(0)
    alone = batches(root, 0)
    np.random.seed(1)
    assert batches(root, 0) == alone
    assert batches(root, 2) == alone
    crops = [str(x) for batch in alone for _, x in batch]
    assert len(set(crops)) > 12


def test_twenty_thousand_videos_load_fast(tmp_path):
    videos = {
        f'v_{i:011d}':
        dict(
            subset='training',
            duration=100.,
            annotations=[dict(label=f'c{i % 200:03d}', segment=[1., 50.])] * 2)
        for i in range(20000)
    }
    root = write(tmp_path, two_videos(), frames=200)
    text = json.dumps(dict(database=videos))
    (tmp_path / 'annotations.json').write_text(text)
    for name in videos:
        os.link(tmp_path / 'features/b_video.npy',
                tmp_path / f'features/{name}.npy')

    def cpu_time(function, *args):
        start = time.process_time()
        result = function(*args)
        return time.process_time() - start, result

    # against the time to parse the file alone, on whatever machine; without
    # the garbage collector, whose time depends on the tests before
    gc.disable()
    try:
        parse = min(cpu_time(json.loads, text)[0] for _ in range(5))
        seconds, dataset = cpu_time(load, root)
    finally:
        gc.enable()
    assert seconds < 80 * parse  # some 30 times
    assert len(dataset) == 20000
    assert dataset.data_list == []  # one byte string, shared with workers


def test_real_recordings(shared_data):
    kwargs = dict(
        data_root=str(shared_data / 'shrec21'),
        seconds_per_snippet=0.1,
        dataset_name='shrec21',
        pipeline=[
            dict(type='LoadSnippetFeature', in_channels=244),
            dict(type='PackWTALInputs')
        ])
    train = WTALDataset(subset='training', **kwargs)
    test = WTALDataset(subset='test', test_mode=True, **kwargs)
    assert (len(train), len(test)) == (108, 72)
    instances = sum(
        len(data.get_data_info(i)['segments']) for data in (train, test)
        for i in range(len(data)))
    assert instances == 676
    item = test[0]
    sample = item['data_samples']
    assert item['inputs'].shape == (244, sample.num_snippets)
    assert abs(sample.num_snippets * 0.1 - sample.duration) < 0.2


@pytest.mark.parametrize('name, words', [
    ('thumos14', '--out some/root'),
    ('activitynet12', 'activitynet.py --out some/root'),
    ('activitynet13', 'activitynet.py --out some/root'),
    ('shrec21', 'ACTIONDIFF_SHREC21'),
    ('unheard of', 'some/root/features/NAME.npy'),
    ('unheard of', 'custom.py --out some/root'),
    ('unheard of', '--cfg-options data_root'),
    (None, 'some/root/annotations.json'),
])
def test_hint(name, words):
    hint = data_hint(name, 'some/root')
    assert words in hint
    assert '{' not in hint and 'UNHEARD' not in hint
