"""The speed benchmark at tiny shapes: what it writes, never how fast."""
from __future__ import annotations

import json
import math

from mmengine.registry import DefaultScope

from benchmarks import speed


def test_writes_the_steps(tmp_path, monkeypatch):
    names = 'baselines/base_demo', 'actiondiff_demo'
    monkeypatch.setattr(speed, 'STEPS', [(names, 4, 24)])
    with DefaultScope.overwrite_default_scope('mmaction'):
        speed.main(['--rounds', '1', '--out', str(tmp_path / 'new/speed')])
    result = json.loads((tmp_path / 'new/speed.json').read_text())
    base, ours = result['parts']['step']
    assert ours['GFLOP (forward)'] > base['GFLOP (forward)'] > 0
    assert base['over base'] == 1 and ours['config'] == 'actiondiff_demo'
    numbers = [
        value for rows in result['parts'].values() for row in rows
        for value in row.values() if isinstance(value, float)
    ]
    assert len(numbers) == 8 and all(map(math.isfinite, numbers))
    text = (tmp_path / 'new/speed.md').read_text()
    assert '| config | B | T | parameters (M) | GFLOP (forward) | s |' in text
    assert result['machine']['threads'] >= 1 and result['versions']['torch']


def test_share_of_work():
    """The compact preset needs a tenth of CO2-Net's arithmetic."""
    names = speed.STEPS[-1][0]
    flops = {}
    for key, name in zip(('base', 'compact'), names[::2]):
        cfg, model = speed.load(name)
        flops[key] = speed.complexity(model, speed.make_batch(cfg, 2, 32)[0])
    assert (flops['compact']['GFLOP (forward)']
            < 0.15 * flops['base']['GFLOP (forward)'])
