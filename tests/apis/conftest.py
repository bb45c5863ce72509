"""A small localizer with random weights, in a checkpoint as training leaves
it."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

CLASSES = ('jump', 'run', 'sit --> <b>')
CHANNELS = 6


def small_config(root, num_classes=len(CLASSES)) -> Config:
    cfg = Config.fromfile(root / 'configs/actiondiff_demo.py')
    cfg.model.update(num_classes=num_classes, stream_channels=[3, 3])
    cfg.model.base_branch.update(embed_channels=8)
    cfg.model.condition.update(condition_channels=4)
    cfg.model.video_score_thr = 0.
    return cfg


@pytest.fixture(scope='session')
def localizer(root, tmp_path_factory):
    """The folder of a run with a checkpoint and nothing else."""
    init_default_scope('mmaction')
    torch.manual_seed(0)
    cfg = small_config(root)
    folder = tmp_path_factory.mktemp('run')
    torch.save(
        dict(
            meta=dict(
                cfg=cfg.pretty_text,
                dataset_meta=dict(
                    classes=CLASSES,
                    seconds_per_snippet=0.5,
                    snippet_offset=0.)),
            state_dict=MODELS.build(cfg.model).state_dict()),
        folder / 'iter_3.pth')
    return folder


@pytest.fixture(scope='session')
def features(tmp_path_factory):
    """Feature files of different lengths."""
    folder = tmp_path_factory.mktemp('features')
    for name, length in dict(a=30, b=17, c=64).items():
        rng = np.random.default_rng(length)
        np.save(folder / f'{name}.npy',
                rng.standard_normal((length, CHANNELS)).astype(np.float32))
    return folder
