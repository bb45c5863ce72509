"""tools/replay.py and tools/visualize.py on a dump of two videos."""
import runpy
import sys

import mmengine
import numpy as np
import pytest
import torch
from mmaction.registry import DATASETS, METRICS
from mmengine.evaluator import BaseMetric

from mmaction_actiondiff.proposals import ProposalGenerator

CLASSES = ('Run', 'Jump')
CONFIG = """
default_scope = 'mmaction'
model = dict(
    type='ActionDiff',
    proposal_generator=dict(type='ProposalGenerator', nms=dict(sigma=0.3)))
test_dataloader = dict(dataset=dict(type='ReplayClasses'))
test_evaluator = dict(type='ReplayCount', prefix='det')
"""


class ReplayClasses:
    """What replaying needs of a data set: the class names."""
    metainfo = dict(classes=CLASSES)


class ReplayCount(BaseMetric):
    """Number of proposals by class name, after the data set's order."""

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
    monkeypatch.setitem(DATASETS.module_dict, 'ReplayClasses', ReplayClasses)
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
                pred_instances=dict(
                    segments=torch.zeros(0, 2),
                    labels=torch.zeros(0, dtype=torch.long),
                    scores=torch.zeros(0)),
                pred_snippets=dict(score=score, attention=score.amax(1, True)),
                gt_label=torch.tensor([0]),
                gt_instances=dict(
                    segments=np.array([[1., 4.]]), labels=np.array([0])),
                ambiguous=np.zeros((0, 2))))
    config, dump = tmp_path / 'config.py', tmp_path / 'out.pkl'
    config.write_text(CONFIG)
    mmengine.dump(samples, dump)
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
            curves['score'].numpy().T, curves['attention'][:, 0].numpy(),
            sample['pred_score'].numpy(), 0.5, 14.5)
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
        'model.proposal_generator.max_per_video=3',
        'model.proposal_generator.video_score_thr=0.05')
    lines = capsys.readouterr().out.splitlines()
    counts = [float(x.split()[1]) for x in lines if x.startswith('det/')]
    assert sum(counts) == 6 and len(lines) == 3


def test_replay_needs_curves(files, root, monkeypatch):
    config, dump, samples = files
    del samples[1]['pred_snippets']
    mmengine.dump(samples, dump)
    with pytest.raises(SystemExit, match='b: no pred_snippets'):
        run(monkeypatch, root, 'replay.py', config, dump)


def test_replay_explains_bad_settings(files, root, monkeypatch):
    config, dump, _ = files
    with pytest.raises(SystemExit, match='outer_ratio must be >= 0, got -1'):
        run(monkeypatch, root, 'replay.py', config, dump, '--cfg-options',
            'model.proposal_generator.outer_ratio=-1')


def test_visualize(files, tmp_path, root, monkeypatch):
    config, dump, _ = files
    run(monkeypatch, root, 'visualize.py', dump, '--config', config)
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
