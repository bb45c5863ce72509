# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""What is known of the published data sets, and of one's own."""
from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmaction_actiondiff.annotations import Annotations, read_annotations
from mmaction_actiondiff.safe_npy import open_feature
from mmaction_actiondiff.snippets import SnippetGrid

from .report import DataSet

THUMOS14 = DataSet(
    name='THUMOS14',
    # trained on what the challenge calls the validation videos
    subsets=dict(training='training', validation='training', test='test'),
    num_classes=20,
    expected=dict(training=[(200, 3007)], test=[(212, 3358), (210, 3311)]),
    exact=True)

# by number of classes: version, training videos, validation videos
_VERSIONS = {100: ('v1.2', 4819, 2383), 200: ('v1.3', 10024, 4926)}


def activitynet(annotations: Annotations) -> DataSet:
    """ActivityNet; the version is told by the number of classes.

    Raises:
        ValueError: If it is neither 100 nor 200.
    """
    num_classes = len(annotations.classes)
    if num_classes not in _VERSIONS:
        raise ValueError(
            f'{annotations.path}: expected the 100 classes of v1.2 or the '
            f'200 of v1.3, found {num_classes}; prepare a part of the data '
            'set with custom.py')
    version, training, validation = _VERSIONS[num_classes]
    return DataSet(
        name=f'ActivityNet {version}',
        subsets=dict(
            training='training', validation='validation', test='testing'),
        num_classes=num_classes,
        expected=dict(
            training=[(training, None)], validation=[(validation, None)]))


def add_subsets(annotations: Annotations, validation: Path | None,
                subset_of: Path | None) -> None:
    """Completes MMAction2's ``anet_anno`` files, which have no subsets: with
    those of the validation videos, or with annotations that name the subsets.

    Raises:
        ValueError: If there are no subsets, or a video is in both files.
    """
    videos = annotations.videos
    if validation:
        added = read_annotations(validation)
        both = sorted(set(videos) & set(added.videos))
        if both:
            raise ValueError(f'{both[0]} is in {annotations.path} and in '
                             f'{validation}')
        for video in videos.values():
            video.subset = 'training'
        for name, video in added.videos.items():
            video.subset = 'validation'
            videos[name] = video
        annotations.classes = tuple(
            sorted({*annotations.classes, *added.classes}))
    elif subset_of:
        subsets = read_annotations(subset_of).videos
        for name, video in videos.items():
            video.subset = subsets[name].subset if name in subsets else ''
    elif not any(video.subset for video in videos.values()):
        raise ValueError(
            f'{annotations.path} does not say which videos are for training: '
            'give --val-annotations (anet_anno_val.json beside '
            'anet_anno_train.json) or --subset-of (an official json or a '
            '*-Annotations folder)')


def custom(annotations: Annotations, options: Mapping[str, Any]) -> DataSet:
    """One's own data set, with the grid of the options (keys of
    :meth:`SnippetGrid.read`), else of the annotations.

    Raises:
        ValueError: If both name a grid, and not the same.
    """
    given = SnippetGrid.read(options)
    if given and annotations.grid and not given.agrees(annotations.grid):
        raise ValueError(f'{annotations.path} says {annotations.grid}, the '
                         f'options {given}; correct one of them')
    grid = given or annotations.grid
    return DataSet(
        name='custom',
        grid=grid or SnippetGrid(16 / 25),
        grid_known=grid is not None,
        channels=None)


def train_command(root: Path, home: Path) -> str:
    """The command that trains on a prepared data root of one's own, with the
    ``tools`` and ``configs`` of the folder ``home``."""
    annotations = read_annotations(root / 'annotations.json')
    name = next(iter(annotations.videos))
    channels = annotations.stream_channels or [
        open_feature(root / 'features' / f'{name}.npy').shape[1]
    ]
    options = [
        f'data_root={root}', f'num_classes={len(annotations.classes)}',
        'stream_channels=[{}]'.format(','.join(map(str, channels)))
    ]
    videos = annotations.videos.values()
    subsets = {video.subset for video in videos}
    # without others, proposals are made of the training videos
    test = next((s for s in ('test', 'validation') if s in subsets),
                'training')
    if test == 'training' or not any(
            len(v.segments) for v in videos if v.subset == test):
        options += [
            'val_dataloader=None', 'val_evaluator=None', 'val_cfg=None',
            'default_hooks.checkpoint.save_best=None'
        ]
    elif test == 'validation':
        options.append('val_dataloader.dataset.subset=validation')
    if test != 'test':
        options.append(f'test_dataloader.dataset.subset={test}')
    files = home / 'tools/train.py', home / 'configs/actiondiff_custom.py'
    return shlex.join(['python', *map(str, files), '--cfg-options', *options])
