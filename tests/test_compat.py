"""Each cure where its defect is made to appear, and where it is not."""
from __future__ import annotations

import functools
import importlib
import os
import subprocess
import sys
import threading
import warnings
from argparse import Namespace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader
from mmengine.visualization import vis_backend

from mmaction_actiondiff import _compat


def test_applying_twice_changes_nothing():
    before = dict(sys.modules), CheckpointLoader._schemes['']
    _compat.apply()
    assert (dict(sys.modules), CheckpointLoader._schemes['']) == before


def test_models_of_mmaction_import():
    models = importlib.import_module('mmaction.models')
    assert MODELS.get('BMN') is models.BMN


def test_missing_drn_explains_itself():
    module = importlib.import_module('mmaction.models.localizers.drn.drn')
    if hasattr(module, '__file__'):
        pytest.skip('this mmaction2 has DRN')
    with pytest.raises(ImportError, match='mmaction2#2714'):
        MODELS.build(dict(type='DRN'))


def test_installed_drn_is_used(tmp_path):
    """A source tree that has the folder is left alone."""
    package = tmp_path / 'mmaction' / 'models' / 'localizers' / 'drn'
    package.mkdir(parents=True)  # without __init__.py, as upstream
    (package / 'drn.py').write_text("DRN = 'the real one'\n")
    for folder in (package.parent, package.parent.parent,
                   package.parent.parent.parent):
        (folder / '__init__.py').write_text('')
    script = (
        'import sys; sys.modules.pop("mmaction", None)\n'
        'import mmaction_actiondiff._compat\n'
        'for name in [m for m in sys.modules if m.split(".")[0] == "mmaction"]'
        ': del sys.modules[name]\n'
        f'sys.path.insert(0, {str(tmp_path)!r})\n'
        'from mmaction.models.localizers.drn.drn import DRN\n'
        'print(DRN)')
    done = subprocess.run([sys.executable, '-c', script],
                          capture_output=True,
                          text=True,
                          cwd=Path(__file__).parents[1])
    assert done.stdout.strip().endswith('the real one'), done.stderr


@pytest.mark.parametrize('complete', [False, True])
def test_transformers_without_what_vindlu_imports(tmp_path, complete):
    """MMAction2 as it is would import VindLU, which fails."""
    info = tmp_path / 'transformers-5.0.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text(
        'Metadata-Version: 2.1\nName: transformers\nVersion: 5.0.0\n')
    package = tmp_path / 'transformers'
    package.mkdir()
    (package / '__init__.py').touch()
    (package / 'modeling_utils.py').write_text(
        'apply_chunking_to_forward = find_pruneable_heads_and_indices = 0\n'
        'prune_linear_layer = 0\n' if complete else '')
    script = ('import mmaction_actiondiff._compat\n'
              'from mmaction.utils.dependency import WITH_MULTIMODAL\n'
              f'assert WITH_MULTIMODAL is {complete}\n')
    if not complete:
        script += 'import mmaction.models'
    done = subprocess.run(
        [sys.executable, '-c', script],
        env=os.environ
        | dict(PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path])),
        capture_output=True,
        text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(
    not hasattr(np, 'trapezoid'), reason='NumPy 1 has trapz alone')
def test_missing_trapz(monkeypatch):
    kept = getattr(np, 'trapz', np.trapezoid)
    monkeypatch.delattr(np, 'trapz', raising=False)
    _compat.restore_trapz()
    restored = np.trapz
    monkeypatch.setattr(np, 'trapz', kept)  # monkeypatch puts it back
    assert restored is np.trapezoid


def test_present_trapz_is_kept(monkeypatch):
    monkeypatch.setattr(np, 'trapz', 'its own', raising=False)
    _compat.restore_trapz()
    assert np.trapz == 'its own'


def load(path):
    return CheckpointLoader.load_checkpoint(str(path), map_location='cpu')


def test_plain_checkpoint_loads(tmp_path):
    torch.save(dict(state_dict=dict(w=torch.ones(2))), tmp_path / 'a.pth')
    assert load(tmp_path / 'a.pth')['state_dict']['w'].tolist() == [1, 1]


def test_foreign_checkpoint_is_refused_with_an_advice(tmp_path, monkeypatch):
    monkeypatch.delenv(_compat.TRUST_VARIABLE, raising=False)
    path = tmp_path / 'foreign.pth'
    torch.save(dict(message_hub=HistoryBuffer([1.], [1])), path)
    with pytest.raises(ValueError, match='ACTIONDIFF_TRUST_CHECKPOINT=1'):
        load(path)


def test_trusted_checkpoint_loads(tmp_path, monkeypatch):
    monkeypatch.setenv(_compat.TRUST_VARIABLE, '1')
    torch.save(dict(hub=HistoryBuffer([1.], [1])), tmp_path / 'foreign.pth')
    assert load(tmp_path / 'foreign.pth')['hub'].current() == 1


def test_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere.pth'):
        load(tmp_path / 'nowhere.pth')


@pytest.mark.parametrize('content', [b'', b'<html>404</html>', b'PK broken'])
def test_damaged_checkpoint_is_named(tmp_path, content):
    (tmp_path / 'a.pth').write_bytes(content)
    with pytest.raises(ValueError, match=r'a\.pth is (damaged|refused)'):
        load(tmp_path / 'a.pth')


class Bomb:

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path), )


@pytest.fixture
def server(tmp_path):
    """Serves a folder over http."""
    handler = functools.partial(QuietHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f'http://127.0.0.1:{http.server_port}'
        http.shutdown()
        thread.join()


class QuietHandler(SimpleHTTPRequestHandler):

    def log_message(self, *args):
        pass


def test_checkpoints_of_two_addresses_are_two(tmp_path, server):
    """Also if the file names are the same, and after a change."""
    for folder, value in (('a', 1.), ('b', 2.), ('a', 3.)):
        (tmp_path / folder).mkdir(exist_ok=True)
        torch.save(
            dict(w=torch.tensor(value)), tmp_path / folder / 'iter_60.pth')
        loaded = load(f'{server}/{folder}/iter_60.pth')
        assert loaded['w'].item() == value


def test_checkpoints_of_addresses_run_nothing(tmp_path, server, monkeypatch):
    monkeypatch.delenv(_compat.TRUST_VARIABLE, raising=False)
    exploded = tmp_path / 'exploded'
    torch.save(dict(x=Bomb(exploded)), tmp_path / 'bomb.pth')
    with pytest.raises(ValueError, match='bomb.pth is refused'):
        load(f'{server}/bomb.pth')
    with pytest.raises(
            ValueError, match='nowhere.pth cannot be loaded: .*404'):
        load(f'{server}/nowhere.pth')
    assert not exploded.exists()


@pytest.mark.parametrize(
    'value', ["O'Brien data", 'new\\table\\1', 'a "b" c', '(old), 2', 'ü'])
@pytest.mark.parametrize('quote', ["'", '"'])
def test_variables_go_into_configs_as_they_are(tmp_path, monkeypatch, value,
                                               quote):
    config = tmp_path / 'c.py'
    config.write_text(f'x = {quote}{{{{$SOME_FOLDER:data/demo}}}}/a{quote}\n'
                      'y = {{"$SOME_NUMBER:3"}}\n')
    monkeypatch.delenv('SOME_FOLDER', raising=False)
    assert Config.fromfile(config).x == 'data/demo/a'
    monkeypatch.setenv('SOME_FOLDER', value)
    monkeypatch.setenv('SOME_NUMBER', '4')
    cfg = Config.fromfile(config)
    assert cfg.x == f'{value}/a' and cfg.y == 4
    cfg.dump(tmp_path / 'dumped.py')
    assert Config.fromfile(tmp_path / 'dumped.py').x == cfg.x


def test_trackers_get_names_that_they_accept(tmp_path):
    """MLflow's rule: letters, digits, ``_``, ``-``, ``.``, space and ``/``."""
    backend = vis_backend.MLflowVisBackend(str(tmp_path))
    logged = {}
    backend._env_initialized = True
    backend._mlflow = Namespace(
        log_metrics=lambda metrics, step: logged.update(metrics),
        log_metric=lambda name, value, step: logged.update({name: value}))
    backend.add_scalars({'det/mAP@0.10:0.70': 1., 'loss_mil': 2.}, 3)
    backend.add_scalar('det/mAP@0.50', 4., 3)
    assert logged == {
        'det/mAP_0.10_0.70': 1.,
        'loss_mil': 2.,
        'det/mAP_0.50': 4.
    }


@pytest.mark.parametrize('name', [
    'actiondiff_demo.py', 'baselines/cola_demo.py', 'cola_demo.py',
    '_base_/default_runtime.py'
])
def test_configs_can_be_inherited_by_name(tmp_path, name):
    path = tmp_path / 'mine.py'
    path.write_text(f"_base_ = 'mmaction_actiondiff::{name}'\n"
                    'train_cfg = dict(max_iters=7)')
    cfg = Config.fromfile(path)
    assert cfg.train_cfg.max_iters == 7
    assert cfg.default_scope == 'mmaction'
    assert '_scope_' not in cfg.pretty_text


def test_unknown_config_is_named(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text("_base_ = 'mmaction_actiondiff::nowhere.py'")
    with pytest.raises(FileNotFoundError, match='mine.py: .*nowhere.py'):
        Config.fromfile(path)


def test_foreign_configs_are_found_by_mmengine(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text("_base_ = 'mmaction::_base_/default_runtime.py'")
    assert Config.fromfile(path).default_scope == 'mmaction'


@pytest.mark.parametrize('missing', ['mmengine', 'mmaction', 'torch'])
def test_missing_package_says_what_to_type(missing):
    script = (f'import sys; sys.modules[{missing!r}] = None\n'
              'import mmaction_actiondiff')
    done = subprocess.run([sys.executable, '-c', script],
                          capture_output=True,
                          text=True,
                          cwd=Path(__file__).parents[1])
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert missing in last and 'pip install' in last


def test_advice_to_install_otherwise_is_hidden():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter('always')
        _compat.apply()
        warnings.warn('pkg_resources is deprecated as an API. See https:')
        for name in ('MultiScaleDeformableAttention', 'another'):
            warnings.warn(f'Fail to import ``{name}`` from ``mmcv.ops``')
    assert ['another' in str(item.message) for item in seen] == [True]
