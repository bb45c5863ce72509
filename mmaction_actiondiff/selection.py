# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Choosing iterations and settings without a single segment.

Some training videos are held out, and their labels alone say how good a model
is: ``tools/train.py --hold-out N``. What the criteria are worth, measured
against the mAP, stands in ``docs/benchmark/experiments.md``.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmaction.evaluation.functional import mean_average_precision
from mmaction.registry import DATASETS, HOOKS, METRICS
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from torch import Tensor

from .datasets import WTALDataset
from .hooks import network
from .models.localizer import WeakLocalizer

SPEEDS = (0.8, 1.25)
# Between models the stability differs by a few hundredths, the video AP by
# tenths: this power lets both have a say.
STABILITY_POWER = 5


@torch.no_grad()
def warp_stability(model: WeakLocalizer, inputs: Tensor, labels: Sequence[int],
                   name: str) -> float:
    """Whether a video's scores stay when it is played slower and faster.

    The mean, over the classes of the video and :data:`SPEEDS`, of the
    correlation in time between the class scores and those of the video
    interpolated to another length; in [-1, 1]. A curve that is constant
    correlates with nothing.

    Args:
        inputs (Tensor): Features (D, T), without padding.
        labels (Sequence[int]): Class indices of the video, not empty.
        name (str): Of the video; decides the noise of a sampler.
    """

    def curves(x: Tensor) -> Tensor:
        valid = x.new_ones(1, 1, x.size(-1), dtype=torch.bool)
        return model.localize(x, valid, [name])[0].class_score[:, labels]

    inputs = inputs.float()[None]
    length = inputs.size(-1)
    normal = curves(inputs)
    found = []
    for speed in SPEEDS:
        warped = F.interpolate(
            inputs, max(1, round(length / speed)), mode='linear')
        again = F.interpolate(curves(warped), length, mode='linear')
        found.append(
            F.cosine_similarity(normal - normal.mean(-1, keepdim=True),
                                again - again.mean(-1, keepdim=True), -1))
    return float(torch.stack(found).mean())


@HOOKS.register_module()
class WarpStabilityHook(Hook):
    """Gives the data samples of a validation their :func:`warp_stability`."""

    def before_run(self, runner) -> None:
        """Refuses localizers of MMAction2, which have no class scores."""
        if not isinstance(network(runner), WeakLocalizer):
            raise ValueError(
                f'{type(network(runner)).__name__} has no scores of classes '
                'in time that could be compared: --hold-out is for the '
                'weakly supervised localizers')

    def before_val_iter(self,
                        runner,
                        batch_idx: int,
                        data_batch: Any = None) -> None:
        """Runs the localizer on every video that has a label."""
        model = network(runner)
        inputs = model.data_preprocessor(data_batch, False)['inputs']
        for x, sample in zip(inputs, data_batch['data_samples']):
            if labels := sample.gt_label.tolist():
                own = x[:, :sample.num_snippets]
                sample.set_metainfo(
                    dict(
                        stability=warp_stability(model, own, labels,
                                                 sample.video_name)))


@METRICS.register_module()
class LabelOnlyMetric(BaseMetric):
    """How good a localizer is, by video-level labels.

    - ``label/video_AP``: mean average precision of the video scores, over the
      classes that some video has, in percent;
    - ``label/stability``: mean of :func:`warp_stability`, in percent;
    - ``label/selection``: what a checkpoint is chosen by,
      ``video_AP * max(0, stability) ** 5``, in percent.

    Needs :class:`WarpStabilityHook`, and ``pred_score``, ``gt_label`` and
    ``video_name`` of each sample. Videos without a label count for nothing.
    """
    default_prefix = 'label'

    def names(self) -> list[str]:
        """Keys that the evaluator will give, prefix included."""
        keys = 'video_AP', 'stability', 'selection'
        return [f'{self.prefix}/{key}' for key in keys]

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps the scores of a batch."""
        for sample in data_samples:
            if 'stability' not in sample:
                continue
            score = sample['pred_score'].cpu().numpy()
            label = np.zeros(len(score), np.int64)
            label[sample['gt_label'].cpu().numpy()] = 1
            self.results.append(
                (sample['video_name'], score, label, sample['stability']))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Over the videos of all ranks, each once."""
        rows = {row[0]: row[1:] for row in results}
        if not rows:
            raise ValueError('none of the held-out videos has a label, or '
                             'WarpStabilityHook is not among the hooks')
        scores, labels, stability = zip(*(rows[name] for name in sorted(rows)))
        occurs = np.stack(labels).any(0)
        video = float(
            mean_average_precision([s[occurs] for s in scores],
                                   [x[occurs] for x in labels]))
        stable = float(np.mean(stability))
        return dict(
            video_AP=100 * video,
            stability=100 * stable,
            selection=100 * video * max(0., stable)**STABILITY_POWER)


def hold_out(cfg: Config, every: int) -> None:
    """Make a config validate on one training video of N, ``every``, by its
    labels; ``cfg`` is changed in place.

    Raises:
        ValueError: For a config without validation, or with another data set
            than WTALDataset.
    """
    dataset = cfg.train_dataloader.dataset
    kind = DATASETS.get(dataset['type'])
    if not (isinstance(kind, type) and issubclass(kind, WTALDataset)
            and cfg.get('val_dataloader')):
        raise ValueError('--hold-out needs a config with a validation (leave '
                         'out val_dataloader=None and val_cfg=None), and '
                         'with train_dataloader.dataset of type WTALDataset, '
                         f'found {dataset["type"]}')
    dataset.hold_out = every
    cfg.val_dataloader.dataset = dict(
        dataset, pipeline=cfg.val_dataloader.dataset.pipeline, test_mode=True)
    cfg.val_evaluator = dict(type='LabelOnlyMetric')
    cfg.custom_hooks = [
        *cfg.get('custom_hooks', []),
        dict(type='WarpStabilityHook')
    ]
    cfg.default_hooks.checkpoint.save_best = 'label/selection'
