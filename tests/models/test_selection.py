"""Choosing a checkpoint by the labels of held-out videos."""
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmaction.registry import DATASETS
from mmengine.config import Config
from mmengine.runner import Runner

from mmaction_actiondiff.models import WeakLocalizer
from mmaction_actiondiff.models.branch import Scores
from mmaction_actiondiff.selection import (LabelOnlyMetric, WarpStabilityHook,
                                           hold_out, warp_stability)


class Curve(WeakLocalizer):
    """Its class scores are a function of the features, (1, C, T)."""

    def __init__(self, curve):
        torch.nn.Module.__init__(self)
        self.curve = curve

    def localize(self, inputs, valid, video_names):
        score = self.curve(inputs)
        return Scores(score, score[:, :1], score.amax(-1)), None, {}


@pytest.mark.parametrize(
    'curve, low, high',
    [
        (lambda x: x, .99, 1.0001),  # moves with the video
        (lambda x: torch.linspace(0, 40, x.size(-1)).sin().expand_as(x), .9,
         1.0001),  # a shape of its own, the same at every length
        (lambda x: torch.arange(x.size(-1)).sin().expand_as(x), -.5,
         .5),  # depends on the clock
        (torch.zeros_like, 0, 0),
    ])
def test_stability(curve, low, high):
    x = torch.linspace(0, 9, 200).sin().expand(3, 200)
    found = warp_stability(Curve(curve), x, [0, 2], 'video')
    assert low <= found <= high


def sample(name, score, label, **more):
    return dict(
        video_name=name,
        pred_score=torch.tensor(score),
        gt_label=torch.tensor(label),
        **more)


def test_metric_counts_each_labelled_video_once():
    metric = LabelOnlyMetric()
    good = sample('a', [.9, .1, .2], [0], stability=1.)
    wrong = sample('b', [.8, .7, .3], [1], stability=.5)
    bare = sample('c', [.9, .9, .9], [])
    metric.process(None, [good, wrong])
    metric.process(None, [good, bare])
    found = metric.evaluate(4)
    assert sorted(found) == sorted(metric.names())
    assert found['label/video_AP'] == pytest.approx(100)
    assert found['label/stability'] == pytest.approx(75)
    assert found['label/selection'] == pytest.approx(100 * .75**5)
    metric.process(None, [bare])
    with pytest.raises(ValueError, match='none of the held-out videos'):
        metric.evaluate(1)


def demo(root, path='configs/actiondiff_demo.py', **options):
    cfg = Config.fromfile(root / path)
    cfg.merge_from_dict(options)
    return cfg


def test_held_out_videos_are_the_other_ones(root, demo_root):
    cfg = demo(root, data_root=str(demo_root))
    every = {
        x['video_name']
        for x in DATASETS.build(cfg.train_dataloader.dataset).load_data_list()
    }
    hold_out(cfg, 4)
    train, held = ({
        x['video_name']
        for x in DATASETS.build(part.dataset).load_data_list()
    } for part in (cfg.train_dataloader, cfg.val_dataloader))
    assert train | held == every and not train & held
    assert len(held) == len(every) // 4
    assert all(name.startswith('training') for name in held)


def test_what_cannot_hold_out(root):
    cfg = demo(root)
    hold_out(cfg, 1)
    with pytest.raises(ValueError, match='N >= 2, got 1'):
        DATASETS.build(cfg.train_dataloader.dataset)
    cfg = demo(root)
    cfg.train_dataloader.dataset.type = 'VideoDataset'
    with pytest.raises(ValueError, match='found VideoDataset'):
        hold_out(cfg, 5)
    runner = SimpleNamespace(model=torch.nn.Identity())
    with pytest.raises(ValueError, match='Identity has no scores of classes'):
        WarpStabilityHook().before_run(runner)


def test_too_few_videos(root, demo_root):
    cfg = demo(root, data_root=str(demo_root))
    hold_out(cfg, 10**6)
    with pytest.raises(ValueError, match='hold_out=1000000 leaves none'):
        DATASETS.build(cfg.train_dataloader.dataset).full_init()


@pytest.mark.parametrize(
    'path', ['configs/actiondiff_demo.py', 'configs/baselines/cola_demo.py'])
def test_segments_do_not_matter(root, demo_root, tmp_path, path):
    """The same choice and numbers when every segment is another one."""
    found = []
    for name, move in (('as_they_are', 0.), ('moved', 1.)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / 'features').symlink_to(demo_root / 'features')
        text = (demo_root / 'annotations.json').read_text()
        content = json.loads(text)
        for video in content['database'].values():
            for item in video['annotations']:
                item['segment'] = [
                    x * (1 - .5 * move) for x in item['segment']
                ]
        (folder / 'annotations.json').write_text(json.dumps(content))
        cfg = demo(
            root,
            path,
            work_dir=str(tmp_path / 'run'),
            log_level='ERROR',
            experiment_name=f'{name}_{tmp_path.name}')
        for part in ('train', 'val'):
            dataset = cfg[f'{part}_dataloader'].dataset
            dataset.update(type='WTALDataset', data_root=str(folder))
            dataset.pop('planted', None)
        hold_out(cfg, 5)
        cfg.train_cfg.update(max_iters=2, val_interval=1)
        cfg.param_scheduler = []
        cfg.default_hooks.checkpoint.interval = 2
        cfg.test_cfg = cfg.test_dataloader = cfg.test_evaluator = None
        runner = Runner.from_cfg(cfg)
        runner.train()
        scores = runner.val()
        assert list((tmp_path / 'run').glob('best_label_selection_iter_*.pth'))
        assert all(map(math.isfinite, scores.values()))
        found.append(scores)
    assert found[0] == found[1]
    assert np.isclose(
        found[0]['label/selection'], found[0]['label/video_AP'] *
        max(0, found[0]['label/stability'] / 100)**5)
