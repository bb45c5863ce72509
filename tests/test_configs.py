"""Every config parses, builds, takes a training step and predicts."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import DATASETS, MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.fileio import dump, load
from mmengine.optim import build_optim_wrapper
from mmengine.structures import InstanceData

import mmaction_actiondiff  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / 'configs').rglob('*.py')
    if not {'_base_', 'benchmarks'} & set(path.parts))
# MMAction2's own localizers take other inputs (test_openmmlab_baselines.py).
OURS = [
    name for name in CONFIGS
    if not Path(name).stem.startswith(('bmn', 'bsn', 'tcanet'))
]
FULL_SIZE = ('thumos14', 'activitynet12', 'activitynet13')


def test_there_are_configs():
    for data in ('demo', 'shrec21', *FULL_SIZE):
        assert f'configs/actiondiff_{data}.py' in OURS


@pytest.mark.parametrize('name', OURS)
def test_config_builds_steps_and_predicts(name):
    cfg = Config.fromfile(ROOT / name)
    assert cfg.custom_imports.imports == ['mmaction_actiondiff']
    model = MODELS.build(cfg.model)
    if hasattr(model, 'warmup_iters'):
        assert 2 * model.warmup_iters < cfg.train_cfg.max_iters
    lengths = (40, 29)
    channels = sum(cfg.stream_channels)
    seconds = cfg.get('seconds_per_snippet', 0.64)  # custom: the data say it
    inputs = torch.zeros(2, channels, 40)
    samples = []
    for x, length in zip(inputs, lengths):
        x[:, :length] = torch.randn(channels, length)
        sample = ActionDataSample(
            metainfo=dict(
                video_name=f'video_{length}',
                num_snippets=length,
                seconds_per_snippet=seconds,
                duration=length * seconds))
        sample.set_gt_label(torch.tensor([1, cfg.num_classes - 1]))
        sample.gt_instances = InstanceData(
            segments=torch.tensor([[0., 1.], [1., 2.]]).double(),
            labels=torch.tensor([1, cfg.num_classes - 1]))
        samples.append(sample)
    losses = model.train()(inputs, samples, mode='loss')
    total = sum(v for k, v in losses.items() if 'loss' in k)
    assert total.isfinite()
    total.backward()
    if hasattr(model, 'diffusion_head'):  # not even in the warm-up
        assert not [
            name for name, p in model.named_parameters()
            if p.requires_grad and p.grad is None
        ]
    for sample in model.eval()(inputs, samples, mode='predict'):
        assert sample.pred_score.shape == (cfg.num_classes, )
        assert sample.pred_instances.segments.isfinite().all()


@pytest.mark.parametrize('data', ['demo', *FULL_SIZE])
def test_the_diffusion_branch_does_not_decay(data):
    # With the base's decay the denoiser learns hardly anything.
    cfg = Config.fromfile(ROOT / f'configs/actiondiff_{data}.py')
    model = MODELS.build(cfg.model)
    decay = {
        parameter: group['weight_decay']
        for group in build_optim_wrapper(model, cfg.optim_wrapper).param_groups
        for parameter in group['params']
    }
    for name, parameter in model.named_parameters():
        free = name.startswith(('diffusion_head', 'condition'))
        assert (decay[parameter] == 0) == free, name


@pytest.mark.parametrize('name, banded', [('demo', True), ('thumos14', True),
                                          ('activitynet12', True),
                                          ('activitynet13', True),
                                          ('shrec21', False),
                                          ('thumos14_abstract', False)])
def test_which_configs_ignore_the_middle_of_the_ranking(name, banded):
    # The abstract's masks are binary: every snippet is one or the other.
    cfg = Config.fromfile(ROOT / f'configs/actiondiff_{name}.py')
    pseudo = MODELS.build(cfg.model.mask_generator)(torch.rand(1, 1, 60)**8,
                                                    torch.ones(1, 1),
                                                    torch.ones(1, 1, 60) > 0)
    assert (pseudo.weight == 0).any() == banded


@pytest.mark.parametrize('name', OURS)
def test_missing_data_says_what_to_do(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = Config.fromfile(ROOT / name).train_dataloader.dataset
    if data.type == 'PlantedActions':
        assert len(DATASETS.build(data)) == 100  # it makes its own files
        return
    data['data_root'] = str(tmp_path / 'nowhere')
    with pytest.raises(FileNotFoundError, match='nowhere'):
        DATASETS.build(data)


def stand_in(cfg, annotations: dict, root: Path) -> Path:
    """A few videos of the true lengths and channels, with made features."""
    chosen: dict = {}
    for subset in {
            cfg.train_dataloader.dataset.subset,
            cfg.val_dataloader.dataset.subset
    }:
        names = [
            name for name, video in annotations['database'].items()
            if video['subset'] == subset and video['duration'] < 60
        ]
        chosen.update({
            name: annotations['database'][name]
            for name in sorted(names)[:4]
        })
    features = root / 'features'
    features.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for name, video in chosen.items():
        length = int(video['duration'] / cfg.seconds_per_snippet)
        feature = generator.random((length, cfg.in_channels), np.float32)
        np.save(features / f'{name}.npy', feature.astype(np.float16))
    dump(dict(annotations, database=chosen), root / 'annotations.json')
    return root


def made_up_annotations(cfg, classes) -> dict:
    """Annotations for the test where the real ones are not at hand."""
    subsets = (cfg.train_dataloader.dataset.subset,
               cfg.val_dataloader.dataset.subset)
    return dict(
        version='made up',
        classes=classes,
        database={
            f'video_{subset}_{i}':
            dict(
                subset=subset,
                duration=40. + i,
                annotations=[dict(label=classes[0], segment=[3., 9.])])
            for subset in subsets
            for i in range(4)
        })


def real_annotations(data: str, out: Path) -> dict | None:
    """Prepare the published annotations, without features."""
    source = ROOT.parent / 'shared' / 'data' / {
        'thumos14': 'thumos14/Thumos14reduced-Annotations',
        'activitynet12': 'activitynet/ActivityNet1.2-Annotations',
        'activitynet13': 'activitynet/ActivityNet1.3-Annotations'
    }[data]
    if not source.is_dir():
        return None
    tool = 'thumos14.py' if data == 'thumos14' else 'activitynet.py'
    subprocess.run([
        sys.executable, ROOT / 'tools' / 'prepare' / tool, '--annotations',
        source, '--out', out
    ],
                   check=True,
                   stdout=subprocess.DEVNULL)
    return load(out / 'annotations.json')


@pytest.mark.slow
@pytest.mark.parametrize('data', FULL_SIZE)
def test_full_size_config_trains_validates_and_resumes(data, tmp_path):
    name = f'configs/actiondiff_{data}.py'
    cfg = Config.fromfile(ROOT / name)
    annotations = real_annotations(data, tmp_path / 'prepared')
    if annotations is None:
        annotations = made_up_annotations(
            cfg, [f'class_{i:03d}' for i in range(cfg.num_classes)])
    root = stand_in(cfg, annotations, tmp_path / 'data')
    options = [
        f'data_root={root}', 'train_cfg.val_interval=1',
        'train_dataloader.batch_size=2', 'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
        'train_dataloader.batch_sampler.num_pairs=0', 'model.warmup_iters=0',
        'val_dataloader.num_workers=0',
        'val_dataloader.persistent_workers=False',
        'default_hooks.checkpoint.interval=1'
    ]
    for iters, resume in ((1, []), (2, ['--resume'])):
        done = subprocess.run([
            sys.executable, ROOT / 'tools' / 'train.py', ROOT / name,
            '--work-dir', tmp_path / 'work', *resume, '--cfg-options',
            *options, f'train_cfg.max_iters={iters}'
        ],
                              capture_output=True,
                              text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        log = done.stdout + done.stderr
        assert 'det/video_acc' in log
        assert ('resumed epoch: 0, iter: 1' in log) == bool(resume)
        assert (tmp_path / 'work' / f'iter_{iters}.pth').is_file()
