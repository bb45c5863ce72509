"""The exported program computes what the model computes."""
from __future__ import annotations

import json
import re
import runpy
import sys

import numpy as np
import pytest
import torch

from mmaction_actiondiff.apis import ActionDiffInferencer
from mmaction_actiondiff.export import NetworkPart, export_network

from .conftest import CHANNELS, CLASSES

LENGTH = 60


def load_network(path):
    """As docs/inference.md says."""
    facts = {'actiondiff.json': ''}
    program = torch.export.load(path, extra_files=facts)
    return program.module(), json.loads(facts['actiondiff.json'])


@pytest.fixture(scope='module')
def model(localizer):
    return ActionDiffInferencer(
        localizer, device='cpu', show_progress=False).model


@pytest.fixture(scope='module')
def exported(localizer, root, tmp_path_factory):
    """What the tool writes."""
    path = tmp_path_factory.mktemp('export') / 'model.pt2'
    with pytest.MonkeyPatch.context() as patch:
        words = 'export.py', localizer, path, '--num-snippets', LENGTH
        patch.setattr(sys, 'argv', [*map(str, words)])
        runpy.run_path(str(root / 'tools/export.py'), run_name='__main__')
    return path


@pytest.fixture(scope='module')
def program(exported):
    return load_network(exported)


def test_example_of_the_page(exported, root, tmp_path):
    text = (root / 'docs/inference.md').read_text('utf-8')
    code = re.findall(r'^```python\n(.*?)^```$', text, re.S | re.M)[1]
    np.save(tmp_path / 'x.npy', np.ones((41, CHANNELS), np.float32))
    names: dict = {}
    for old, new in (('data/demo/features/test_0001.npy', tmp_path / 'x.npy'),
                     ('model.pt2', exported)):
        code = code.replace(old, str(new))
    exec(code, names)
    assert names['scores']['class_score'].shape == (1, len(CLASSES), LENGTH)


@pytest.mark.parametrize('length', [LENGTH, 41])
def test_same_as_eager(model, program, length):
    network, facts = program
    assert facts['classes'] == list(CLASSES) and facts['needs_noise']
    assert facts['num_snippets'] == LENGTH
    features = torch.randn(1, CHANNELS, length)
    noise = torch.randn(1, len(CLASSES), length)

    def padded(x):
        filled = torch.full((*x.shape[:2], LENGTH), 7.)
        filled[..., :length] = x
        return filled

    valid = torch.arange(LENGTH).view(1, 1, -1) < length
    found = network(padded(features), valid, padded(noise))
    expected = model.single_pass(features, valid[..., :length], noise)
    for name in ('class_score', 'attention', 'video_score'):
        value = found[name]
        if name != 'video_score':
            value = value[..., :length]
        torch.testing.assert_close(value, getattr(expected, name))


def test_noise_matters(program):
    network, _ = program
    inputs = torch.randn(1, CHANNELS, LENGTH)
    valid = torch.ones(1, 1, LENGTH, dtype=torch.bool)
    one, other = (
        network(inputs, valid, torch.randn(1, len(CLASSES), LENGTH))
        for _ in range(2))
    assert not torch.equal(one['class_score'], other['class_score'])


def test_a_baseline_needs_no_noise(root, tmp_path):
    from mmaction.registry import MODELS
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    init_default_scope('mmaction')
    cfg = Config.fromfile(root / 'configs/baselines/cola_demo.py')
    model = MODELS.build(cfg.model).eval()
    export_network(model, tmp_path / 'cola.pt2', 50)
    network, facts = load_network(tmp_path / 'cola.pt2')
    assert not facts['needs_noise']
    inputs = torch.randn(1, sum(facts['stream_channels']), 50)
    valid = torch.ones(1, 1, 50, dtype=torch.bool)
    expected = NetworkPart(model)(inputs, valid)
    for name, value in network(inputs, valid).items():
        torch.testing.assert_close(value, expected[name])


def test_bad_arguments(model):
    with pytest.raises(ValueError, match='ends in .pt2'):
        export_network(model, 'x.onnx', 5)
    with pytest.raises(ValueError, match='num_snippets must be >= 1, got 0'):
        export_network(model, 'x.pt2', 0)
