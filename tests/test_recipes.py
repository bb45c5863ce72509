"""The recipes of docs/architecture.md are followed word for word."""
from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample

from mmaction_actiondiff.models.objective import WTALLoss

PAGE = Path(__file__).parents[1] / 'docs' / 'architecture.md'


@pytest.fixture(scope='module')
def recipe() -> dict:
    """What the page's Python blocks define, run one after the other."""
    blocks = re.findall(r'```python\n(.*?)```', PAGE.read_text('utf-8'), re.S)
    scope: dict = {}
    for block in blocks:
        exec(block, scope)
    yield scope
    MODELS.module_dict.pop('LinearBranch')


def samples(num_videos: int, length: int) -> list[ActionDataSample]:
    found = []
    for i in range(num_videos):
        sample = ActionDataSample(
            metainfo=dict(
                video_name=f'v{i}',
                num_snippets=length - i,
                duration=float(length - i),
                seconds_per_snippet=1.))
        found.append(sample.set_gt_label(i))
    return found


def test_branch_and_loss(recipe):
    model = MODELS.build({**recipe['model'], 'stream_channels': [3, 3]})
    inputs = torch.randn(2, 6, 20)
    losses = model(inputs, samples(2, 20), mode='loss')
    assert {'loss_mil', 'loss_diffusion', 'loss_mil_fused'} <= losses.keys()
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    assert model.base_branch.classifier.weight.grad.abs().sum() > 0

    model.eval()
    for sample in model(inputs, samples(2, 20), mode='predict'):
        assert sample.pred_instances.segments.shape[1] == 2


def test_a_term_that_nothing_would_add_up_is_refused():

    class Mine(WTALLoss):

        def classify(self, output, label, valid):
            return dict(mine=output.cas.mean())

    branch = MODELS.build(dict(type='ConvBranch', num_classes=2))
    valid = torch.ones(1, 1, 9, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"starts with \"loss_\", got ..mine"):
        Mine()(branch(torch.randn(1, 2048, 9), valid), torch.ones(1, 2), valid)


def test_page_names_files_that_exist():
    root = PAGE.parents[1]
    for name in re.findall(r'`((?:\w+/)+[a-z0-9_{},]+\.py)`',
                           PAGE.read_text('utf-8')):
        if '{' in name:
            head, names, tail = re.split(r'[{}]', name)
            paths = [head + x + tail for x in names.split(',')]
        else:
            paths = [name]
        for path in paths:
            assert (root / path).exists() or (root / 'mmaction_actiondiff' /
                                              path).exists(), path
