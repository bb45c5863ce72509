"""Dumps come back as they were, and run nothing."""
from __future__ import annotations

import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator

from mmaction_actiondiff.dumps import DumpPredictions, read_dump, save_dump


def sample(name: str, length: int) -> dict:
    rng = np.random.default_rng(length)
    return dict(
        video_name=name,
        duration=np.float64(length / 2),
        pred_score=torch.rand(3),
        pred_classes=torch.tensor([2, 0]),
        pred_instances=dict(
            segments=torch.zeros(0, 2), labels=np.zeros(0, np.int64)),
        pred_snippets=dict(
            score=torch.rand(length, 3),
            mask=rng.random((length, 3)) > 0.5,
            half=torch.rand(length).bfloat16()),
        proposal_list=[dict(score=0.5, segment=(0., 1.5))],
        note=None)


def test_round_trip(tmp_path):
    path = tmp_path / 'a.npz'
    samples = [sample('é/1', 7), sample('b', 4)]
    save_dump(path, samples, ('Run', 'Jump', 'Throw'))
    read, classes = read_dump(path)
    assert classes == ['Run', 'Jump', 'Throw']
    for new, old in zip(read, samples, strict=True):
        assert new.keys() == old.keys()
        assert new['video_name'] == old['video_name'] and new['note'] is None
        assert new['duration'] == old['duration']
        assert new['proposal_list'] == [dict(score=0.5, segment=[0., 1.5])]
        assert new['pred_instances']['segments'].shape == (0, 2)
        assert new['pred_instances']['labels'].dtype == np.int64
        for key in ('score', 'mask'):
            value = new['pred_snippets'][key]
            assert value.dtype == np.asarray(old['pred_snippets'][key]).dtype
            np.testing.assert_array_equal(value, old['pred_snippets'][key])
        np.testing.assert_array_equal(new['pred_snippets']['half'],
                                      old['pred_snippets']['half'].float())
        assert new['pred_classes'].tolist() == [2, 0]
    assert os.listdir(tmp_path) == ['a.npz']


class Bomb:

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path), )


def test_nothing_in_a_file_runs(tmp_path):
    exploded = tmp_path / 'exploded'
    bomb = pickle.dumps(Bomb(exploded))
    (tmp_path / 'a.pkl').write_bytes(bomb)
    (tmp_path / 'b.npz').write_bytes(bomb)
    np.savez(tmp_path / 'c.npz', index=np.array([Bomb(exploded)], object))
    with open(tmp_path / 'd.npz', 'wb') as file:
        np.save(file, np.array([Bomb(exploded)], object))
    for name in ('a.pkl', 'b.npz', 'c.npz', 'd.npz'):
        with pytest.raises(ValueError, match=name):
            read_dump(tmp_path / name)
    assert not exploded.exists()


@pytest.mark.parametrize('name', ['a.pkl', 'a.json', 'a.yaml', 'a'])
def test_other_files_are_refused_with_the_fix(tmp_path, name):
    (tmp_path / name).touch()
    for use in (read_dump, lambda path: save_dump(path, [], ())):
        with pytest.raises(ValueError, match='test.py --dump FILE.npz'):
            use(tmp_path / name)
    assert (tmp_path / name).read_bytes() == b''


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / 'a.npz'
    save_dump(path, [sample('a', 50)], 'abc')
    whole = path.read_bytes()
    for broken in (whole[:-30], whole[:200], b'',
                   whole.replace(b'"f4", 50, 3', b'"f4", 90, 3'),
                   whole.replace(b'"f4", 50, 3', b'"q4", 50, 3')):
        assert broken != whole
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r'a\.npz.*again'):
            read_dump(path)
    np.savez(path, other=np.ones(3))
    with pytest.raises(ValueError, match=r'a\.npz.*index'):
        read_dump(path)
    with pytest.raises(FileNotFoundError, match='no such dump'):
        read_dump(tmp_path / 'nowhere.npz')


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / 'a.npz'
    save_dump(path, [sample('a', 5)], 'abc')
    before = path.read_bytes()
    for value in (object(), np.array([None])):
        with pytest.raises(TypeError, match='a.npz.*cannot be dumped'):
            save_dump(path, [dict(video_name='b', bad=value)], 'abc')
    assert path.read_bytes() == before and os.listdir(tmp_path) == ['a.npz']


def test_a_video_stands_there_once(tmp_path):
    save_dump(tmp_path / 'a.npz', [sample('a', 5), sample('a', 6)], 'abc')
    with pytest.raises(ValueError, match='twice'):
        read_dump(tmp_path / 'a.npz')


def test_metric_writes_each_video_once(tmp_path):
    path = tmp_path / 'a.npz'
    evaluator = Evaluator(DumpPredictions(str(path)))
    evaluator.dataset_meta = dict(classes=('x', 'y', 'z'))
    evaluator.process([sample('b', 6), sample('a', 5)])
    evaluator.process([sample('a', 5)])  # what a sampler has repeated
    assert evaluator.evaluate(3) == {}
    samples, classes = read_dump(path)
    assert [s['video_name'] for s in samples] == ['a', 'b']
    assert classes == ['x', 'y', 'z']
    assert zipfile.ZipFile(path).testzip() is None


def test_metric_without_curves(tmp_path):
    kept, _ = write_with(tmp_path / 'a.npz')
    bare, _ = write_with(tmp_path / 'b.npz', curves=False)
    assert kept[0].keys() - bare[0].keys() == {'pred_snippets'}


def write_with(path, **options):
    evaluator = Evaluator(DumpPredictions(str(path), **options))
    evaluator.process([sample('a', 5)])
    evaluator.evaluate(1)
    return read_dump(path)
