"""tools/convert_checkpoint.py as a user runs it, on random weights."""
import json
import runpy
import sys

import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.runner import load_checkpoint

CONFIGS = dict(
    co2net='co2net_thumos14.py',
    delu='delu_thumos14.py',
    ddgnet='ddg_thumos14.py',
    cola='cola_thumos14.py',
    acrnet='acr_thumos14.py')
SMALL = dict(
    co2net=dict(embed_channels=8, attention_channels=3),
    cola=dict(embed_channels=8),
    acrnet=dict(attention_channels=3))
SMALL['delu'] = SMALL['ddgnet'] = SMALL['co2net']


@pytest.fixture
def run(root, monkeypatch, capsys):
    """Run the tool; what it printed, or the error that it ends with."""

    def run(*args):
        tool = str(root / 'tools' / 'convert_checkpoint.py')
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, args)])
        try:
            runpy.run_path(tool, run_name='__main__')
        except SystemExit as error:
            return str(error.code)
        return capsys.readouterr().out

    return run


def random_weights(root, method):
    """In the layout of the published code, at small widths."""
    golden = json.loads(
        (root / 'tests' / 'golden' / f'{method}.json').read_text())
    return {
        name: torch.randn(shape)
        for name, shape in golden['parameters']
    }, golden['settings']


@pytest.mark.parametrize('method', CONFIGS)
@pytest.mark.parametrize('wrapped', [False, True])
def test_the_model_of_the_config_takes_it(root, tmp_path, run, method,
                                          wrapped):
    state, size = random_weights(root, method)
    if wrapped:
        state = dict(state_dict={f'module.{k}': v for k, v in state.items()})
    torch.save(state, tmp_path / 'theirs.pkl')
    out = run(method, tmp_path / 'theirs.pkl', '--out', tmp_path / 'our.pth')
    assert f'tensors of {method} written to' in out
    cfg = Config.fromfile(root / 'configs' / 'baselines' / CONFIGS[method])
    cfg.model.update(
        num_classes=size['num_classes'],
        stream_channels=size['stream_channels'])
    cfg.model.base_branch.update(SMALL[method])
    model = MODELS.build(cfg.model)
    load_checkpoint(model, str(tmp_path / 'our.pth'), strict=True)


class Harmful:

    def __reduce__(self):
        return print, ('this must not run', )


def test_code_in_the_file_does_not_run(tmp_path, run, capsys):
    torch.save(dict(a=Harmful()), tmp_path / 'theirs.pkl')
    out = run('cola', tmp_path / 'theirs.pkl', '--out', tmp_path / 'our.pth')
    assert 'theirs.pkl is refused' in out
    assert 'must not run' not in capsys.readouterr().out
    assert not (tmp_path / 'our.pth').exists()


def test_errors_name_the_problem(root, tmp_path, run):
    theirs, target = tmp_path / 'theirs.pkl', tmp_path / 'our.pth'
    assert 'does not exist' in run('cola', theirs, '--out', target)
    state, _ = random_weights(root, 'delu')
    torch.save(state, theirs)
    out = run('cola', theirs, '--out', target)
    assert 'lacks 2 of 2 weights' in out and 'unknown ones' in out
    del state['fusion.0.weight']
    torch.save(state, theirs)
    assert "lacks 1 of 13 weights (such as ['fusion.0.weight'])" in run(
        'delu', theirs, '--out', target)
    torch.save([1, 2], theirs)
    assert 'found list' in run('delu', theirs, '--out', target)
    target.write_text('')
    assert 'exists: delete it' in run('delu', theirs, '--out', target)
