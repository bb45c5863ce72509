"""The speed benchmark at tiny shapes: what it writes, never how fast."""
from __future__ import annotations

import json
import math

import pytest
from mmaction.registry import MODELS
from mmengine.registry import DefaultScope

from benchmarks import speed


def run(out, *parts):
    with DefaultScope.overwrite_default_scope('mmaction'):
        speed.main([
            '--tiny', '--rounds', '1', '--out',
            str(out / 'new/speed'), '--parts', *parts
        ])
    text = (out / 'new/speed.md').read_text()
    return json.loads((out / 'new/speed.json').read_text()), text


def test_writes_all_parts(tmp_path):
    result, text = run(tmp_path, 'step', 'inference', 'nms', 'map')
    parts = {part: found['cpu'] for part, found in result['parts'].items()}
    base, ours = parts['step']
    assert ours['GFLOP'] > base['GFLOP'] > 0
    assert base['over base'] == 1 and ours['config'] == 'actiondiff_demo'
    assert [row['T'] for row in parts['inference']] == [30, 60]
    assert all(row['same'] == 'True' for row in parts['nms'])
    assert parts['map'][0]['detections'] == 500
    numbers = [
        value for rows in parts.values() for row in rows
        for value in row.values() if isinstance(value, float)
    ]
    assert len(numbers) > 15 and all(map(math.isfinite, numbers))
    assert '| config | B | T | parameters (M) | GFLOP | s |' in text
    for part in parts:
        assert f'## {speed.PARTS[part][0]} (cpu)' in text
    assert result['machine']['threads'] >= 1 and result['versions']['torch']


@pytest.mark.slow
def test_loader_part_alone(tmp_path):
    result, text = run(tmp_path, 'loader')
    row, = result['parts']['loader']['cpu']
    assert row['videos/s'] == pytest.approx(16 * row['batches/s'])
    assert '| actiondiff_demo | 0 |' in text


@pytest.mark.gpu
def test_parts_of_a_gpu(tmp_path):
    result, _ = run(tmp_path, 'precision')
    assert len(result['parts']['precision']['cuda']) == 4


def test_share_of_work():
    """The compact preset needs a tenth of CO2-Net's arithmetic."""
    names, flops = speed.FULL.steps[-1][0], {}
    for key in ('base', 'compact'):
        cfg = speed.load_config(names[key])
        step = speed.training_step(
            MODELS.build(cfg.model), speed.make_batch(cfg, 2, 32, 'cpu'))
        flops[key] = speed.count_flops(step)
    assert flops['compact'] < 0.15 * flops['base']
