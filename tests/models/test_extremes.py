"""Losses, gradients and predictions of extreme batches are finite.

More of them, shared out over methods and precisions:

    ACTIONDIFF_EXTREME_BATCHES=10000 \\
        python -m pytest tests/models/test_extremes.py
"""
from __future__ import annotations

import math
import os

import numpy as np
import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.structures import InstanceData

STREAMS = (6, 6)
METHODS = [('co2net', 'SupervisedLocalizer'), ('mil', 'SupervisedLocalizer'),
           ('co2net', 'control'), ('mil', 'control')
           ] + [(branch, kind)
                for branch in ('co2net', 'mil', 'wtalc', 'cola', 'acrnet',
                               'acrnet_mixed', 'ddgnet', 'delu')
                for kind in ('WeakLocalizer', 'ActionDiff')]
PRECISIONS = (torch.float32, torch.bfloat16)
BATCHES = math.ceil(
    int(os.environ.get('ACTIONDIFF_EXTREME_BATCHES', '200')) /
    (len(METHODS) * len(PRECISIONS)))
# The largest value of a float16 feature file is 65504.
SCALES = (0., 1e-30, 1e-6, 1., 30., 1e3, 65504.)


def features(rng, length) -> torch.Tensor:
    """(D, T): noise, one value, or single peaks."""
    shape = (sum(STREAMS), length)
    kind = rng.integers(4)
    value = rng.standard_normal(shape)
    if kind == 1:
        value = np.abs(value)
    elif kind == 2:
        value = np.full(shape, rng.choice([-1., 1.]))
    elif kind == 3:
        value = np.where(rng.random(shape) < .1, value, 0)
    return torch.tensor(value * rng.choice(SCALES), dtype=torch.float32)


def batch(rng, num_classes) -> tuple[torch.Tensor, list[ActionDataSample]]:
    """2 or 4 videos of mostly 1 to 3 snippets, with none to all labels."""
    number = int(rng.choice([2, 4]))
    lengths = rng.choice([1, 2, 3, 17], number, p=[.3, .3, .3, .1])
    inputs = torch.zeros(number, sum(STREAMS), max(lengths))
    samples = []
    for i, length in enumerate(lengths.tolist()):
        inputs[i, :, :length] = features(rng, length)
        labels = rng.choice(
            num_classes, rng.choice([0, 1, num_classes]), replace=False)
        # one of no length, and one that goes beyond the end
        times = np.sort(rng.choice([0., .5, 3., 99.], (len(labels), 2)))
        sample = ActionDataSample(
            metainfo=dict(
                video_name=f'video_{i}',
                num_snippets=length,
                seconds_per_snippet=.5,
                duration=length * .5,
                ambiguous=times[:rng.integers(2)]))
        sample.set_gt_label(labels.astype(np.int64))
        sample.gt_instances = InstanceData(segments=times, labels=labels)
        samples.append(sample)
    return inputs, samples


def make(build, branch, kind, num_classes):
    parts = dict(num_classes=num_classes)
    if kind == 'SupervisedLocalizer':
        parts.update(loss=dict(type='SnippetSupervisionLoss'))
    if kind == 'control':
        kind = 'ActionDiff'
        parts.update(
            diffusion_head=dict(
                type='SelfTrainingHead', denoiser=dict(channels=16)))
    return build(branch, type=kind, **parts)


@pytest.mark.parametrize('precision', PRECISIONS, ids=str)
@pytest.mark.parametrize('method', METHODS, ids='-'.join)
def test_all_is_finite(build, method, precision):
    for seed in range(BATCHES):
        rng = np.random.default_rng(seed)
        num_classes = int(rng.choice([1, 2, 200], p=[.4, .4, .2]))
        model = make(build, *method, num_classes).train()
        torch.manual_seed(seed)
        spread = rng.choice([0., .1, 1.])
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(spread * torch.randn_like(parameter))
        model.begin_iteration(int(rng.choice([0, 15, 20, 99])), 100)
        inputs, samples = batch(rng, num_classes)
        with torch.autocast(
                'cpu', torch.bfloat16, enabled=precision != torch.float32):
            losses = model(inputs, samples, mode='loss')
            sum(v for k, v in losses.items() if 'loss' in k).backward()
            found = model.eval()(inputs, samples, mode='predict')
        wrong = [k for k, v in losses.items() if not v.isfinite().all()] + [
            k for k, p in model.named_parameters()
            if p.grad is not None and not p.grad.isfinite().all()
        ] + [
            key for sample in found
            for key, value in (*sample.pred_instances.items(),
                               ('pred_score', sample.pred_score))
            if not value.isfinite().all()
        ]
        assert not wrong, f'seed {seed}, {num_classes} classes: {wrong}'
