"""BMN, BSN and TCANet of MMAction2 on our files, evaluated by our metrics."""
from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import mmaction
import numpy as np
import pytest
import torch
from mmaction.registry import DATASETS, METRICS, MODELS
from mmaction.structures import ActionDataSample
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner

from mmaction_actiondiff import cli
from mmaction_actiondiff.dumps import save_dump
from mmaction_actiondiff.evaluation import PairedDetectionMAP, ProposalRecall

STEPS = 20
WIDTHS = dict(
    BMN=dict(num_samples=4, hidden_dim_1d=8, hidden_dim_2d=4, hidden_dim_3d=4),
    TEM=dict(tem_hidden_dim=8),
    PEM=dict(pem_hidden_dim=8),
    TCANet=dict(se_sample_num=8, action_sample_num=16))
UPSTREAM = Path(mmaction.__file__).parent / '.mim' / 'tools'


def a_video(name, segments, labels, proposals):
    """A batch of one video and what a localizer of MMAction2 predicts."""
    segments = np.asarray(segments, dtype=float).reshape(-1, 2)
    sample = ActionDataSample(
        metainfo=dict(
            video_name=name,
            segments=segments,
            segment_labels=np.asarray(labels),
            labels=sorted(set(labels)),
            ambiguous=np.zeros((0, 2)),
            seconds_per_snippet=1.,
            annotations=[
                dict(segment=s, label=c)
                for s, c in zip(segments.tolist(), labels)
            ]))
    proposal_list = [
        dict(segment=list(segment), score=score)
        for *segment, score in proposals
    ]
    return (dict(data_samples=[sample]),
            [dict(video_name=name, proposal_list=proposal_list)])


def evaluate(metric, videos):
    for video in videos:
        metric.process(*video)
    return metric.evaluate(len(videos))


def test_recall_is_that_of_upstream(tmp_path):
    rng = np.random.default_rng(0)
    videos = []
    for i in range(12):
        times = rng.uniform(0, 100, (40 + 10 * i, 2))
        times.sort(1)
        truth = rng.uniform(0, 100, (1 + i % 4, 2))
        truth.sort(1)
        scores = rng.random(len(times))
        videos.append(
            a_video(f'v_{i}', truth, [0] * len(truth),
                    np.column_stack([times, scores]).tolist()))
    ours = evaluate(ProposalRecall(), videos)
    theirs = evaluate(
        METRICS.build(
            dict(
                type='ANetMetric',
                metric_type='AR@AN',
                dump_config=dict(
                    out=str(tmp_path / 'out.json'), output_format='json'))),
        videos)
    assert 30 < ours['proposal/AR@100'] < 99
    for key in ('AR@1', 'AR@5', 'AR@10', 'AR@100'):
        assert ours[f'proposal/{key}'] == pytest.approx(100 * theirs[key])
    assert ours['proposal/AUC'] == pytest.approx(theirs['auc'])


def test_pairing_by_hand(tmp_path):
    """Scores of class x proposal decide the order; top_classes the number."""
    path = tmp_path / 'scores.npz'
    save_dump(path, [
        dict(video_name='a', pred_score=np.array([0.1, 0.8, 0.5])),
        dict(video_name='b', pred_score=np.array([0.2, 0.9, 0.3]))
    ], ['x', 'y', 'z'])
    videos = [
        a_video('a', [[0, 10]], [1], [[0, 10, 0.5], [20, 30, 0.9]]),
        a_video('b', [[0, 10]], [2], [[0, 10, 0.7]])
    ]
    top1 = evaluate(
        PairedDetectionMAP(str(path), top_classes=1, protocol='seconds'),
        videos)
    # class 1: a's second proposal .72, b's .63, a's first .40 is the hit:
    # precision 1/3; class 2 is paired with nothing
    assert top1['det/mAP@0.50'] == pytest.approx(100 / 6)
    assert top1['det/video_acc'] == 50
    top2 = evaluate(
        PairedDetectionMAP(str(path), top_classes=2, protocol='seconds'),
        videos)
    # class 2: a's .45 and .25, b's hit .21 between them: precision 1/3
    assert top2['det/mAP@0.50'] == pytest.approx(100 / 3)
    # true classes: class 1 has a's two proposals, the hit second
    oracle = evaluate(
        PairedDetectionMAP('ground_truth', protocol='seconds'), videos)
    assert oracle['oracle/mAP@0.50'] == pytest.approx(75)
    assert not any(key.startswith('det/') for key in oracle)
    assert 'oracle/video_acc' not in oracle


def test_dumped_scores_are_read(tmp_path):
    path = tmp_path / 'dump.npz'
    save_dump(path, [dict(video_name='a', pred_score=np.array([0., 1.]))],
              ['Run', 'Jump'])
    video = a_video('a', [[0, 10]], [1], [[0, 10, 0.5]])
    metric = PairedDetectionMAP(str(path), protocol='seconds')
    assert evaluate(metric, [video])['det/mAP@0.70'] == 100
    with pytest.raises(ValueError, match='no scores of b; it has 1 videos'):
        metric.process(*a_video('b', [[0, 1]], [0], [[0, 1, 0.5]]))


def test_metrics_refuse(tmp_path):
    batch, found = a_video('a', [[0, 10]], [0], [[0, 10, 0.5]])
    batch['data_samples'] *= 2
    with pytest.raises(ValueError, match='1 results for 2 .*batch_size=1'):
        ProposalRecall().process(batch, found)
    with pytest.raises(FileNotFoundError, match='none.npz'):
        PairedDetectionMAP(str(tmp_path / 'none.npz'))
    with pytest.raises(ValueError, match='run no code'):
        (tmp_path / 'scores.pkl').write_bytes(b'')
        PairedDetectionMAP(str(tmp_path / 'scores.pkl'))
    with pytest.raises(ValueError, match='top_classes must be >= 1, got 0'):
        PairedDetectionMAP('ground_truth', top_classes=0)


def write_tiny_data(folder, classes, channels, unit):
    """Five videos of two classes with random features."""
    rng = np.random.default_rng(0)
    (folder / 'features').mkdir(parents=True)
    database = {}
    for i in range(5):
        num = 20 + 3 * i
        np.save(folder / 'features' / f'video_{i}.npy',
                rng.normal(size=(num, channels)).astype(np.float16))
        database[f'video_{i}'] = dict(
            subset='training' if i < 3 else 'test',
            duration=num * unit,
            annotations=[
                dict(label=classes[i % 2], segment=[3 * unit, 9 * unit]),
                dict(label=classes[1], segment=[12 * unit, 17 * unit])
            ])
    (folder / 'annotations.json').write_text(
        json.dumps(dict(version='tiny', classes=classes, database=database)))


@pytest.fixture(params=[
    'shrec21',
    pytest.param('demo', marks=pytest.mark.slow),
    pytest.param('thumos14', marks=pytest.mark.slow)
])
def data_set(request, tmp_path, monkeypatch):
    """Name of a data set whose folder holds little."""
    name = request.param
    if name == 'demo':
        folder = request.getfixturevalue('demo_root')
    else:
        folder = tmp_path / name
        channels, unit, num = dict(
            shrec21=(244, 0.1, 17), thumos14=(2048, 0.64, 20))[name]
        write_tiny_data(folder, [f'c{i:02d}' for i in range(num)], channels,
                        unit)
    monkeypatch.setenv(f'ACTIONDIFF_{name.upper()}', str(folder))
    return name


@pytest.fixture
def tiny_config():
    """Reads a config and shrinks it to one iteration of a small network."""
    load_config = cli.load_config

    def load(args):
        cfg = load_config(args)
        model = cfg.model
        model.update(WIDTHS[model.type])
        if 'temporal_dim' in model:
            assert model.temporal_dim == 100
            model.temporal_dim = STEPS
        for loader in (cfg.train_dataloader, cfg.val_dataloader,
                       cfg.test_dataloader):
            if loader is None:
                continue
            loader.update(num_workers=0, persistent_workers=False)
            for step in loader.dataset.pipeline:
                if step.type == 'ResizeLocalizerFeature':
                    assert step.length == 100
                    step.length = STEPS
        cfg.train_cfg.max_iters = 1
        if 'val_interval' in cfg.train_cfg:
            cfg.train_cfg.val_interval = 1
        return cfg

    return load


def arguments(root, tmp_path, name):
    return Namespace(
        config=str(root / 'configs' / 'baselines' / f'{name}.py'),
        cfg_options={},
        work_dir=str(tmp_path / name),
        launcher='none',
        local_rank=0)


def assert_evaluated(metrics, keys=('proposal/AUC', 'oracle/mAP@0.50')):
    for key in ('proposal/AR@100', *keys):
        assert 0 <= metrics[key] <= 100
    assert not any(key.startswith('det/') for key in metrics)


def write_proposals(folder, names):
    """Inputs of PEM and of TCANet: eight random proposals per video."""
    rng = np.random.default_rng(0)
    for part in ('pgm_proposals', 'pgm_features'):
        (folder / part).mkdir()
    dump = []
    for name in names:
        table = rng.random((8, 7))
        table[:, :2] = np.sort(table[:, :2], axis=1)
        np.savetxt(
            folder / 'pgm_proposals' / f'{name}.csv',
            table,
            delimiter=',',
            header='tmin',
            comments='')
        np.save(folder / 'pgm_features' / f'{name}.npy', rng.random((8, 32)))
        dump.append(
            dict(
                video_name=name,
                proposal_list=[
                    dict(segment=[2 * a, 2 * b], score=c)
                    for a, b, c in table[:, :3].tolist()
                ]))
    save_dump(folder / 'proposals.npz', dump, ['any'])


def test_videos_without_segments(root, tmp_path, monkeypatch):
    """Training names them, a test takes them."""
    classes = [f'gesture_{i:02d}' for i in range(17)]
    write_tiny_data(tmp_path / 'data', classes, 244, 0.1)
    path = tmp_path / 'data' / 'annotations.json'
    content = json.loads(path.read_text())
    for name in ('video_1', 'video_4'):
        video = content['database'][name]
        video.update(annotations=[], labels=classes[:1])
    path.write_text(json.dumps(content))
    monkeypatch.setenv('ACTIONDIFF_SHREC21', str(tmp_path / 'data'))
    for method in ('bmn', 'bsn_tem'):
        cfg = cli.load_config(arguments(root, tmp_path, f'{method}_shrec21'))
        data = DATASETS.build(cfg.train_dataloader.dataset)
        data[0]
        with pytest.raises(ValueError, match='video_1 has no annotated seg'):
            data[1]
        cfg.test_dataloader.dataset.subset = 'test'
        DATASETS.build(cfg.test_dataloader.dataset)[1]


@pytest.mark.parametrize('method', ['bmn', 'bsn_tem', 'bsn_pem', 'tcanet'])
def test_config_takes_a_step(method, data_set, root, tmp_path, monkeypatch,
                             tiny_config):
    """Each config builds, learns from a batch and predicts a video."""
    monkeypatch.setenv('ACTIONDIFF_BSN', str(tmp_path))
    monkeypatch.setenv('ACTIONDIFF_BMN', str(tmp_path))
    folder = Path(os.environ[f'ACTIONDIFF_{data_set.upper()}'])
    write_proposals(tmp_path, [f.stem for f in folder.glob('features/*.npy')])
    cfg = tiny_config(arguments(root, tmp_path, f'{method}_{data_set}'))

    model = MODELS.build(cfg.model)
    optimizer = Runner.build_optim_wrapper(
        SimpleNamespace(model=model), cfg.optim_wrapper)
    data = DATASETS.build(cfg.train_dataloader.dataset)
    losses = model.train_step(
        pseudo_collate([data[i] for i in range(3)]), optimizer)
    assert np.isfinite(losses['loss'].item())

    data = DATASETS.build(cfg.test_dataloader.dataset)
    batch = pseudo_collate([data[0]])
    model.eval()
    with torch.no_grad():
        found, = model.test_step(batch)
    if method == 'bsn_tem':
        assert found[0] == data[0]['data_samples'].video_name
        assert found[1].shape == (STEPS, 5)
        assert cfg.test_evaluator.dump_config.out == f'{tmp_path}/tem_results'
        return
    duration = data.get_data_info(0)['duration']
    segments = np.array([item['segment'] for item in found['proposal_list']])
    assert 0 <= segments.min() < segments.max() <= duration
    evaluator = Evaluator([METRICS.build(part) for part in cfg.test_evaluator])
    evaluator.process([found], batch)
    metrics = evaluator.evaluate(1)
    if method == 'tcanet':
        # why its config says that only AR@100 can be evaluated
        assert {item['score'] for item in found['proposal_list']} == {0}
        assert_evaluated(metrics, keys=())
        assert not any('mAP' in key for key in metrics)
    else:
        assert_evaluated(metrics)


# One data set trains through all stages: the others differ in what
# test_config_takes_a_step reads.
THROUGH = pytest.mark.parametrize('data_set', ['shrec21'], indirect=True)


@pytest.mark.slow
@THROUGH
def test_bmn_then_tcanet(data_set, root, tmp_path, monkeypatch, tiny_config):
    """TCANet reads the proposals that a test of BMN dumps."""
    name = f'bmn_{data_set}'
    cfg = tiny_config(arguments(root, tmp_path, name))
    cfg.test_dataloader.dataset.subset = ['training', 'test']
    dump = tmp_path / name / 'proposals.npz'
    bmn = cli.build_runner(cfg)
    bmn.train()
    cli.dump_predictions(bmn, str(dump))
    assert_evaluated(bmn.test())

    monkeypatch.setenv('ACTIONDIFF_BMN', str(dump.parent))
    cfg = tiny_config(arguments(root, tmp_path, f'tcanet_{data_set}'))
    tcanet = cli.build_runner(cfg)
    tcanet.train()
    assert_evaluated(tcanet.test(), keys=())


@pytest.mark.slow
@THROUGH
def test_bsn(data_set, root, tmp_path, monkeypatch, tiny_config):
    """All three stages through their files."""
    configs = root / 'configs' / 'baselines'
    monkeypatch.setattr(cli, 'load_config', tiny_config)
    monkeypatch.setenv('ACTIONDIFF_BSN', 'restored afterwards')
    out = tmp_path / 'bsn'
    monkeypatch.setattr(sys, 'argv', [
        'bsn.py',
        str(configs / f'bsn_tem_{data_set}.py'),
        str(configs / f'bsn_pem_{data_set}.py'), '--work-dir',
        str(out), '--seed', '1'
    ])
    runpy.run_path(str(root / 'benchmarks' / 'bsn.py'), run_name='__main__')
    tem = sorted((out / 'tem_results').iterdir())
    features = sorted((out / 'pgm_features').iterdir())
    assert len(tem) == len(features) == 5
    assert np.loadtxt(tem[0], delimiter=',', skiprows=1).shape == (STEPS, 5)
    proposals = np.loadtxt(
        out / 'pgm_proposals' / tem[0].name, delimiter=',', skiprows=1)
    assert proposals.shape[1] == 7 and proposals[:, 5].max() > 0
    assert np.load(features[0]).shape == (len(proposals), 32)
    log = next((out / 'pem').glob('*/vis_data/scalars.json')).read_text()
    assert_evaluated(json.loads(log.splitlines()[-1]))


@pytest.mark.slow
@pytest.mark.parametrize('tools, name', [('ours', 'demo'),
                                         ('upstream', 'shrec21')])
def test_bmn_by_command(tools, name, root, tmp_path, request):
    """BMN trains and tests through our tools and through MMAction2's own."""
    data = (
        request.getfixturevalue('demo_root') if name == 'demo' else
        request.getfixturevalue('shared_data') / 'shrec21')
    env = dict(os.environ, OMP_NUM_THREADS='1')
    env[f'ACTIONDIFF_{name.upper()}'] = str(data)
    env['PYTHONPATH'] = os.pathsep.join([str(root), env.get('PYTHONPATH', '')])
    folder = root / 'tools' if tools == 'ours' else UPSTREAM
    config = str(root / 'configs' / 'baselines' / f'bmn_{name}.py')
    pipelines = [
        f'{loader}_dataloader.dataset.pipeline.2.length={STEPS}'
        for loader in ('train', 'val', 'test')
    ]
    options = [
        '--work-dir',
        str(tmp_path), '--cfg-options', f'model.temporal_dim={STEPS}',
        'train_cfg.max_iters=2', 'train_cfg.val_interval=2', *pipelines
    ]

    def run(script, *arguments):
        done = subprocess.run(
            [sys.executable, folder / script, config, *arguments, *options],
            env=env,
            capture_output=True,
            text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert 'proposal/AR@100' in run('train.py')
    output = run('test.py', str(tmp_path / 'iter_2.pth'))
    assert 'oracle/mAP@0.50' in output
