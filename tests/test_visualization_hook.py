"""Pictures at every validation, in the folder and in TensorBoard."""
from __future__ import annotations

import cv2
import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmaction_actiondiff.visualization_hook import DrawVideosHook

STEPS = (2, 4)


@pytest.fixture
def run(root, demo_root, tmp_path):
    """Trains the demo for 4 iterations with the hook; gives the runner."""
    cfg = Config.fromfile(root / 'configs/actiondiff_demo.py')
    cfg.merge_from_dict({
        'work_dir':
        str(tmp_path),
        'train_dataloader.dataset.data_root':
        str(demo_root),
        'train_dataloader.batch_size':
        6,
        'param_scheduler': [],  # the demo's is longer than this training
        'train_cfg.max_iters':
        STEPS[-1],
        'train_cfg.val_interval':
        STEPS[0],
        'val_dataloader.dataset.data_root':
        str(demo_root),
        'val_dataloader.dataset.indices':
        4,
        'test_dataloader':
        None,
        'test_evaluator':
        None,
        'test_cfg':
        None,
        'default_hooks.draw':
        dict(type='DrawVideosHook', num_videos=2)
    })

    def start(*backends: str) -> Runner:
        cfg.visualizer.vis_backends = [dict(type=name) for name in backends]
        runner = Runner.from_cfg(cfg)
        runner.train()
        return runner

    return start


def chosen_by(runner) -> list[str]:
    hook, = (h for h in runner.hooks if isinstance(h, DrawVideosHook))
    assert len(hook.chosen) == 2
    return sorted(hook.chosen)


@pytest.mark.slow
def test_the_same_videos_at_every_validation(run, tmp_path):
    runner = run('LocalVisBackend')
    pictures = sorted(tmp_path.glob('*/vis_data/vis_image/*.png'))
    assert [p.name for p in pictures] == [
        f'{v}_{step}.png' for v in chosen_by(runner) for step in STEPS
    ]
    assert cv2.imread(str(pictures[0])).std() > 5
    assert runner.model.dump_snippets is False


@pytest.mark.slow
def test_tensorboard_gets_them(run, tmp_path):
    events = pytest.importorskip(
        'tensorboard.backend.event_processing.event_accumulator')
    runner = run('LocalVisBackend', 'TensorboardVisBackend')
    log = events.EventAccumulator(str(next(tmp_path.glob('*/vis_data'))))
    log.Reload()
    videos = chosen_by(runner)
    assert sorted(log.Tags()['images']) == videos
    assert [e.step for e in log.Images(videos[0])] == list(STEPS)


def test_number_of_videos():
    with pytest.raises(ValueError, match='num_videos must be >= 1, got 0'):
        DrawVideosHook(0)
