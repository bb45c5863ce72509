"""The speed tool at tiny shapes: what it writes, never how fast it was."""
from __future__ import annotations

import importlib
import json
import math

import pytest
import torch
from mmengine.registry import DefaultScope

tool = importlib.import_module('benchmark_speed')


def run(out, *parts):
    with DefaultScope.overwrite_default_scope('mmaction'):
        tool.main([
            '--tiny', '--rounds', '1', '--out',
            str(out / 'new/speed'), '--parts', *parts
        ])
    text = (out / 'new/speed.md').read_text()
    return json.loads((out / 'new/speed.json').read_text()), text


def test_writes_ratios_and_tables(tmp_path):
    result, text = run(tmp_path, 'step', 'inference', 'evaluation')
    ratios = result['ratios']
    assert {
        'step_vs_co2', 'compact_step_vs_co2', 'diffusion_share_of_step',
        'utilisation', 'sampling_share_of_inference', 'peak_mib',
        'batching_speedup', 'random_batching_speedup', 'nms_speedup',
        'evaluator_speedup'
    } <= ratios.keys()
    assert all(math.isfinite(value) for value in ratios.values())
    for name in ratios:
        assert f'`{name}`' in text
    for heading in ('Training step', 'Inference', 'Evaluation'):
        assert f'## {heading}' in text

    models = result['step']['cpu']['yardstick']['models']
    assert models['ours']['gflop'] > models['base']['gflop'] > 0
    assert models['paper']['ratio'] == 1
    inference = result['inference']['cpu']
    for row in inference['batching'].values():
        assert row['largest_difference'] < 1e-4
        padding = row['padding']
        assert padding['alone'] == 0
        assert padding['by_length'] < padding['random']
    assert all(row['peak_mib'] >= 0 for row in inference['videos'].values())
    assert 'sampling_8' in inference['videos']['30']['seconds']
    assert all(n['same_output'] for n in result['evaluation']['nms'].values())
    judge = result['evaluation']['evaluator']
    assert 'activitynet' in judge['largest_difference']
    assert max(judge['largest_difference'].values()) < 1e-4


@pytest.mark.slow
def test_loader_part_alone(tmp_path):
    result, text = run(tmp_path, 'loader')
    assert result['ratios'].keys() == {'loader_over_model'}
    assert len(result['loader']['videos']) == 2
    assert '## Loader' in text


def test_yardstick_has_the_size_of_the_published_network():
    with torch.device('meta'):
        branch = tool.PaperBranch(20, 1024, 512)
    assert tool.million(branch) == pytest.approx(34.1, abs=0.05)


def test_share_of_work():
    """Ours needs less arithmetic than the paper's, the compact a tenth."""
    flops = {}
    shape = tool.Shape('actiondiff_thumos14', 2, 32)
    for name in ('actiondiff_thumos14', 'actiondiff_thumos14_compact'):
        cfg = tool.load_config(name, tiny=False)
        step = tool.training_step(
            tool.build(cfg), tool.make_batch(cfg, shape, 'cpu'))
        flops[name] = tool.count_flops(step)
    paper = dict(type=tool.PaperBranch, channels=1024, attention_channels=512)
    step = tool.training_step(
        tool.build(cfg, base=paper), tool.make_batch(cfg, shape, 'cpu'))
    expected = tool.count_flops(step)
    assert flops['actiondiff_thumos14'] < 0.9 * expected
    assert flops['actiondiff_thumos14_compact'] < 0.1 * expected
