"""Settings reach every place that has them, or are refused."""
from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

import pytest

from mmaction_actiondiff import cli

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / 'configs').glob('*.py')) + sorted(
    (ROOT / 'configs' / 'baselines').glob('*.py'))


def load(config, *words):
    parser = ArgumentParser()
    cli.add_common_arguments(parser)
    args = parser.parse_args(['--cfg-options', *words] if words else [])
    return cli.load_config(Namespace(config=str(config), **vars(args)))


def thumos(*words):
    return load(ROOT / 'configs' / 'actiondiff_thumos14.py', *words)


def datasets(cfg):
    return [cfg[f'{p}_dataloader'].dataset for p in ('train', 'val', 'test')]


def test_imports_by_option_are_made(tmp_path, monkeypatch):
    (tmp_path / 'my_parts.py').write_text('loaded = True\n')
    monkeypatch.syspath_prepend(tmp_path)
    thumos('custom_imports.imports=[mmaction_actiondiff,my_parts]')
    assert sys.modules['my_parts'].loaded
    with pytest.raises(ValueError, match='custom_imports: .*not_there'):
        thumos('custom_imports.imports=[not_there]')


@pytest.mark.parametrize('config', CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_pass(config):
    cfg = load(config)
    assert cfg.auto_scale_lr.base_batch_size == cfg.train_dataloader.batch_size


@pytest.mark.parametrize('option, value', [('seconds_per_snippet', 0.32),
                                           ('data_root', 'elsewhere')])
def test_variables_reach_every_data_set(option, value):
    cfg = thumos(f'{option}={value}')
    assert [d[option] for d in datasets(cfg)] == [value] * 3
    assert cfg[option] == value


def test_variables_reach_model_and_pipelines():
    cfg = thumos('num_classes=9', 'in_channels=128', 'stream_channels=[64,64]')
    assert cfg.model.num_classes == 9
    assert cfg.model.stream_channels == [64, 64]
    assert [d.pipeline[0].in_channels for d in datasets(cfg)] == [128] * 3


@pytest.mark.parametrize(
    'text',
    ['2024', 'set,v2', '(old)', '[1,2]', "O'Brien data", 'a=b', 'True', '1e3'])
def test_paths_stay_as_they_are(text):
    cfg = thumos(f'data_root={text}',
                 f'test_dataloader.dataset.ann_file={text}')
    assert [d.data_root for d in datasets(cfg)] == [text] * 3
    assert cfg.test_dataloader.dataset.ann_file == text


def test_other_values_are_read():
    cfg = thumos('load_from=None', 'val_evaluator.tiou_thrs=[0.3,0.5]',
                 'randomness.seed=4')
    assert cfg.load_from is None and cfg.randomness.seed == 4
    assert cfg.val_evaluator.tiou_thrs == [0.3, 0.5]


@pytest.mark.parametrize('option, expected', [
    ('train_cgf.max_iters=3', 'nothing reads train_cgf.*is train_cfg'),
    ('seed=3', 'nothing reads seed=3; set randomness.seed'),
    ('max_iters=3', 'set train_cfg.max_iters'),
    ('dataset_type=X', 'nothing reads dataset_type'),
    ('env_cfg.cudnn=1', 'env_cfg.cudnn; it may have .*cudnn_benchmark'),
    ('auto_scale_lr.enabled=1', 'auto_scale_lr.enabled'),
    ('default_hooks.chekpoint.interval=3', 'chekpoint has .* is checkpoint'),
    ('randomness.seed=-1', 'randomness.seed must be .* got -1'),
    ('randomness.seed=x', "got 'x'"),
    ('param_scheduler.7.T_max=3', 'param_scheduler.7.T_max'),
])
def test_what_nothing_reads_is_refused(option, expected):
    with pytest.raises(ValueError, match=expected):
        thumos(option)


def derived(tmp_path, text):
    path = tmp_path / 'mine.py'
    base = ROOT / 'configs' / 'actiondiff_demo.py'
    path.write_text(f"_base_ = '{base}'\n{text}\n", encoding='utf-8')
    return path


def test_inherited_variables_reach_their_places(tmp_path):
    path = derived(tmp_path, "data_root = 'my data'\nnum_classes: int = 3")
    (tmp_path /
     'more.py').write_text("_base_ = ['./mine.py']\nseconds_per_snippet = 0.1")
    cfg = load(tmp_path / 'more.py')
    for dataset in datasets(cfg):
        assert dataset.data_root == 'my data'
        assert dataset.seconds_per_snippet == 0.1
        assert dataset.planted.num_classes == 3
    assert cfg.model.num_classes == 3
    assert load(path).val_dataloader.dataset.seconds_per_snippet == 0.64


@pytest.mark.parametrize('text, expected', [
    ('train_cgf = dict(max_iters=3)', 'mine.py: .*train_cgf.*is train_cfg'),
    ('seed = 3', 'set randomness.seed'),
    ('optim_wraper = dict(optimizer=dict(lr=1))', 'optim_wrapper'),
    ('if True:\n    num_clases = 7', 'num_clases'),
    ('num_clases: int = 7', 'num_clases'),
    ('num_clases, b = 7, 2', 'nothing reads'),
])
def test_variables_that_nothing_reads_are_refused(tmp_path, text, expected):
    with pytest.raises(ValueError, match=expected):
        load(derived(tmp_path, text))


@pytest.mark.parametrize('text', [
    'import os\nC = 6\nmodel = dict(num_classes=C)\nnum_classes = C',
    'classes = 6\nmodel = dict(num_classes=classes)',
    "work_dir = 'w'\n_note = 'mine'",
    'train_dataloader = dict(dataset=dict('
    'pipeline={{_base_.train_pipeline}}))',
])
def test_variables_that_are_read_pass(tmp_path, text):
    load(derived(tmp_path, text))


def test_explicit_places_are_kept(tmp_path):
    """A data set that names its own folder has it."""
    cfg = load(
        derived(
            tmp_path, "data_root = 'all'\n"
            "val_dataloader = dict(dataset=dict(data_root='mine'))"))
    assert [d.data_root for d in datasets(cfg)][:2] == ['all', 'mine']


def test_a_dumped_config_means_the_same(tmp_path):
    cfg = thumos('data_root=elsewhere', 'seconds_per_snippet=0.3',
                 'train_dataloader.batch_size=8', 'train_cfg.max_iters=7')
    cfg.dump(tmp_path / 'dumped.py')
    again = load(tmp_path / 'dumped.py')
    for name in ('model', 'train_dataloader', 'test_dataloader',
                 'optim_wrapper', 'train_cfg', 'auto_scale_lr'):
        assert again[name] == cfg[name]
    assert again.auto_scale_lr.base_batch_size == 16


def test_schedule_that_would_rise_again_is_refused(tmp_path):
    text = ("param_scheduler = [dict(type='CosineAnnealingLR', T_max=300, "
            'by_epoch=False)]')
    load(derived(tmp_path, text))
    with pytest.raises(ValueError, match='T_max=300 .*max_iters=600.*leave'):
        load(derived(tmp_path, text), 'train_cfg.max_iters=600')


def test_a_trial_may_end_before_the_warm_up(capfd):
    demo = ROOT / 'configs' / 'actiondiff_demo.py'
    assert len(load(demo, 'train_cfg.max_iters=31').param_scheduler) == 2
    assert not capfd.readouterr().err
    cfg = load(demo, 'train_cfg.max_iters=30')
    assert [item.type for item in cfg.param_scheduler] == ['LinearLR']
    assert 'CosineAnnealingLR' in capfd.readouterr().err


def test_the_batch_size_of_an_earlier_sampler(tmp_path, capfd):
    text = 'train_dataloader = dict(batch_size=8, sampler=dict({}))'
    cfg = load(derived(tmp_path, text.format('batch_size=8')))
    assert cfg.train_dataloader.sampler == dict(type='WTALSampler')
    assert 'batch_size of the sampler is left' in capfd.readouterr().err
    with pytest.raises(ValueError, match='is 8, .* sampler 4: leave'):
        load(derived(tmp_path, text.format('batch_size=4')))


def test_broken_configs_are_named(tmp_path):
    for text in ('x = (', 'x = y', "_base_ = './nowhere.py'"):
        (tmp_path / 'c.py').write_text(text)
        with pytest.raises(SystemExit, match=r'^Error: .*(c|nowhere)\.py'):
            with cli.command():
                load(tmp_path / 'c.py')
    path = derived(tmp_path, 'x = {{_base_.no_such_variable}}')
    with pytest.raises(ValueError, match=r'mine\.py .*no_such_variable'):
        load(path)
