"""Every config parses, builds, takes a training step and predicts."""
from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
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
# Variants of a config are named after it; the rest is one for each data set.
DATA_SETS = [
    Path(name).stem.split('_', 1)[1] for name in OURS
    if name.startswith('configs/actiondiff_') and not name.endswith(
        ('_abstract.py', '_compact.py'))
]
PRESET = Config.fromfile(ROOT / 'configs/_base_/models/actiondiff.py').model
# What the data fix: classes, channels, widths, receptive fields.
DATA_FIX = {
    'num_classes', 'stream_channels', 'base_branch.embed_channels',
    'base_branch.hidden_layers', 'base_branch.kernel_size',
    'condition.condition_channels', 'diffusion_head.denoiser.channels',
    'diffusion_head.denoiser.kernel_size', 'diffusion_head.denoiser.num_layers'
}
# On I3D features the base is CO2-Net's network with its losses, as published,
# and where there is one action per video its proposals hardly overlap.
PUBLISHED_BASE = {
    'thumos14': {},
    # the same for two streams of a fiftieth of the channels
    'demo': {
        'base_branch.attention_channels': 32,
        'base_branch.dropout': .3,
        'base_branch.attention_dropout': .2,
        'loss.base.norm_weight': .1
    },
    'activitynet12': {
        'base_branch.pool_kernel': 13,
        'loss.base.mil_ratio': 5
    },
    'activitynet13': {
        'base_branch.pool_kernel': 13,
        'loss.base.mil_ratio': 10
    }
}


def test_there_are_configs():
    for data in ('demo', 'shrec21', 'hapt', 'custom', *FULL_SIZE):
        assert f'configs/actiondiff_{data}.py' in OURS


@pytest.mark.parametrize('name', OURS)
def test_config_builds_steps_and_predicts(name):
    cfg = Config.fromfile(ROOT / name)
    assert cfg.custom_imports.imports == ['mmaction_actiondiff']
    model = MODELS.build(cfg.model)
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
    if hasattr(model, 'diffusion_head'):
        assert not [
            name for name, p in model.named_parameters()
            if p.requires_grad and p.grad is None
        ]
    for sample in model.eval()(inputs, samples, mode='predict'):
        assert sample.pred_score.shape == (cfg.num_classes, )
        assert sample.pred_instances.segments.isfinite().all()


@pytest.mark.parametrize('data', DATA_SETS)
def test_the_diffusion_branch_does_not_decay(data):
    # With the base's decay the denoiser learns hardly anything.
    cfg = Config.fromfile(ROOT / f'configs/actiondiff_{data}.py')
    model = MODELS.build(cfg.model)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).param_groups
    assert len(groups) <= 3  # not one for each parameter; MMEngine adds one
    decay = {
        parameter: group['weight_decay']
        for group in groups
        for parameter in group['params']
    }
    for name, parameter in model.named_parameters():
        free = name.startswith(('diffusion_head', 'condition'))
        assert (decay[parameter] == 0) == free, name


def flat(cfg, prefix=''):
    """The leaves of a nested config, by dotted path."""
    if not isinstance(cfg, dict):
        return {prefix[:-1]: cfg}
    return {
        path: leaf
        for key, value in cfg.items()
        for path, leaf in flat(value, f'{prefix}{key}.').items()
    }


@pytest.mark.parametrize('data', DATA_SETS)
def test_a_data_set_sets_only_what_its_data_fix(data):
    """A weakly supervised user has no segments to tune the rest on."""
    cfg = Config.fromfile(ROOT / f'configs/actiondiff_{data}.py')
    found, preset = flat(cfg.model), flat(PRESET)
    expected = dict(preset)
    if data in PUBLISHED_BASE:
        expected.update(
            PUBLISHED_BASE[data], **{
                'base_branch.type': 'CrossModalBranch',
                'loss.base.type': 'CO2NetLoss'
            })
    if data.startswith('activitynet'):
        expected.update({
            'proposal_generator.nms.type': 'hard',
            'proposal_generator.nms.tiou_thr': .9
        })
    changed = {
        path
        for path in found.keys() | expected.keys()
        if found.get(path) != expected.get(path)
    }
    assert changed <= DATA_FIX
    assert {'num_classes', 'stream_channels'} <= changed


@pytest.mark.parametrize('data', [x for x in DATA_SETS if x != 'custom'])
def test_base_and_control_are_the_same_network(data):
    """What differences to them are differences of."""
    cfg = Config.fromfile(ROOT / f'configs/actiondiff_{data}.py')
    baselines = ROOT / 'configs' / 'baselines'
    base = Config.fromfile(baselines / f'base_{data}.py')
    assert base.model.base_branch == cfg.model.base_branch
    assert base.model.loss == cfg.model.loss.base
    assert base.model.proposal_generator == cfg.model.proposal_generator
    control = Config.fromfile(baselines / f'selftrain_{data}.py')
    assert control.model.diffusion_head.type == 'SelfTrainingHead'
    control.model.diffusion_head.type = cfg.model.diffusion_head.type
    assert control.model == cfg.model
    for other in (base, control):
        for part in ('train_dataloader', 'train_cfg', 'optim_wrapper',
                     'param_scheduler', 'custom_hooks'):
            assert other[part] == cfg[part], part


def stand_in(cfg, annotations: dict, root: Path) -> Path:
    """A few short videos of a class, with their true lengths and channels, and
    made features."""
    chosen: dict = {}
    database = annotations['database']
    for subset in {
            cfg.train_dataloader.dataset.subset,
            cfg.val_dataloader.dataset.subset
    }:
        short = [
            name for name, video in sorted(database.items())
            if video['subset'] == subset and video['duration'] < 60
            and video['annotations']
        ]
        label = database[short[0]]['annotations'][0]['label']
        names = [
            name for name in short
            if label in [x['label'] for x in database[name]['annotations']]
        ]
        assert len(names) > 1  # they make a pair
        chosen.update({name: database[name] for name in names[:4]})
    features = root / 'features'
    features.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for name, video in chosen.items():
        length = int(video['duration'] / cfg.seconds_per_snippet)
        feature = generator.random((length, sum(cfg.stream_channels)),
                                   np.float32)
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
    main = runpy.run_path(str(ROOT / 'tools' / 'prepare' / tool))['main']
    assert not main(['--annotations', str(source), '--out', str(out)])
    return load(out / 'annotations.json')


@pytest.mark.slow
@pytest.mark.parametrize('data', ['thumos14', 'activitynet13'])
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
        'train_dataloader.batch_sampler.num_pairs=1',
        'model.loss.base.num_pairs=1', 'model.warmup=0',
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
