import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

import mmaction_actiondiff  # noqa: F401

NAMES = ('demo', 'shrec21', 'hapt', 'thumos14', 'activitynet12',
         'activitynet13')


def load(root, name):
    return Config.fromfile(root / f'configs/actiondiff_{name}.py')


def build(loader):
    # as the runner does for default_scope = 'mmaction'
    with DefaultScope.overwrite_default_scope('mmaction'):
        return Runner.build_dataloader(loader, seed=0)


@pytest.mark.parametrize('name', NAMES)
def test_numbers_agree(root, name, monkeypatch):
    monkeypatch.delenv(f'ACTIONDIFF_{name.upper()}', raising=False)
    cfg = load(root, name)
    assert cfg.get('in_channels', 48) == sum(cfg.stream_channels)
    assert cfg.num_classes == dict(
        demo=6,
        shrec21=17,
        hapt=12,
        thumos14=20,
        activitynet12=100,
        activitynet13=200)[name]
    assert 'batch_size' not in cfg.train_dataloader.sampler
    assert cfg.test_dataloader == cfg.val_dataloader
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        assert loader.dataset.dataset_name == name
        assert loader.dataset.data_root == cfg.data_root == f'data/{name}'
    assert cfg.train_dataloader.dataset.subset == 'training'


@pytest.mark.parametrize('name', (*NAMES[1:], 'custom'))
def test_missing_data(root, name, tmp_path, monkeypatch):
    monkeypatch.setenv(f'ACTIONDIFF_{name.upper()}', str(tmp_path / 'none'))
    cfg = load(root, name)
    with pytest.raises(FileNotFoundError) as error:
        build(cfg.train_dataloader)
    assert str(tmp_path / 'none/annotations.json') in str(error.value)
    if name not in ('hapt', 'custom'):
        assert f'ACTIONDIFF_{name.upper()}' in str(error.value)


def first_batch(loader):
    batch = next(iter(loader))
    assert len(batch['inputs']) == len(batch['data_samples'])
    return batch


def test_demo_loads(root, tmp_path, monkeypatch):
    monkeypatch.setenv('ACTIONDIFF_DEMO', str(tmp_path / 'demo'))
    cfg = load(root, 'demo')
    train, val = build(cfg.train_dataloader), build(cfg.val_dataloader)
    assert len(train.dataset.metainfo['classes']) == cfg.num_classes
    batch = first_batch(train)
    assert len(batch['inputs']) == 16
    assert max(x.shape[1] for x in batch['inputs']) == 200
    # test videos are whole
    assert max(video['inputs'].shape[1] for video in val.dataset) > 200


def test_recordings_load(root, shared_data, monkeypatch):
    monkeypatch.setenv('ACTIONDIFF_SHREC21', str(shared_data / 'shrec21'))
    cfg = load(root, 'shrec21')
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        batch = first_batch(build(loader))
        assert {x.shape[0] for x in batch['inputs']} == {244}
