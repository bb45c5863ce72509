"""benchmarks/mechanism.py: its measures on curves with known answers."""
from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from benchmarks import mechanism
from mmaction_actiondiff.dumps import save_dump

CLASSES = ('Run', 'Jump', 'Wave')
# ten snippets of half a second
BASE = [0, 0, 8, 1, 1, 1, 1, 0, 0, 0]
FUSED = [0, 0, 8, 4, 4, 1, 1, 0, 0, 0]


def curve(*rows, num_classes=3):
    """(T, C) of the first classes' rows; the others never score."""
    value = np.zeros((10, num_classes))
    for i, row in enumerate(rows):
        value[:, i] = row
    return torch.from_numpy(value).float()


def make_sample(name='a', **changes):
    """Run is at 1.0 to 3.5 s (snippets 2 to 6); Jump at 4.0 to 4.5 s (8).

    The mask has three of Run's five snippets and another two; of the class
    Wave, which is absent, it has all.
    """
    snippets = dict(
        score=curve(FUSED,
                    np.eye(10)[8]),
        base_score=curve(BASE,
                         np.eye(10)[8]),
        mask=curve([1, 1, 1, 1, 1, 0, 0, 0, 0, 0], [0] * 10, [1] * 10),
        denoised=curve([0, 0, .6, .6, .6, .6, .5, 0, 0, 0],
                       np.eye(10)[8]))
    sample = dict(
        video_name=name,
        duration=5.,
        seconds_per_snippet=0.5,
        ambiguous=np.zeros((0, 2)),
        gt_instances=dict(
            segments=np.array([[1., 3.5], [4., 4.5]]), labels=np.array([0,
                                                                        1])),
        pred_snippets=snippets)
    return {**sample, **changes}


# -- Measures -----------------------------------------------------------------


def test_peak_ratio():
    score = curve(BASE, np.ones(10))
    found = mechanism.peak_ratio(score.double().numpy())
    np.testing.assert_allclose(found, [8 / 1.2, 1, 0])


def test_coverage_counts_snippets_above_a_quarter_of_the_maximum():
    score = curve(BASE, FUSED).numpy()
    spans = np.array([[1., 3.5], [1., 3.5], [0., 5.], [1.3, 1.7], [9., 10.]])
    labels = np.array([0, 1, 1, 1, 1])
    # the centres are at 0.25, 0.75, ...: 1.3 to 1.7 has none
    centre = np.arange(0.25, 5, 0.5)
    np.testing.assert_array_equal(
        mechanism.coverage(score, spans, labels, centre),
        [.2, .6, .3, np.nan, np.nan])
    # a quarter itself is not above
    score[3, 0] = 2
    assert mechanism.coverage(score, spans[:1], labels[:1], centre) == [.2]
    score[3, 0] = 2.1
    assert mechanism.coverage(score, spans[:1], labels[:1], centre) == [.4]
    # a class that never scores covers nothing
    assert mechanism.coverage(0 * score, spans[:1], labels[:1], centre) == [0]


def test_mask_quality_of_present_classes():
    """Six snippets are annotated; Wave is absent, and does not count."""
    found = mechanism.mask_quality([make_sample()], 'mask')
    assert found == pytest.approx(dict(precision=60, recall=50, tiou=300 / 8))
    # 0.5 is not above 0.5: one of six is missing
    found = mechanism.mask_quality([make_sample()], 'denoised')
    assert found == pytest.approx(
        dict(precision=100, recall=500 / 6, tiou=500 / 6))


def test_measure():
    empty = make_sample(
        'b',
        gt_instances=dict(segments=np.zeros((0, 2)), labels=np.zeros(0, int)))
    assert mechanism.measure([make_sample(), empty]) == pytest.approx({
        'peak_ratio/before': (8 / 1.2 + 10) / 2,
        'peak_ratio/after': (8 / 1.8 + 10) / 2,
        'coverage/before': (20 + 100) / 2,
        'coverage/after': (60 + 100) / 2,
        'mask/precision':
        60,
        'mask/recall':
        50,
        'mask/tiou':
        300 / 8,
        'denoised/precision':
        100,
        'denoised/recall':
        500 / 6,
        'denoised/tiou':
        500 / 6,
    })


def test_measure_of_a_base_branch():
    score = make_sample()['pred_snippets']['score']
    found = mechanism.measure([make_sample(pred_snippets=dict(score=score))])
    assert set(found) == {'peak_ratio/after', 'coverage/after'}


def test_windows_longer_than_their_stride():
    """All snippets are one later: Run keeps three of five, Jump none."""
    found = mechanism.measure([make_sample(snippet_offset=0.5)])
    assert found['coverage/after'] == pytest.approx((60 + 0) / 2)


# -- The command --------------------------------------------------------------


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The command, beside two dumps of one model and one of a base branch."""
    sample = make_sample()
    score = sample['pred_snippets']['score']
    poor = make_sample()
    poor['pred_snippets']['score'] = curve(BASE, np.eye(10)[8])
    base = make_sample(pred_snippets=dict(score=score))
    for name, item in dict(a0=sample, a1=poor, b0=base).items():
        save_dump(tmp_path / f'{name}.npz', [item], CLASSES)
    monkeypatch.chdir(tmp_path)
    return lambda *args: mechanism.main([*args, '--out', 'new/out'])


def test_command(run, tmp_path):
    run('--runs', 'Ours=a0.npz,a1.npz', 'Base branch=b0.npz')
    report = json.loads((tmp_path / 'new' / 'out.json').read_text())
    assert report['num_videos'] == 1 and report['num_gt'] == 2
    ours, base = report['runs'].values()
    assert ours['files'] == 2 and base['files'] == 1
    assert ours['measures']['coverage/before'] == dict(mean=60, std=0)
    assert ours['measures']['coverage/after'] == pytest.approx(
        dict(mean=70, std=200**.5))
    assert base['measures']['coverage/after'] == dict(mean=80, std=None)
    assert 'coverage/before' not in base['measures']

    text = (tmp_path / 'new' / 'out.md').read_text()
    assert '1 test videos, 2 instances' in text
    assert '| measure | Ours | Base branch |' in text
    assert '| coverage, before | 60.0 ± 0.0 | – |' in text
    assert '| coverage, after | 70.0 ± 14.1 | 80.0 |' in text
    assert '| peak ratio, after |' in text
    assert '| mask, IoU | 37.5 ± 0.0 | – |' in text
    assert str(tmp_path) not in text


def test_command_explains_errors(run, tmp_path, capsys):
    with pytest.raises(SystemExit, match='none.npz.* write it'):
        run('--runs', 'A=none.npz')
    sample = make_sample()
    del sample['pred_snippets']
    save_dump(tmp_path / 'bare.npz', [sample], CLASSES)
    with pytest.raises(SystemExit, match='bare.npz: no pred_snippets.*--dump'):
        run('--runs', 'A=bare.npz')
    save_dump(tmp_path / 'more.npz',
              [make_sample(), make_sample('b')], CLASSES)
    with pytest.raises(SystemExit, match='more.npz has other videos .* as b'):
        run('--runs', 'A=a0.npz', 'B=more.npz')
    for bad in (['a0.npz'], ['A='], ['A=a0.npz,'], ['A=a0.npz', 'A=a1.npz']):
        with pytest.raises(SystemExit):
            run('--runs', *bad)
        assert '--runs needs NAME=DUMP[,DUMP]' in capsys.readouterr().err
    assert not (tmp_path / 'new').exists()
