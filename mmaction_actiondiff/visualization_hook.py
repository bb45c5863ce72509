# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Pictures of a few videos at every validation."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmaction.registry import HOOKS
from mmengine.hooks import Hook

from .hooks import network
from .visualization import draw_video, file_name, to_image


@HOOKS.register_module()
class DrawVideosHook(Hook):
    """Draws the same few videos at every validation.

    The pictures go through the runner's visualizer, hence to its every
    backend: into the folder of the run (``LocalVisBackend``), to TensorBoard,
    W&B or MLflow. In a distributed run, videos of the first rank are drawn.
    Models without ``dump_snippets`` (BMN, BSN, TCANet) are left alone.

    Args:
        num_videos (int): How many, spread evenly over the names. Defaults to
            3.

    Raises:
        ValueError: If ``num_videos < 1``.
    """

    def __init__(self, num_videos: int = 3) -> None:
        if num_videos < 1:
            raise ValueError(f'num_videos must be >= 1, got {num_videos}')
        self.num_videos = num_videos
        self.chosen: set[str] = set()
        self.dumped = False

    def before_val(self, runner) -> None:
        model = network(runner)
        if not hasattr(model, 'dump_snippets'):
            return
        if not self.chosen:
            dataset = runner.val_dataloader.dataset
            names = sorted(
                dataset.get_data_info(i)['video_name']
                for i in range(len(dataset)))
            places = np.linspace(0, len(names) - 1, self.num_videos)
            self.chosen = {names[int(place)] for place in places}
        self.dumped, model.dump_snippets = model.dump_snippets, True

    def after_val_iter(self,
                       runner,
                       batch_idx: int,
                       data_batch: Any = None,
                       outputs: Sequence | None = None) -> None:
        for sample in outputs or ():
            if sample.get('video_name') in self.chosen:
                classes = runner.val_dataloader.dataset.metainfo['classes']
                runner.visualizer.add_image(
                    file_name(sample.video_name),
                    to_image(draw_video(sample.to_dict(), classes)),
                    step=runner.iter)

    def after_val(self, runner) -> None:
        model = network(runner)
        if hasattr(model, 'dump_snippets'):
            model.dump_snippets = self.dumped
