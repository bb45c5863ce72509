"""tools/replay.py and tools/visualize.py on a dump of two videos."""
from __future__ import annotations

import runpy
import sys

import mmengine
import numpy as np
import pytest
import torch
from mmaction.registry import METRICS
from mmengine.evaluator import BaseMetric

from mmaction_actiondiff.dumps import save_dump
from mmaction_actiondiff.proposals import ProposalGenerator

CLASSES = ('Run', 'Jump')
CONFIG = """
default_scope = 'mmaction'
model = dict(
    type='ActionDiff',
    num_classes=2,
    proposal_generator=dict(type='ProposalGenerator', nms=dict(sigma=0.3)))
test_evaluator = dict(type='ReplayCount', prefix='det')
"""


class ReplayCount(BaseMetric):
    """Number of proposals by class name, in the order of the dump."""

    def process(self, data_batch, data_samples):
        for sample in data_samples:
            self.results.append(sample['pred_instances']['labels'])

    def compute_metrics(self, results):
        labels = torch.cat(results)
        return {
            name: int((labels == i).sum())
            for i, name in enumerate(self.dataset_meta['classes'])
        }


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A config and a dump whose proposals are still missing."""
    monkeypatch.setitem(METRICS.module_dict, 'ReplayCount', ReplayCount)
    rng = np.random.default_rng(0)
    samples = []
    for name in ('a', 'b'):
        score = torch.from_numpy(rng.random((30, 2))).float()
        samples.append(
            dict(
                video_name=name,
                duration=14.5,
                seconds_per_snippet=0.5,
                pred_score=torch.tensor([0.9, 0.1]),
                pred_classes=torch.tensor([0]),
                pred_instances=dict(
                    segments=torch.zeros(0, 2),
                    labels=torch.zeros(0, dtype=torch.long),
                    scores=torch.zeros(0)),
                pred_snippets=dict(score=score, attention=score.amax(1)),
                gt_label=torch.tensor([0]),
                gt_instances=dict(
                    segments=np.array([[1., 4.]]), labels=np.array([0])),
                ambiguous=np.zeros((0, 2))))
    config, dump = tmp_path / 'config.py', tmp_path / 'out.npz'
    config.write_text(CONFIG)
    save_dump(dump, samples, CLASSES)
    return config, dump, samples


def run(monkeypatch, root, tool, *args):
    path = str(root / 'tools' / tool)
    monkeypatch.setattr(sys, 'argv', [path, *map(str, args)])
    runpy.run_path(path, run_name='__main__')


def test_replay_makes_the_detections_of_the_generator(files, tmp_path, root,
                                                      monkeypatch, capsys):
    config, dump, samples = files
    out = tmp_path / 'detections.json'
    run(monkeypatch, root, 'replay.py', config, dump, '--out', out)
    results = mmengine.load(out)['results']
    total = 0
    for sample in samples:
        curves = sample['pred_snippets']
        segments, labels, scores = ProposalGenerator()(
            curves['score'].numpy().T, curves['attention'].numpy(),
            sample['pred_score'].numpy(), np.array([0]), 0.5, 14.5)
        found = results[sample['video_name']]
        assert [r['label'] for r in found] == [CLASSES[i] for i in labels]
        np.testing.assert_allclose([r['segment'] for r in found], segments)
        np.testing.assert_allclose([r['score'] for r in found], scores)
        total += len(scores)
    table = dict(line.split() for line in capsys.readouterr().out.splitlines()
                 if line.startswith('det/'))
    assert {k: float(v) for k, v in table.items()} \
        == {'det/Run': total, 'det/Jump': 0}


def test_replay_with_other_settings(files, root, monkeypatch, capsys):
    config, dump, _ = files
    run(monkeypatch, root, 'replay.py', config, dump, '--cfg-options',
        'model.proposal_generator.max_per_video=3', 'test_evaluator.prefix=x')
    lines = capsys.readouterr().out.splitlines()
    counts = [float(x.split()[1]) for x in lines if x.startswith('x/')]
    assert sum(counts) == 6 and len(lines) == 3


def test_classes_come_from_the_dump(files, root, monkeypatch, capsys):
    """The network has chosen them; the video scores do not choose again."""
    config, dump, samples = files
    for sample in samples:
        sample['pred_classes'] = torch.tensor([1])
    save_dump(dump, samples, CLASSES)
    run(monkeypatch, root, 'replay.py', config, dump)
    table = dict(line.split() for line in capsys.readouterr().out.splitlines()
                 if line.startswith('det/'))
    assert float(table['det/Run']) == 0 and float(table['det/Jump']) > 0


@pytest.mark.parametrize('option', [
    'model.video_score_thr=0.5', 'model.fusion.weight=0', 'data_root=x',
    'model.proposal_generators.max_per_video=3', 'model=3'
])
def test_replay_refuses_what_it_does_not_read(files, root, monkeypatch,
                                              option):
    config, dump, _ = files
    before = dump.read_bytes()
    with pytest.raises(SystemExit, match=r'changes nothing.*tools/test\.py'):
        run(monkeypatch, root, 'replay.py', config, dump, '--cfg-options',
            option)
    assert dump.read_bytes() == before


@pytest.mark.parametrize('key', ['pred_snippets', 'pred_classes'])
def test_replay_needs_curves_and_classes(files, root, monkeypatch, key):
    config, dump, samples = files
    del samples[1][key]
    save_dump(dump, samples, CLASSES)
    with pytest.raises(SystemExit, match=f'b: .*{key}'):
        run(monkeypatch, root, 'replay.py', config, dump)


def test_other_number_of_classes(files, root, monkeypatch, tmp_path):
    config, dump, samples = files
    save_dump(dump, samples, ('Run', 'Jump', 'Throw'))
    with pytest.raises(SystemExit, match='3 classes.*has 2'):
        run(monkeypatch, root, 'replay.py', config, dump)
    with pytest.raises(SystemExit, match='2 classes, but 3 class names'):
        run(monkeypatch, root, 'visualize.py', dump)
    assert not list(tmp_path.rglob('*.png'))


def test_output_is_checked_first(files, root, monkeypatch, tmp_path):
    config, dump, _ = files
    (tmp_path / 'file').touch()
    (tmp_path / 'x.json').mkdir()
    for out, words in ((tmp_path / 'file' / 'x.json', 'cannot be written'),
                       (tmp_path / 'x.json', 'is a folder'),
                       (tmp_path / 'x.pkl', '--out writes json')):
        with pytest.raises(SystemExit, match=words):
            run(monkeypatch, root, 'replay.py', config, dump, '--out', out)
    with pytest.raises(SystemExit, match='cannot be written'):
        run(monkeypatch, root, 'visualize.py', dump, '--out',
            tmp_path / 'file')


def test_replay_explains_bad_settings(files, root, monkeypatch):
    config, dump, _ = files
    with pytest.raises(SystemExit, match='outer_ratio must be >= 0, got -1'):
        run(monkeypatch, root, 'replay.py', config, dump, '--cfg-options',
            'model.proposal_generator.outer_ratio=-1')


def test_visualize(files, tmp_path, root, monkeypatch):
    _, dump, _ = files
    run(monkeypatch, root, 'visualize.py', dump)
    pictures = sorted((tmp_path / 'pictures').iterdir())
    assert [p.name for p in pictures] == ['a.png', 'b.png']
    assert pictures[0].read_bytes().startswith(b'\x89PNG')

    other = tmp_path / 'other'
    run(monkeypatch, root, 'visualize.py', dump, '--out', other, '--videos',
        'b')
    assert [p.name for p in other.iterdir()] == ['b.png']
    run(monkeypatch, root, 'visualize.py', dump, '--out', other, '--num', '1')
    assert sorted(p.name for p in other.iterdir()) == ['a.png', 'b.png']
    with pytest.raises(SystemExit, match=r"no videos \['c'\]"):
        run(monkeypatch, root, 'visualize.py', dump, '--videos', 'c')


def test_pictures_stay_in_their_folder(files, tmp_path, root, monkeypatch):
    _, dump, samples = files
    names = ['../../up', '/tmp/x', 'a:b', '..', 'v_$5_$']
    samples = [dict(samples[0], video_name=name) for name in names]
    save_dump(dump, samples, CLASSES)
    before = {p for p in tmp_path.rglob('*')}
    run(monkeypatch, root, 'visualize.py', dump)
    new = {p for p in tmp_path.rglob('*')} - before
    pictures = [p for p in new if p.is_file()]
    assert {p.parent for p in pictures} == {tmp_path / 'pictures'}
    assert len(pictures) == len(names)
    assert not [p for p in pictures if set(p.name) & set('<>:"/\\|?*')]
