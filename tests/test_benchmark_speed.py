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


def test_writes_ratios_and_tables(tmp_path):
    result, text = run(tmp_path, 'step', 'inference', 'evaluation')
    ratios = result['ratios']
    assert ratios.keys() == {
        'step_vs_co2', 'compact_step_vs_co2', 'diffusion_share_of_step',
        'diffusion_share_of_inference', 'nms_speedup', 'evaluator_speedup'
    }
    assert all(math.isfinite(value) for value in ratios.values())
    for name in ratios:
        assert f'`{name}`' in text
    for heading in ('Training step', 'Inference', 'Evaluation'):
        assert f'## {heading}' in text

    models = result['step']['cpu']['models']['models']
    assert models['ours']['gflop'] > models['co2net']['gflop'] > 0
    assert models['co2net']['ratio'] == 1
    assert result['inference']['cpu'].keys() == {'30', '60'}
    evaluation = result['evaluation']
    assert all(row['same_output'] for row in evaluation['nms'].values())
    assert evaluation['precision']['500']['largest_difference'] < 1e-9
    assert result['machine']['threads'] >= 1 and result['versions']['torch']


@pytest.mark.slow
def test_loader_part_alone(tmp_path):
    result, text = run(tmp_path, 'loader')
    assert not result['ratios'] and '## Loader' in text
    assert result['loader']['samples_per_second'] > 0


def test_share_of_work():
    """The compact preset needs a tenth of CO2-Net's arithmetic."""
    flops = {}
    for name in ('co2net', 'compact'):
        cfg = speed.load_config(speed.FULL.models[name])
        step = speed.training_step(
            MODELS.build(cfg.model), speed.make_batch(cfg, 2, 32, 'cpu'))
        flops[name] = speed.count_flops(step)
    assert flops['compact'] < 0.15 * flops['co2net']
