"""Small videos and small models for the tests of ``models/``."""
from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample

import mmaction_actiondiff  # noqa: F401

C, STREAMS = 3, (6, 6)
# Each branch with the loss that it is published with.
BRANCHES = dict(
    co2net=(dict(
        type='CrossModalBranch', embed_channels=16,
        attention_channels=8), dict(type='CO2NetLoss', mil_ratio=4)),
    mil=(dict(type='ConvBranch',
              embed_channels=16), dict(type='PresentClassLoss', mil_ratio=4)),
    wtalc=(dict(type='ConvBranch',
                embed_channels=16), dict(type='MILLoss', mil_ratio=4)),
    cola=(dict(type='CoLABranch', embed_channels=32), dict(type='CoLALoss')),
    acrnet=(dict(type='ACRBranch', num_heads=2,
                 attention_channels=8), dict(type='ACRLoss')),
    acrnet_mixed=(dict(
        type='ACRBranch', num_heads=2, attention_channels=8,
        mix_heads=True), dict(type='ACRLoss')),
    ddgnet=(dict(type='DDGBranch', embed_channels=16,
                 attention_channels=8), dict(type='DDGLoss')),
    delu=(dict(
        type='CrossModalBranch', embed_channels=16,
        attention_channels=8), dict(type='DELULoss', mil_ratio=4)))
SMALL = dict(
    condition=dict(condition_channels=8),
    diffusion_head=dict(denoiser=dict(channels=16), num_inference_steps=3))


@pytest.fixture(params=BRANCHES)
def branch(request) -> str:
    """The name of every method of ``models/wtal``, one after the other."""
    return request.param


@pytest.fixture
def build() -> Callable:
    """``build(branch, **parts)``: a small ActionDiff on that branch.

    ``type='WeakLocalizer'`` builds the branch alone. Weights do not depend on
    what was built or drawn before.
    """

    def build_model(branch: str = 'co2net', type: str = 'ActionDiff', **parts):
        network, base = copy.deepcopy(BRANCHES[branch])
        cfg: dict = dict(
            type=type,
            num_classes=C,
            stream_channels=STREAMS,
            base_branch=network,
            loss=base)
        if type == 'ActionDiff':
            cfg.update(copy.deepcopy(SMALL), loss=dict(base=base))
        for name, part in parts.items():
            known = cfg.get(name)
            if isinstance(known, dict) and isinstance(
                    part, dict) and 'type' not in part:
                part = dict(known, **part)
            cfg[name] = part
        torch.manual_seed(0)
        return MODELS.build(cfg).eval()

    return build_model


@pytest.fixture
def shake() -> Callable:
    """Move a model's weights, so that no answer is near its first guess."""

    def shake_weights(model):
        torch.manual_seed(5)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * .1)
        return model

    return shake_weights


@pytest.fixture
def videos() -> Callable:
    """``videos(lengths, labels)`` -> features (N, D, T) and data samples."""

    def make(lengths=(20, 31), labels=((0, ), (0, 2)), padding=0):
        torch.manual_seed(1)
        inputs = torch.zeros(
            len(lengths), sum(STREAMS),
            max(lengths) + padding)
        samples = []
        for i, (length, label) in enumerate(zip(lengths, labels)):
            inputs[i, :, :length] = torch.randn(sum(STREAMS), length)
            sample = ActionDataSample(
                metainfo=dict(
                    video_name=f'video_{i}',
                    num_snippets=length,
                    seconds_per_snippet=.5,
                    duration=length * .5))
            sample.set_gt_label(np.array(label, dtype=np.int64))
            samples.append(sample)
        return inputs, samples

    return make
