"""Preparation of data, on the real annotations; the features are made here,
with the true lengths, since the published ones are too large to ship."""
from __future__ import annotations

import importlib
import json
import os
import pickle
import re
import shutil
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from mmaction_actiondiff.annotations import (Annotations, Video,
                                             read_annotations)
from mmaction_actiondiff.cli import command
from mmaction_actiondiff.datasets import WTALDataset
from mmaction_actiondiff.prepare import (DataSet, features, hapt, prepare,
                                         shrec21, train_command)
from mmaction_actiondiff.prepare.shrec21 import snippet_features
from mmaction_actiondiff.snippets import SnippetGrid

TOOLS = Path(__file__).resolve().parents[1] / 'tools' / 'prepare'
sys.path.insert(0, str(TOOLS))
thumos14 = importlib.import_module('thumos14')
activitynet = importlib.import_module('activitynet')
custom = importlib.import_module('custom')
shrec21_tool = importlib.import_module('shrec21')
hapt_tool = importlib.import_module('hapt')

BUNDLE = 'thumos14/Thumos14reduced-Annotations'


def call(tool, *args, **options):
    """Runs the command line of a tool in this process."""
    for key, value in options.items():
        args += (f'--{key.replace("_", "-")}', value)
    try:
        with command():
            return tool.main([str(arg) for arg in args])
    except SystemExit as error:  # what Python does with it
        print(error.code, file=sys.stderr)
        return 1


def convert(tmp_path: Path, path: Path, *args, **options):
    """Custom data of the folder ``source`` to the folder ``out``."""
    options = {'out': tmp_path / 'out', **options}
    return call(
        custom,
        *args,
        annotations=path,
        features=tmp_path / 'source',
        **options)


def load(path: Path) -> dict:
    return json.loads(path.read_text('utf-8'))


def findings(root: Path) -> dict:
    return load(root / 'report.json')['findings']


def counts(root: Path) -> dict:
    """(videos, instances) by subset, counted from annotations.json."""
    result: dict = {}
    for record in load(root / 'annotations.json')['database'].values():
        videos, instances = result.get(record['subset'], (0, 0))
        result[record['subset']] = (videos + 1,
                                    instances + len(record['annotations']))
    return result


def feature(duration: float, channels: int, dtype='float32', fps=25):
    length = int(duration * fps / 16)
    values = np.random.default_rng(length).normal(size=(length, channels))
    return np.abs(values).astype(dtype)


def names_and_durations(folder: Path):
    names = np.load(folder / 'videoname.npy')
    durations = np.load(folder / 'duration.npy').ravel()
    return [name.decode() for name in names], durations


def save_bundle(path: Path, arrays: list) -> list:
    packed = np.empty(len(arrays), object)
    packed[:] = arrays
    np.save(path, packed)
    return arrays


@pytest.fixture(scope='module')
def thumos_features(shared_data):
    """One 4-channel array for each of the 412 videos, in bundle order."""
    names, durations = names_and_durations(shared_data / BUNDLE)
    return {
        name: feature(duration, 4)
        for name, duration in zip(names, durations)
    }


# ------------------------------------------------------------ annotations


@pytest.mark.parametrize('layout, test',
                         [('Thumos14reduced-Annotations', (212, 3358)),
                          ('TH14_Temporal_Annotations', (212, 3358)),
                          ('per-video', (210, 3311))])
def test_thumos14_counts(shared_data, tmp_path, layout, test):
    official = shared_data / 'thumos14/TH14_Temporal_Annotations'
    extra = []
    if layout == 'per-video':
        extra = [
            '--durations', *sorted(official.glob('th14_*_durations.txt')),
            '--ambiguous', official / 'Ambiguous_test.txt'
        ]
    assert not call(
        thumos14,
        *extra,
        annotations=shared_data / 'thumos14' / layout,
        out=tmp_path)
    assert counts(tmp_path) == dict(training=(200, 3007), test=test)
    content = load(tmp_path / 'annotations.json')
    assert len(content['classes']) == 20
    assert content['classes'] == sorted(content['classes'])
    ambiguous = {
        name: len(record['ambiguous'])
        for name, record in content['database'].items()
        if 'ambiguous' in record and record['subset'] == 'test'
    }
    lines = (official / 'Ambiguous_test.txt').read_text().split('\n')
    named = [line.split()[0] for line in lines if line.strip()]
    assert ambiguous == {
        name: named.count(name)
        for name in named if name in content['database']
    }
    assert len(ambiguous) == (36 if test[0] == 212 else 35)
    assert content['database']['video_test_0000278']['ambiguous'] == [[
        0.0, 1.4
    ], [95.7, 97.2]]


def test_thumos14_layouts_agree(shared_data, tmp_path):
    databases = []
    for layout in 'Thumos14reduced-Annotations', 'TH14_Temporal_Annotations':
        call(
            thumos14,
            annotations=shared_data / 'thumos14' / layout,
            out=tmp_path)
        databases.append(load(tmp_path / 'annotations.json')['database'])
    bundle, official = databases
    assert set(bundle) == set(official)

    def key(item):
        return item['label'], item['segment']

    for name in bundle:
        assert sorted(
            bundle[name]['annotations'], key=key) == sorted(
                official[name]['annotations'], key=key)
        assert bundle[name]['duration'] == pytest.approx(
            official[name]['duration'], abs=2e-3)


def test_thumos14_oddities_are_reported(shared_data, tmp_path):
    call(thumos14, annotations=shared_data / BUNDLE, out=tmp_path)
    found = findings(tmp_path)
    beyond = found['annotation beyond the duration']
    assert list(beyond['videos']) == [
        'video_test_0000270', 'video_test_0000814', 'video_validation_0000364',
        'video_test_0001081', 'video_validation_0000856'
    ]
    assert beyond['videos']['video_test_0000270'].startswith('22 of 29')
    assert beyond['action'] == 'kept as published'
    assert list(found['empty label list']['videos']) == ['video_test_0000270']
    assert 'video_test_0001292' in found['named without annotations']['videos']
    other = found['video labels other than those of the segments']['videos']
    assert len(other) == 27
    database = load(tmp_path / 'annotations.json')['database']
    # the labels on which the users of the bundle train, not the segments'
    assert database['video_validation_0000171']['labels'] == ['CricketBowling']
    assert 'labels' not in database['video_test_0000270']


@pytest.mark.parametrize(
    'version, expected',
    [('1.2', dict(training=(4819, 7151), validation=(2383, 3582))),
     ('1.3', dict(training=(9337, 14377), validation=(4575, 7057)))])
def test_activitynet_bundle(shared_data, tmp_path, version, expected):
    folder = shared_data / f'activitynet/ActivityNet{version}-Annotations'
    assert not call(activitynet, annotations=folder, out=tmp_path)
    assert counts(tmp_path) == expected
    content = load(tmp_path / 'annotations.json')
    assert content['version'] == f'ActivityNet v{version}'
    assert len(content['classes']) == (100 if version == '1.2' else 200)
    lacking = findings(tmp_path).get('counts other than published',
                                     dict(videos={}))['videos']
    if version == '1.2':
        assert not lacking
    else:
        assert '; 687 videos are absent' in lacking['training']
        assert '; 351 videos are absent' in lacking['validation']


def test_activitynet_jsons(shared_data, tmp_path, capsys):
    """The same videos as the official json and as anet_anno files."""
    folder = shared_data / 'activitynet'
    anno = folder / 'anet_anno_action.json'
    bundle = folder / 'ActivityNet1.3-Annotations'
    assert call(activitynet, annotations=anno, out=tmp_path / 'no') == 1
    assert '--subset-of' in capsys.readouterr().err
    assert not call(
        activitynet, annotations=anno, subset_of=bundle, out=tmp_path / 'anno')
    database = load(tmp_path / 'anno/annotations.json')['database']
    unknown = findings(tmp_path / 'anno')['video without a subset']['videos']
    assert len(database) + len(unknown) == 19228
    # a YouTube id that itself begins with v_
    assert 'v_Vg4a8igc0' in database

    by_subset: dict = dict(training={}, validation={})
    source = load(anno)
    for name, record in database.items():
        by_subset[record['subset']][f'v_{name}'] = source[f'v_{name}']
    paths = {}
    for subset, part in by_subset.items():
        paths[subset] = tmp_path / f'{subset}.json'
        paths[subset].write_text(json.dumps(part))
    assert not call(
        activitynet,
        annotations=paths['training'],
        val_annotations=paths['validation'],
        out=tmp_path / 'pair')
    assert load(tmp_path / 'pair/annotations.json')['database'] == database

    official = {
        name:
        dict(
            duration=record['duration'],
            subset=record['subset'],
            annotations=record['annotations'],
            resolution='320x240',
            url='')
        for name, record in database.items()
    }
    official['unlabelled0'] = dict(
        duration=9.5, subset='testing', annotations=[])
    path = tmp_path / 'activity_net.v1-3.min.json'
    path.write_text(json.dumps(dict(database=official, taxonomy=[])))
    assert not call(activitynet, annotations=path, out=tmp_path / 'json')
    assert load(tmp_path / 'json/annotations.json')['database'] == database
    assert list(
        findings(
            tmp_path /
            'json')['no labels and no segments']['videos']) == ['unlabelled0']


def test_activitynet_version_is_told_by_classes(shared_data, tmp_path, capsys):
    assert call(
        activitynet, annotations=shared_data / BUNDLE, out=tmp_path) == 1
    assert 'found 20' in capsys.readouterr().err


def test_gt_json_without_durations(shared_data, tmp_path, capsys,
                                   thumos_features):
    source = shared_data / 'thumos14/per-video'
    assert call(thumos14, annotations=source, out=tmp_path / 'no') == 1
    assert '--durations' in capsys.readouterr().err
    for name, array in thumos_features.items():
        for part, stream in enumerate(('rgb', 'flow')):
            path = tmp_path / f'features/{stream}/{name}.npy'
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, array[:, 2 * part:2 * part + 2])
    out = tmp_path / 'out'
    assert not call(
        thumos14,
        annotations=source,
        features=tmp_path / 'features',
        out=out,
        channels=4)
    name = 'video_test_0000004'
    length = len(thumos_features[name])
    database = load(out / 'annotations.json')['database']
    assert database[name]['duration'] == pytest.approx(length * 0.64)
    found = findings(out)
    assert len(found['no duration in the source']['videos']) == 410
    assert set(found['feature without annotation']['videos']) == {
        'video_test_0000270', 'video_test_0001496'
    }
    assert np.array_equal(
        np.load(out / f'features/{name}.npy'), thumos_features[name])


# --------------------------------------------------------------- features


def test_thumos14_bundle_with_features(shared_data, tmp_path, thumos_features,
                                       capsys):
    bundle = tmp_path / 'bundle' / 'Thumos14reduced-I3D-JOINTFeatures.npy'
    bundle.parent.mkdir()
    save_bundle(bundle, list(thumos_features.values()))
    options = dict(
        annotations=shared_data / BUNDLE,
        features=bundle,
        out=tmp_path / 'out',
        channels=4)
    assert not call(thumos14, **options)
    assert counts(tmp_path / 'out') == dict(
        training=(200, 3007), test=(212, 3358))
    folder = tmp_path / 'out/features'
    assert len(list(folder.iterdir())) == 412
    for name, array in thumos_features.items():
        written = np.load(folder / f'{name}.npy')
        assert written.dtype == np.float32
        assert np.array_equal(written, array)
    assert 'length mismatch' not in findings(tmp_path / 'out')
    assert not call(thumos14, check=tmp_path / 'out', channels=4)

    # a second run, of the bundle's folder, writes nothing again, and says the
    # same
    options['features'] = bundle.parent
    before = {p: p.stat().st_mtime_ns for p in folder.iterdir()}
    report = (tmp_path / 'out/report.json').read_text()
    capsys.readouterr()
    assert not call(thumos14, **options)
    assert '412 of them were finished' in capsys.readouterr().out
    assert before == {p: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert report == (tmp_path / 'out/report.json').read_text()
    # one file lost, one cut short: exactly these are made again
    lost, cut = sorted(before)[:2]
    lost.unlink()
    cut.write_bytes(cut.read_bytes()[:-8])
    assert not call(thumos14, **options)
    assert '410 of them were finished' in capsys.readouterr().out
    assert np.array_equal(np.load(cut), thumos_features[cut.stem])
    assert list(findings(tmp_path / 'out')['replaced']['videos']) == [cut.stem]
    # features of the same shape, but from another extraction
    np.save(cut, thumos_features[cut.stem] + 1)
    assert not call(thumos14, **options)
    assert '411 of them were finished' in capsys.readouterr().out
    assert findings(tmp_path / 'out')['replaced']['videos'] == {
        cut.stem: 'it had other values'
    }
    assert np.array_equal(np.load(cut), thumos_features[cut.stem])


def test_missing_features_true_size(shared_data, tmp_path):
    """2048 channels; only three videos have features."""
    names, durations = names_and_durations(shared_data / BUNDLE)
    # of ACRNet's layout, with the prefix that some packs have
    chosen = sorted(zip(durations, names))[:3]
    for prefix, (duration, name) in zip(('', 'v_', ''), chosen):
        array = feature(duration, 2048)
        np.save(tmp_path / f'{prefix}{name}_rgb.npy', array[:, :1024])
        np.save(tmp_path / f'{prefix}{name}_flow.npy', array[:, 1024:])
    out = tmp_path / 'out'
    call(
        thumos14, annotations=shared_data / BUNDLE, features=tmp_path, out=out)
    database = load(out / 'annotations.json')['database']
    assert set(database) == {name for _, name in chosen}
    for duration, name in chosen:
        written = np.load(out / f'features/{name}.npy')
        assert np.array_equal(written, feature(duration, 2048))
    missing = findings(out)['video without feature']
    assert len(missing['videos']) == 409
    assert missing['action'] == 'left out of annotations.json'


class Python2Pickler(pickle._Pickler):
    """Writes str and bytes as Python 2 did, both as 8-bit strings."""
    dispatch = dict(pickle._Pickler.dispatch)

    def save_string(self, value):
        data = value.encode() if isinstance(value, str) else value
        self.write(b'T' + struct.pack('<i', len(data)) + data)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_string


def send_bundle(path, order, wanted, sink) -> None:
    """Some of the videos ``order`` of a bundle."""
    annotations = Annotations(
        path,
        'made', {name: Video(name, 'training')
                 for name in wanted},
        order=list(order))
    features.send_features(path, annotations, sink)


@pytest.mark.parametrize('protocol', ['python 2', 2, 3, 4])
def test_pickles_of_every_age(tmp_path, protocol):
    arrays = [feature(duration, 3) for duration in (1500, 20, 7)]
    arrays[1] = np.asfortranarray(arrays[1])
    arrays[2] = arrays[2].astype('>f4')
    packed = np.empty(4, object)
    packed[:3] = arrays  # the fourth stays None: no features
    path = tmp_path / 'f.npy'
    with open(path, 'wb') as file:
        np.lib.format.write_array_header_1_0(
            file, np.lib.format.header_data_from_array_1_0(packed))
        if protocol == 'python 2':
            Python2Pickler(file, 2).dump(packed)
        else:
            pickle.dump(packed, file, protocol)
    received = {}

    def sink(name, streams, grid):
        received[name] = streams[0].astype('f4')

    send_bundle(path, 'abcd', 'acdb', sink)
    assert list(received) == ['a', 'b', 'c']
    for name, array in zip('abc', arrays):
        assert np.array_equal(received[name], array)
    received.clear()
    send_bundle(path, 'abcd', 'b', sink)
    assert list(received) == ['b']


def test_plain_array_bundle(tmp_path):
    array = np.stack([feature(20, 3)] * 2)
    np.save(tmp_path / 'f.npy', array)
    received = {}
    send_bundle(tmp_path / 'f.npy', 'ab', 'ab',
                lambda name, streams, _: received.update({name: streams}))
    assert np.array_equal(received['b'][0], array[1])


class Evil:

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), 'w')


def test_malicious_pickle_is_refused(shared_data, tmp_path, capsys):
    marker = tmp_path / 'ran'
    bundle = tmp_path / 'f.npy'
    save_bundle(bundle, [Evil(marker)] + [None] * 411)
    assert call(
        thumos14,
        annotations=shared_data / BUNDLE,
        features=bundle,
        out=tmp_path / 'out') == 1
    error = capsys.readouterr().err
    assert str(bundle) in error and 'io.open' in error
    assert not marker.exists()
    assert not (tmp_path / 'out/annotations.json').exists()
    np.load(bundle, allow_pickle=True)  # the pickle does work
    assert marker.exists()


@pytest.mark.parametrize(
    'arrays, message',
    [([np.ones((3, 2), 'f4')] * 2, 'element 1 is not'),
     ([np.ones((3, 2), 'f4'), [1.0]], 'element 1 is not'),
     ([np.ones((3, 2), 'i4'), None], 'expected arrays of floats'),
     ([np.ones((3, 2), 'f4')], 'another annotation bundle')])
def test_bundles_of_other_content(tmp_path, arrays, message):
    save_bundle(tmp_path / 'f.npy', arrays)
    received = []
    with pytest.raises(ValueError, match=message) as error:
        send_bundle(tmp_path / 'f.npy', 'ab', 'ab',
                    lambda name, *_: received.append(name))
    assert 'f.npy' in str(error.value)
    assert set(received) <= {'a'}


def test_truncated_bundle_keeps_what_was_read(shared_data, tmp_path,
                                              thumos_features, capsys):
    bundle = tmp_path / 'f.npy'
    save_bundle(bundle, list(thumos_features.values()))
    whole = bundle.read_bytes()
    bundle.write_bytes(whole[:len(whole) // 2])
    options = dict(
        annotations=shared_data / BUNDLE,
        features=bundle,
        out=tmp_path / 'out',
        channels=4)
    assert call(thumos14, **options) == 1
    assert 'truncated' in capsys.readouterr().err
    written = len(list((tmp_path / 'out/features').iterdir()))
    assert 50 < written < 412
    bundle.write_bytes(whole)
    assert not call(thumos14, **options)
    assert f'{written} of them were finished' in capsys.readouterr().out


def test_bundle_needs_its_annotations(shared_data, tmp_path, capsys):
    np.save(tmp_path / 'f.npy', np.ones(3))
    assert call(
        thumos14,
        features=tmp_path / 'f.npy',
        out=tmp_path / 'out',
        annotations=shared_data / 'thumos14/TH14_Temporal_Annotations') == 1
    assert '*-Annotations' in capsys.readouterr().err


def test_memory_is_that_of_one_video(tmp_path):
    arrays = [feature(320, 1024) for _ in range(12)]
    one = arrays[0].nbytes
    save_bundle(tmp_path / 'f.npy', arrays)
    videos = {
        f'v{i}': Video(f'v{i}', 'training', 320., labels=['a'])
        for i in range(12)
    }
    annotations = Annotations(tmp_path, 'made', videos, order=list(videos))
    del arrays
    tracemalloc.start()
    try:
        prepare(annotations, tmp_path / 'f.npy', tmp_path / 'out',
                DataSet('made', channels=1024))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(list((tmp_path / 'out/features').iterdir())) == 12
    # the bytes read, the array written, a mask of finite values
    assert peak < 3.5 * one


def small_set(folder: Path, arrays: dict, **records) -> Path:
    """A custom source; returns its json."""
    (folder / 'source').mkdir(parents=True)
    for name, array in arrays.items():
        np.save(folder / f'source/{name}.npy', array)
    database = {
        name: dict(subset='training', duration=64.0, labels=['wave'])
        for name in arrays
    }
    for name, record in records.items():
        database[name] = dict(database.get(name, {}), **record)
    path = folder / 'source.json'
    path.write_text(json.dumps(dict(database=database)))
    return path


@pytest.mark.parametrize('source, option, stored',
                         [('float16', None, 'float16'),
                          ('float32', None, 'float32'),
                          ('float64', None, 'float32'),
                          ('float32', 'float16', 'float16'),
                          ('float16', 'float32', 'float32')])
def test_dtype(tmp_path, source, option, stored):
    array = feature(64, 3, source)
    path = small_set(tmp_path, dict(a=array))
    options = dict(dtype=option) if option else {}
    assert not convert(tmp_path, path, **options)
    written = np.load(tmp_path / 'out/features/a.npy')
    assert written.dtype == stored
    assert np.array_equal(written, array.astype(stored))


def test_unusable_features_are_refused_and_named(tmp_path, capsys):
    good = feature(64, 3)
    nan, large = good.copy(), good.copy()
    nan[5, 1], large[5, 1] = np.nan, 1e5
    path = small_set(
        tmp_path,
        dict(
            a=good,
            nan=nan,
            large=large,
            cube=good[None],
            turned=good.T,
            none=good[:0],
            ints=good.astype(int),
            words=np.array(['x'])))
    (tmp_path / 'source/rgb').mkdir()
    np.save(tmp_path / 'source/alone_flow.npy', good)
    np.save(tmp_path / 'source/uneven_flow.npy', good[:, :1])
    np.save(tmp_path / 'source/uneven_rgb.npy', good[5:, 1:])
    np.save(tmp_path / 'source/close_flow.npy', good[:, :1])
    np.save(tmp_path / 'source/rgb/close.npy', good[1:, 1:])
    content = load(path)
    for name in 'alone', 'uneven', 'close':
        content['database'][name] = content['database']['a']
    path.write_text(json.dumps(content))
    assert convert(tmp_path, path, dtype='float16') == 1
    found = findings(tmp_path / 'out')
    refused = found['unusable feature']['videos']
    assert 'NaN' in refused['nan']
    assert '100000 does not fit into float16' in refused['large']
    assert 'transposed' in refused['turned']
    assert 'no rgb features: expected ' in refused['alone']
    assert 'source/alone_rgb.npy; to use' in refused['alone']
    assert refused['alone'].endswith('alone: name them without _flow')
    assert set(refused) == {
        'nan', 'large', 'cube', 'turned', 'none', 'ints', 'words', 'alone',
        'uneven'
    }
    assert list(
        found['rgb and flow differ by one snippet']['videos']) == ['close']
    out = capsys.readouterr().out
    assert all(f'- {name}:' in out for name in refused)
    # what is sound is there nevertheless, and nothing half-written
    assert {p.name
            for p in (tmp_path / 'out/features').iterdir()
            } == {'a.npy', 'close.npy'}
    assert set(load(tmp_path /
                    'out/annotations.json')['database']) == {'a', 'close'}
    assert np.load(tmp_path / 'out/features/close.npy').shape == (99, 3)


def test_disk_error_leaves_no_partial_file(tmp_path, monkeypatch, capsys):
    path = small_set(tmp_path, dict(a=feature(64, 3), b=feature(64, 3)))
    save, calls = np.save, []

    def fail_on_second(file, array):
        calls.append(file)
        if len(calls) == 2:
            file.write(b'half')
            raise OSError('No space left on device')
        save(file, array)

    monkeypatch.setattr(np, 'save', fail_on_second)
    assert convert(tmp_path, path) == 1
    assert 'b.npy: cannot be written (No space' in capsys.readouterr().err
    assert [p.name for p in (tmp_path / 'out/features').iterdir()] == ['a.npy']
    assert not convert(tmp_path, path)
    assert len(calls) == 3


def test_same_stream_twice(tmp_path, capsys):
    path = small_set(tmp_path, dict(a=feature(64, 3)))
    (tmp_path / 'source/more').mkdir()
    np.save(tmp_path / 'source/more/a.npy', feature(64, 3))
    assert convert(tmp_path, path) == 1
    assert 'remove one' in capsys.readouterr().err


# ------------------------------------------------------------ own data


def test_custom_labels_only(tmp_path):
    """Neither durations nor segments nor classes; another step."""
    arrays = dict(a=feature(64, 3), b=feature(12.8, 3), c=feature(64, 3))
    path = small_set(
        tmp_path, arrays, a=dict(labels=['wave', 'jump']), c=dict(labels=[]))
    content = load(path)
    for record in content['database'].values():
        del record['duration']
    path.write_text(json.dumps(content))
    assert not convert(tmp_path, path, seconds_per_snippet=0.1)
    content = load(tmp_path / 'out/annotations.json')
    assert content['classes'] == ['jump', 'wave']
    assert content['database']['a']['duration'] == pytest.approx(10.0)
    assert content['database']['a']['labels'] == ['jump', 'wave']
    assert content['database']['b']['duration'] == pytest.approx(2.0)
    assert content['database']['c']['labels'] == []
    assert list(findings(tmp_path /
                         'out')['video without a label']['videos']) == ['c']
    assert not call(custom, check=tmp_path / 'out', seconds_per_snippet=0.1)


def segment(start, end, label='wave'):
    return dict(annotations=[dict(label=label, segment=[start, end])])


@pytest.mark.parametrize('change, message', [
    (dict(labels='wave'), 'must be a list of class names'),
    (dict(labels=[3]), 'must be a list of class names'),
    (dict(labels=None), 'must be a list of class names'),
    (dict(labels=['fly']), "'fly', which is none of the 2 classes"),
    (dict(stride=4), 'needs "stride" .* and "fps" together'),
    (dict(stride=4, fps=-1), 'fps must be a number > 0, found -1'),
    (dict(seconds_per_snippet=0), 'seconds_per_snippet must be a number > 0'),
    (dict(duration=0), '"duration" must be a number > 0'),
    (dict(duration='long'), 'malformed'),
    (segment(5, 2), r'\[5.0, 2.0\] is not 0 <= start <= end'),
    (segment(-1, 2), 'is not 0 <= start <= end'),
    (segment(1, float('nan')), 'expected \\[start, end\\] in seconds'),
    (segment(1, 'end'), 'malformed'),
    (dict(ambiguous=[3]), 'expected \\[start, end\\] in seconds, found 3'),
    (dict(annotations=[dict(segment=[1, 2])]), 'malformed'),
])
def test_malformed_custom_json(tmp_path, capsys, change, message):
    path = small_set(tmp_path, dict(a=feature(64, 3)), a=change)
    content = dict(load(path), classes=['jump', 'wave'])
    path.write_text(json.dumps(content))
    assert convert(tmp_path, path) == 1
    error = capsys.readouterr().err
    assert 'a' in error
    assert re.search(message, error)
    assert not (tmp_path / 'out/annotations.json').exists()


@pytest.mark.parametrize(
    'text, message',
    [('{', 'not a complete json file'), ('[]', 'expected a json object'),
     ('{"a": 1}', 'expected the key "database"'),
     ('{"database": {}}', 'there is no video in it'),
     ('{"database": {"a": {"labels": []}}}',
      '"subset" must be a name, found None'),
     ('{"classes": ["a", "a"], "database": {}}', 'classes named twice: a'),
     ('{"a": 1, "a": 2}', "the key 'a' stands there twice"),
     ('[' * 100000, 'nested too deeply'),
     ('{"database": {"../a": {"subset": "test", "labels": ["x"], '
      '"duration": 1}}}', 'cannot be used as a file name')])
def test_not_the_schema(tmp_path, capsys, text, message):
    path = tmp_path / 'a.json'
    path.write_text(text)
    assert call(custom, annotations=path, out=tmp_path / 'out') == 1
    assert message in capsys.readouterr().err


WINDOWS = dict(stride=4, window=16, fps=30)


@pytest.mark.parametrize('where', ['options', 'record', 'sidecar', 'file'])
def test_windows_longer_than_the_stride(tmp_path, where, capsys):
    """T = (frames - 16) // 4 + 1 is exact, and the grid is carried on."""
    arrays = {
        f'v{frames}': feature(1, 3)[:1].repeat((frames - 16) // 4 + 1, 0)
        for frames in (300, 150, 90, 900)
    }
    path = small_set(tmp_path, arrays)
    content = load(path)
    for name, record in content['database'].items():
        record['duration'] = int(name[1:]) / 30
        if where == 'record':
            record.update(WINDOWS)
        elif where == 'sidecar':
            (tmp_path / f'source/{name}.json').write_text(json.dumps(WINDOWS))
    if where == 'file':
        content.update(WINDOWS)
    path.write_text(json.dumps(content))
    out = tmp_path / 'out'
    options = WINDOWS if where == 'options' else {}
    assert not convert(tmp_path, path, **options)
    assert 'length mismatch' not in findings(out)
    assert not call(custom, check=out)
    found = read_annotations(out / 'annotations.json')
    for video in found.videos.values():
        grid = video.grid or found.grid
        assert grid.seconds == pytest.approx(4 / 30)
        assert grid.offset == pytest.approx(6 / 30)
    # without the window, the advice is no frame rate
    for record in content['database'].values():
        for key in WINDOWS:
            record.pop(key, None)
    path.write_text(json.dumps(dict(database=content['database'])))
    for sidecar in (tmp_path / 'source').glob('*.json'):
        sidecar.unlink()
    assert not convert(
        tmp_path, path, out=tmp_path / 'other', seconds_per_snippet=0.1333)
    advice, = findings(tmp_path /
                       'other')['clock of the features']['videos'].values()
    assert 'each lacks about 3 snippets' in advice and 'fps, not' not in advice


def test_sidecars_say_duration_and_network(tmp_path, capsys):
    made_by = dict(checkpoint_sha256='a' * 64, modality='RGB')
    path = small_set(tmp_path, {n: feature(64, 3) for n in 'abc'})
    content = load(path)
    for name, record in content['database'].items():
        del record['duration']
        (tmp_path / f'source/{name}.json').write_text(
            json.dumps(
                dict(
                    made_by,
                    stride=16,
                    fps=25,
                    duration=64.3 if name == 'a' else 90.,
                    modality='Flow' if name == 'c' else 'RGB')))
    path.write_text(json.dumps(content))
    out = tmp_path / 'out'
    assert call(
        custom, annotations=path, features=tmp_path / 'source', out=out) == 1
    found = read_annotations(out / 'annotations.json')
    assert {
        n: v.duration
        for n, v in found.videos.items()
    } == dict(
        a=64.3, b=90.)
    assert found.recognizers == [made_by]
    kinds = findings(out)
    assert list(kinds['length mismatch']['videos']) == ['b']
    refused, = kinds['unusable feature']['videos'].items()
    assert refused[0] == 'c' and 'modality Flow instead of' in refused[1]
    dataset = WTALDataset(str(out), 'training', rate_tolerance=None)
    assert dataset.metainfo['recognizers'] == [made_by]


def test_an_assumed_grid_is_named(tmp_path):
    path = small_set(tmp_path, {n: feature(64, 3) for n in 'ab'})
    sidecar = tmp_path / 'source' / 'b.json'
    sidecar.write_text(json.dumps(WINDOWS))
    options = dict(annotations=path, features=tmp_path / 'source')
    assert not call(custom, out=tmp_path / 'out', **options)
    kind = findings(tmp_path / 'out')['no seconds of the snippets']
    assert list(kind['videos']) == ['a']
    assert '0.64 are assumed' in kind['action']
    assert not call(
        custom, out=tmp_path / 'told', seconds_per_snippet=0.64, **options)
    assert 'no seconds of the snippets' not in findings(tmp_path / 'told')


def test_contradicting_grids(tmp_path, capsys):
    path = small_set(tmp_path, dict(a=feature(64, 3)))
    path.write_text(json.dumps(dict(load(path), seconds_per_snippet=0.5)))
    options = dict(annotations=path, out=tmp_path / 'out')
    assert call(custom, seconds_per_snippet=0.64, **options) == 1
    assert 'seconds=0.5' in capsys.readouterr().err
    assert call(custom, stride=16, **options) == 1
    assert '"stride" (frames) and "fps" together' in capsys.readouterr().err
    assert not call(custom, stride=16, fps=32, **options)


def write_npz(path, array):
    np.savez(path.with_suffix('.npz'), feature=array)


def write_streams(path, array):
    np.savez(path.with_suffix('.npz'), flow=array[:, 1:], rgb=array[:, :1])


def write_tensor(path, array):
    torch.save(torch.from_numpy(array), path.with_suffix('.pt'))


def write_tensors(path, array):
    array = torch.from_numpy(array)
    torch.save(
        dict(flow=array[:, 1:], rgb=array[:, :1]), path.with_suffix('.pth'))


def write_csv(path, array):
    np.savetxt(path.with_suffix('.csv'), array, delimiter=',', fmt='%.9g')


def write_csv_with_names(path, array):
    np.savetxt(
        path.with_suffix('.csv'),
        array,
        delimiter=',',
        fmt='%.9g',
        header='f0,f1,f2',
        comments='')


def write_csv_of_pandas(path, array):
    """``DataFrame(array).to_csv``: numbers of columns and of rows."""
    rows = [['', *range(array.shape[1])]]
    rows += [[i, *row] for i, row in enumerate(array.tolist())]
    path.with_suffix('.csv').write_text('\n'.join(','.join(map(str, row))
                                                  for row in rows))


def write_csv_of_pandas_without_index(path, array):
    rows = [range(array.shape[1]), *array.tolist()]
    path.with_suffix('.csv').write_text('\n'.join(','.join(map(str, row))
                                                  for row in rows))


def test_numbers_are_no_names_of_columns(tmp_path):
    (tmp_path / 'a.csv').write_text('0\n1\n2\n')
    np.testing.assert_array_equal(
        features.read_arrays(tmp_path / 'a.csv')[0], [[0], [1], [2]])


def write_hdf5(path, array):
    h5py = pytest.importorskip('h5py')
    with h5py.File(path.with_suffix('.h5'), 'w') as file:
        file['feature'] = array


@pytest.mark.parametrize('write', [
    write_npz, write_streams, write_tensor, write_tensors, write_csv,
    write_csv_with_names, write_csv_of_pandas,
    write_csv_of_pandas_without_index, write_hdf5
])
@pytest.mark.parametrize('turned', [False, True])
def test_formats(tmp_path, write, turned, capsys):
    array = feature(64, 3)
    path = small_set(tmp_path, dict(a=array))
    (tmp_path / 'source/a.npy').unlink()
    if turned and 'streams' in write.__name__ or write is write_tensors:
        turned = False  # their streams are cut by columns
    write(tmp_path / 'source/a', array.T.copy() if turned else array)
    assert not convert(tmp_path, path,
                       *(['--channels-first'] if turned else []))
    assert np.array_equal(np.load(tmp_path / 'out/features/a.npy'), array)
    streams = load(tmp_path / 'out/annotations.json').get('stream_channels')
    channels = '1,2' if streams else '3'
    assert ('train.py configs/actiondiff_custom.py --cfg-options data_root='
            f"{tmp_path / 'out'} num_classes=1 'stream_channels=[{channels}]'"
            ) in capsys.readouterr().out
    assert streams == ([1, 2] if write in (write_streams,
                                           write_tensors) else None)


@pytest.mark.parametrize('name, content, words', [
    ('a.npz', dict(one=1, two=2), 'expected one array, or rgb and flow'),
    ('a.pt', 'malicious', 'cannot be read'),
    ('a.csv', '1,2\n3\n', 'cannot be read'),
])
def test_files_of_other_content(tmp_path, name, content, words, capsys):
    path = small_set(
        tmp_path, dict(b=feature(64, 3)), a=dict(subset='test', labels=['x']))
    file = tmp_path / 'source' / name
    if content == 'malicious':
        torch.save(Evil(tmp_path / 'ran'), file)
    elif isinstance(content, dict):
        np.savez(file, **content)
    else:
        file.write_text(content)
    assert convert(tmp_path, path) == 1
    assert words in findings(tmp_path /
                             'out')['unusable feature']['videos']['a']
    assert not (tmp_path / 'ran').exists()


def test_other_files_are_named(tmp_path, capsys):
    path = small_set(tmp_path, {}, a=dict(subset='test', labels=['x']))
    for name in ('a.mp4', 'b.mp4', 'notes.txt'):
        (tmp_path / f'source/{name}').touch()
    assert convert(tmp_path, path) == 1
    assert 'found 2 .mp4, 1 .txt' in capsys.readouterr().err
    np.save(tmp_path / 'source/z.npy', feature(64, 3))
    assert convert(tmp_path, path) == 1
    assert 'no usable feature of any video' in capsys.readouterr().err


def test_linked_streams(tmp_path):
    """rgb/ and flow/ on other disks, and a link that leads in circles."""
    array = feature(64, 4)
    path = small_set(
        tmp_path, {}, a=dict(subset='training', duration=64., labels=['x']))
    for stream, part in (('rgb', array[:, :2]), ('flow', array[:, 2:])):
        (tmp_path / f'disk/{stream}').mkdir(parents=True)
        np.save(tmp_path / f'disk/{stream}/a.npy', part)
        (tmp_path / f'source/{stream}').symlink_to(tmp_path / 'disk' / stream)
    (tmp_path / 'disk/rgb/loop').symlink_to(tmp_path / 'source')
    assert not convert(tmp_path, path)
    assert np.array_equal(np.load(tmp_path / 'out/features/a.npy'), array)
    content = load(tmp_path / 'out/annotations.json')
    assert content['stream_channels'] == [2, 2]


@pytest.mark.parametrize('name, other', [
    ('rgb/{}.npy', 'flow/a.npy'),
    ('flow/{}.npy', 'rgb/a.npy'),
    ('{}_flow.npy', 'a_rgb.npy'),
])
def test_one_stream_only(tmp_path, capsys, name, other):
    path = small_set(tmp_path, dict(a=feature(64, 3), b=feature(64, 3)))
    source = tmp_path / 'source'
    for video in 'ab':
        target = source / name.format(video)
        target.parent.mkdir(exist_ok=True)
        (source / f'{video}.npy').rename(target)
    options = dict(annotations=path, out=tmp_path / 'out')
    assert call(custom, features=source, **options) == 1
    said = capsys.readouterr().err
    assert f'{source}: no usable feature of any video of ' in said
    assert f'expected {source / other}; to use' in said
    assert not (tmp_path / 'out').exists()
    if '/' in name:  # as the message says
        assert f'alone: --features {target.parent}' in said
        assert not call(custom, features=target.parent, **options)
        assert np.load(tmp_path / 'out/features/a.npy').shape[1] == 3


def test_unlabelled_videos(tmp_path):
    """Neither labels nor segments: for prediction."""
    arrays = dict(a=feature(64, 3), b=feature(12.8, 3))
    path = small_set(tmp_path, arrays)
    content = load(path)
    content['database'] = {n: dict(subset='test') for n in arrays}
    path.write_text(json.dumps(content))
    assert not convert(tmp_path, path)
    dataset = WTALDataset(str(tmp_path / 'out'), 'test', test_mode=True)
    assert dataset.get_data_info(1)['labels'] == []
    assert dataset.metainfo['in_channels'] == 3
    assert dataset.metainfo['seconds_per_snippet'] == 0.64
    with pytest.raises(ValueError, match='training videos without a label'):
        WTALDataset(str(tmp_path / 'out'), 'test')


# ------------------------------------------------------------ SHREC'21


def test_features_of_recordings(shared_data):
    """An affine map of each channel takes them to the published ones, which
    are standardised with recordings that are not here."""
    folder = shared_data / 'shrec21'
    recordings = shrec21.read_recordings(folder / 'raw_examples', 'training')
    assert list(recordings) == ['training_001', 'training_002']
    ours = np.concatenate([*map(snippet_features, recordings.values())])
    given = np.concatenate(
        [np.load(folder / f'features/{name}.npy') for name in recordings])
    for x, y in zip(ours.T, given.T.astype(float)):
        inside = np.abs(y) < 4.99
        a = np.stack([x[inside], np.ones(inside.sum())], 1)
        fit = np.linalg.lstsq(a, y[inside], rcond=None)[0]
        assert np.abs(a @ fit - y[inside]).max() < 0.0025


@pytest.mark.parametrize('first', [669, 670, 671])
def test_recordings_from_raw_files(shared_data, tmp_path, capsys, first):
    raw = shared_data / 'shrec21/raw_examples'
    source = tmp_path / 'source'
    for subset, name in (('train', 'training_001'), ('test', 'training_002')):
        (source / subset).mkdir(parents=True)
        shutil.copy(raw / f'{name}.txt', source / subset / '1.txt')
    (source / 'train.txt'
     ).write_text(f'1;DENY;{first};751;CIRCLE;{first + 940};1655;\n')
    (source / 'test.txt').write_text('1;ONE;313;480;\n')
    status = call(
        shrec21_tool,
        '--training',
        source / 'train',
        source / 'train.txt',
        '--test',
        source / 'test',
        source / 'test.txt',
        out=tmp_path / 'out')
    if first == 671:
        assert status == 1 and 'expected 669 or 670' in capsys.readouterr().err
        return
    assert status == 0
    content = load(tmp_path / 'out/annotations.json')
    expected = load(shared_data / 'shrec21/annotations.json')['database']
    record = content['database']['training_001']
    assert record['duration'] == expected['training_001']['duration']
    for ours, given in zip(record['annotations'],
                           expected['training_001']['annotations']):
        assert ours['label'] == given['label']
        assert ours['segment'] == pytest.approx(given['segment'])
    assert content['stream_channels'] == [122, 122]
    assert content['seconds_per_snippet'] == pytest.approx(0.1)
    array = np.load(tmp_path / 'out/features/training_001.npy')
    assert array.shape == (357, 244) and array.dtype == np.float16
    assert np.abs(array.astype('f4').mean(0)).max() < 0.05
    assert np.load(tmp_path / 'out/features/test_001.npy').shape == (346, 244)


@pytest.mark.parametrize('rows, annotations, words', [
    ('1;2;3\n' * 9, '1;ONE;669;700', 'at least 140 finite numbers'),
    (None, '1;ONE;669', 'expected NUMBER, then LABEL;FIRST;LAST'),
    (None, '2;ONE;669;700', 'training_001 has a recording or an annotation'),
])
def test_malformed_recordings(shared_data, tmp_path, rows, annotations, words):
    if rows is None:
        raw = shared_data / 'shrec21/raw_examples/training_001.txt'
        rows = raw.read_text()
    (tmp_path / '1.txt').write_text(rows)
    (tmp_path / 'gestures').write_text(annotations)
    paths = dict(training=(tmp_path, tmp_path / 'gestures'))
    with pytest.raises(ValueError, match=words):
        shrec21.read(paths)


# ------------------------------------------------------------ HAPT


def write_raw(folder: Path, key: str, samples: np.ndarray) -> None:
    """The files of both sensors."""
    folder.mkdir(exist_ok=True)
    np.savetxt(folder / f'acc_{key}.txt', samples[:, :3])
    np.savetxt(folder / f'gyro_{key}.txt', samples[:, 3:])


def test_statistics_of_a_snippet():
    samples = np.random.default_rng(0).normal(size=(55, 6))
    found = hapt.snippet_features(samples).reshape(2, 6, 8)
    part = samples[25:50]
    signals = [
        *part.T,
        np.sqrt((part[:, :3]**2).sum(1)),
        np.sqrt((part[:, 3:]**2).sum(1))
    ]
    for i, x in enumerate(signals):
        assert found[1, :, i] == pytest.approx([
            x.mean(),
            np.sqrt(((x - x.mean())**2).mean()),
            min(x),
            max(x),
            sum(abs(x[j + 1] - x[j]) for j in range(24)) / 24, x[24] - x[0]
        ])


def test_features_are_of_this_kind(shared_data):
    """What holds for the statistics of any signals holds for the given."""
    folder = shared_data / 'hapt/features'
    given = np.concatenate([
        np.load(path).astype(float).reshape(-1, 6, 8)
        for path in sorted(folder.glob('exp0*.npy'))
    ])
    mean, std, low, high, step, change = given.transpose(1, 0, 2)
    assert (low - .01 <= mean).all() and (mean <= high + .01).all()
    # nowhere more than 24 steps within the snippet, and somewhere all of them
    moved = np.abs(change) > .3
    ratio = np.abs(change[moved]) / (24 * step[moved])
    assert .999 < ratio.max() < 1.001
    for axes, magnitude in ((slice(0, 3), 6), (slice(3, 6), 7)):
        power = (mean**2 + std**2)[:, axes].sum(1)
        assert (mean**2 + std**2)[:, magnitude] == pytest.approx(
            power, rel=.01, abs=.01)


def test_clips_from_raw_files(tmp_path, capsys):
    rng = np.random.default_rng(0)
    raw, out = tmp_path / 'RawData', tmp_path / 'out'
    # 40 s, 40 s without an instance, 40 s, and 20 s; 40 s and 19.98 s
    long, short = rng.normal(size=(7010, 6)), rng.normal(size=(2999, 6))
    write_raw(raw, 'exp01_user01', long)
    write_raw(raw, 'exp03_user02', short)
    (raw / 'labels.txt').write_text(
        '1 1 5 250 1232\n1 1 7 1233 1392\n1 1 4 1393 2024\n'
        '1 1 12 5000 6500\n3 2 1 1 2999\n')
    assert not call(hapt_tool, raw=raw, out=out)
    found = read_annotations(out / 'annotations.json')
    assert list(found.classes) == list(hapt.CLASSES)
    assert found.grid == SnippetGrid(.5)
    records = {
        name: (v.subset, v.duration,
               list(zip(v.segment_labels,
                        v.segments.round(6).tolist())))
        for name, v in found.videos.items()
    }
    assert records == {
        # 24 samples of SITTING are in the second clip: too few
        'exp01_user01_c00': ('training', 40., [('STANDING', [4.98, 24.64]),
                                               ('STAND_TO_SIT', [24.64,
                                                                 27.84]),
                                               ('SITTING', [27.84, 40.])]),
        'exp01_user01_c02': ('training', 40., [('LIE_TO_STAND', [19.98,
                                                                 40.])]),
        'exp01_user01_c03': ('training', 20.2, [('LIE_TO_STAND', [0., 10.])]),
        'exp03_user02_c00': ('test', 40., [('WALKING', [0., 40.])]),
    }
    array = np.load(out / 'features/exp01_user01_c03.npy')
    assert array.shape == (40, 48) and array.dtype == np.float16
    np.testing.assert_array_equal(
        array,
        hapt.snippet_features(long[6000:]).astype(np.float16))
    assert 'published: 382 videos' in capsys.readouterr().out


@pytest.mark.parametrize('change, words', [
    (lambda raw: (raw / 'gyro_exp01_user01.txt').unlink(), 'gyro_exp01'),
    (lambda raw: (raw / 'gyro_exp01_user01.txt').write_text('1 2 3\n' * 30),
     '60 samples, the gyroscope has 30'),
    (lambda raw: (raw / 'acc_exp01_user01.txt').write_text('1 2\n' * 60),
     'expected 25 or more rows of 3 finite numbers'),
    (lambda raw: (raw / 'labels.txt').write_text('1 1 13 1 9\n'),
     'labels.txt, line 1: expected EXPERIMENT PERSON ACTIVITY'),
    (lambda raw: (raw / 'labels.txt').write_text('2 1 1 1 9\n'),
     'experiment 1 of person 1 has a recording or labels'),
    (lambda raw: (raw / 'labels.txt').unlink(), 'labels.txt'),
])
def test_malformed_raw_files(tmp_path, capsys, change, words):
    raw = tmp_path / 'RawData'
    write_raw(raw, 'exp01_user01', np.zeros((60, 6)))
    (raw / 'labels.txt').write_text('1 1 1 1 60\n')
    change(raw)
    assert call(hapt_tool, raw=raw, out=tmp_path / 'out') == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


# ------------------------------------------------------------ text files


def official_files(folder: Path, name: str = 'Salto', start: str = '') -> Path:
    """THUMOS14's text files, with names that are not ASCII."""
    folder.mkdir()
    (folder / 'Ambiguous_test.txt').write_text(
        f'{start}Überfall 1 2\n', encoding='utf-8')
    for subset, video in (('val', 'Überschlag_1'), ('test', 'Überschlag_2')):
        (folder / f'{name}_{subset}.txt').write_text(
            f'{start}{video}  1.0 2.0\n', encoding='utf-8')
        (folder / f'th14_{subset}_durations.txt').write_text(
            f'{start}{video}.mp4\n30\n', encoding='utf-8')
    return folder


def test_byte_order_mark(tmp_path):
    contents = []
    for start in ('', '\ufeff'):
        official = official_files(
            tmp_path / f'official{len(start)}', start=start)
        out = tmp_path / f'out{len(start)}'
        call(thumos14, annotations=official, out=out)
        contents.append(load(out / 'annotations.json'))
    assert contents[0] == contents[1]
    assert contents[0]['database']['Überschlag_1']['duration'] == 30


def test_any_locale(tmp_path):
    official = official_files(tmp_path / 'official')
    done = subprocess.run([
        sys.executable,
        str(TOOLS / 'thumos14.py'), '--annotations', official, '--out',
        tmp_path / 'out'
    ],
                          env=dict(
                              os.environ,
                              LC_ALL='C',
                              PYTHONUTF8='0',
                              PYTHONCOERCECLOCALE='0'),
                          capture_output=True)
    assert done.returncode == 1  # other counts than the published
    assert not done.stderr
    assert b'berfall' in done.stdout  # a name that no annotation has
    content = load(tmp_path / 'out/annotations.json')
    assert 'Überschlag_2' in content['database']


@pytest.mark.parametrize('encoding, words', [
    ('utf-16', 'found the byte 0xff at position 0'),
    ('latin-1', 'found the byte 0xdc at position'),
])
def test_other_encodings(tmp_path, capsys, encoding, words):
    path = tmp_path / 'mine.json'
    path.write_text('{"database": {"Über": {}}}', encoding=encoding)
    assert call(custom, annotations=path, out=tmp_path / 'out') == 1
    error = capsys.readouterr().err
    assert words in error and str(path) in error


# ----------------------------------------------------------------- check


@pytest.fixture(scope='module')
def sound(shared_data, tmp_path_factory):
    """Ten real videos with 6 channels, prepared."""
    folder = tmp_path_factory.mktemp('sound')
    names, durations = names_and_durations(shared_data / BUNDLE)
    chosen = list(zip(names, durations))[::40][:10]
    call(thumos14, annotations=shared_data / BUNDLE, out=folder / 'all')
    content = load(folder / 'all/annotations.json')
    content['database'] = {
        name: content['database'][name]
        for name, _ in chosen
    }
    (folder / 'source').mkdir()
    for name, duration in chosen:
        np.save(folder / f'source/{name}.npy', feature(duration, 6))
    (folder / 'source.json').write_text(json.dumps(content))
    assert not call(
        custom,
        annotations=folder / 'source.json',
        features=folder / 'source',
        out=folder / 'root')
    return folder / 'root'


def truncated(path):
    path.write_bytes(path.read_bytes()[:-100])


def with_nan(path):
    array = np.load(path)
    array[7, 2] = np.nan
    np.save(path, array)


def transposed(path):
    np.save(path, np.load(path).T)


def renamed(path):
    path.rename(path.with_name('renamed.npy'))


def wrong_fps(path):
    array = np.load(path)
    np.save(path, np.resize(array, (int(len(array) * 30 / 25), 6)))


def as_integers(path):
    np.save(path, np.load(path).astype('i4'))


def narrower(path):
    np.save(path, np.load(path)[:, :5])


def emptied(path):
    path.write_bytes(b'')


def left_behind(path):
    path.with_name(path.name + '.part').write_bytes(b'half')


def unknown_label(path):
    root = path.parent.parent
    content = load(root / 'annotations.json')
    content['database'][path.stem]['annotations'][0]['label'] = 'Nap'
    (root / 'annotations.json').write_text(json.dumps(content))


DAMAGES = {
    truncated: 'cannot be read (mmap length',
    with_nan: '1 values are NaN or infinite, first in row 7',
    transposed: 'transposed feature',
    renamed: 'video without feature',
    wrong_fps: '(ratio 1.',
    as_integers: 'found int32',
    narrower: 'wrong number of channels',
    emptied: 'cannot be read (No data left in file)',
    left_behind: '.part',
    unknown_label: "the label 'Nap', which is none of the 20 classes",
}


def test_check_of_a_sound_folder(sound, capsys):
    assert not call(custom, check=sound)
    out = capsys.readouterr().out
    assert 'DAMAGE' not in out and out.endswith('sound\n')


@pytest.mark.parametrize('damage', DAMAGES, ids=lambda f: f.__name__)
def test_check_names_a_damage(sound, tmp_path, capsys, damage):
    root = tmp_path / 'root'
    shutil.copytree(sound, root)
    path = sorted((root / 'features').iterdir())[4]
    damage(path)
    before = {p: p.read_bytes() for p in root.rglob('*') if p.is_file()}
    assert call(custom, check=root) == 1
    out = capsys.readouterr().out
    assert DAMAGES[damage] in out
    assert path.stem in out
    if damage is renamed:
        assert 'renamed: features/renamed.npy is of no video' in out
    # one damage makes one complaint, and checking changes nothing
    assert out.count('  - ') == (2 if damage is renamed else 1)
    assert before == {
        p: p.read_bytes()
        for p in root.rglob('*') if p.is_file()
    }


def test_check_of_nothing(tmp_path, capsys):
    (tmp_path / 'annotations.json').write_text('{"database": {}}')
    assert call(custom, check=tmp_path) == 1
    assert 'no videos' in capsys.readouterr().out


def test_check_names_all_damages_at_once(sound, tmp_path, capsys):
    root = tmp_path / 'root'
    shutil.copytree(sound, root)
    paths = sorted((root / 'features').iterdir())
    for damage, path in zip(DAMAGES, paths):
        damage(path)
    assert call(custom, check=root) == 1
    out = capsys.readouterr().out
    assert all(message in out for message in DAMAGES.values())
    assert all(path.stem in out for path in paths)
    assert out.endswith('damaged\n')


def test_check_recognises_another_clock(sound, tmp_path, capsys):
    """All features at 24 fps: off by 4 %, which ruins every time."""
    root = tmp_path / 'root'
    shutil.copytree(sound, root)
    database = load(root / 'annotations.json')['database']
    for name, record in database.items():
        np.save(root / f'features/{name}.npy',
                feature(record['duration'], 6, fps=24))
    assert call(custom, check=root) == 1
    out = capsys.readouterr().out
    assert 'clock of the features' in out and 'not 25' in out
    named = [float(word) for word in out.split() if word.startswith('23.')]
    assert named and abs(named[0] - 24) < 0.2


def test_prepare_reports_another_clock(sound, tmp_path):
    """Before anything is trained, at the time of conversion."""
    source = tmp_path / 'source'
    source.mkdir()
    database = load(sound / 'annotations.json')['database']
    for name, record in database.items():
        np.save(source / f'{name}.npy', feature(record['duration'], 6, fps=30))
    assert not convert(tmp_path, sound / 'annotations.json')
    found = findings(tmp_path / 'out')
    assert set(found['length mismatch']['videos']) == set(database)
    assert 'not 25' in str(found['clock of the features']['videos'])


def test_check_of_thumos14_counts(sound, capsys):
    """A part of THUMOS14 is not THUMOS14."""
    assert call(thumos14, check=sound, channels=6) == 1
    assert 'counts other than published' in capsys.readouterr().out


def test_check_of_real_features(shared_data):
    assert not call(
        custom, check=shared_data / 'shrec21', seconds_per_snippet=0.1)


def test_run_as_a_script(tmp_path):
    result = subprocess.run([
        sys.executable,
        str(TOOLS / 'thumos14.py'), '--check',
        str(tmp_path / 'absent')
    ],
                            capture_output=True,
                            text=True)
    assert result.returncode == 1, result.stderr
    assert 'annotations.json' in result.stderr
    assert 'Traceback' not in result.stderr


def test_data_set_loads_what_was_prepared(sound):
    database = load(sound / 'annotations.json')['database']
    for subset in 'training', 'test':
        dataset = WTALDataset(
            data_root=str(sound),
            dataset_name='thumos14',
            subset=subset,
            seconds_per_snippet=0.64,
            odd_segments='keep',
            pipeline=[dict(type='mmaction.LoadSnippetFeature', in_channels=6)])
        names = {n for n, r in database.items() if r['subset'] == subset}
        assert {record['video_name'] for record in dataset} == names
        for record in dataset:
            source = database[record['video_name']]
            assert len(record['feature']) == int(source['duration'] / 0.64)
            assert len(record['segments']) == len(source['annotations'])
            assert len(record['ambiguous']) == len(source.get('ambiguous', []))


NOTHING = ('val_dataloader=None val_evaluator=None val_cfg=None '
           'default_hooks.checkpoint.save_best=None')


@pytest.mark.parametrize('subsets, segments, words', [
    (('training', 'test', 'validation'), True, ''),
    (('training', 'test'), False, NOTHING),
    (('training', 'validation'), True,
     'val_dataloader.dataset.subset=validation '
     'test_dataloader.dataset.subset=validation'),
    (('training', 'validation'), False,
     f'{NOTHING} test_dataloader.dataset.subset=validation'),
    (('training', ), True,
     f'{NOTHING} test_dataloader.dataset.subset=training'),
])
def test_command_evaluates_what_there_is(tmp_path, subsets, segments, words):
    annotations = [dict(label='a', segment=[0, 1])] if segments else []
    database = {
        f'v{i}':
        dict(
            subset=subset, labels=['a'], duration=6.4, annotations=annotations)
        for i, subset in enumerate(subsets)
    }
    (tmp_path / 'annotations.json').write_text(
        json.dumps(dict(database=database)))
    (tmp_path / 'features').mkdir()
    np.save(tmp_path / 'features/v0.npy', feature(6.4, 3))
    assert train_command(
        tmp_path, Path()).split("'stream_channels=[3]'")[1].strip() == words


def test_printed_files_are_there(tmp_path, monkeypatch, capsys):
    """Wherever the command was called."""
    path = small_set(tmp_path, dict(a=feature(64, 3)))
    for folder, home in ((tmp_path, TOOLS.parents[1]), (TOOLS.parents[1],
                                                        Path())):
        monkeypatch.chdir(folder)
        assert not convert(tmp_path, path)
        files = capsys.readouterr().out.split('Next:')[1].split()[1:3]
        assert files == [
            str(home / 'tools/train.py'),
            str(home / 'configs/actiondiff_custom.py')
        ] and all(map(os.path.isfile, files))
