"""Full supervision: what the segments say of each snippet."""
from __future__ import annotations

from math import log

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.structures import InstanceData

from mmaction_actiondiff.datasets.transforms import (PackWTALInputs,
                                                     SampleSnippets)
from mmaction_actiondiff.models import BranchOutput
from mmaction_actiondiff.models import supervised as S


def row(*values):
    return torch.tensor([[values]], dtype=torch.float32)


def data_sample(segments, labels, length, unit=1., ambiguous=()):
    sample = ActionDataSample(
        metainfo=dict(
            video_name='v',
            duration=length * unit,
            seconds_per_snippet=unit,
            num_snippets=length,
            ambiguous=np.array(ambiguous, float).reshape(-1, 2)))
    sample.set_gt_label(sorted(set(labels)))
    sample.gt_instances = InstanceData(
        segments=np.array(segments, float).reshape(-1, 2),
        labels=np.array(labels, int))
    return sample


def localizer(**branch):
    return MODELS.build(
        dict(
            type='SupervisedLocalizer',
            num_classes=2,
            stream_channels=(3, 3),
            base_branch=dict(type='CrossModalBranch', **branch),
            loss=dict(type='SnippetSupervisionLoss'),
            video_score_thr=0.05))


@pytest.fixture
def small():
    return localizer(embed_channels=8, attention_channels=4)


def test_coverage():
    # snippets last 2 s: [1, 5) covers half of the first, all of the second
    share = S.coverage([[1., 5.], [4., 4.5]], 2., 4)
    assert share.tolist() == [[.5, 1, .5, 0], [0, 0, .25, 0]]
    assert S.coverage([], 2., 4).shape == (0, 4)
    assert S.coverage(np.array([[-3., 99.]]), 2., 2).tolist() == [[1, 1]]
    # the first snippet starts at half a second: it covers [.5, 2.5)
    assert S.coverage([[1., 3.]], 2., 2, offset=.5).tolist() == [[.75, .25]]


def test_targets(small):
    samples = [
        data_sample([[1, 3], [2, 4], [.5, 1]], [0, 1, 0], 5),
        data_sample([], [], 3, ambiguous=[[1.5, 2]])
    ]
    valid = torch.arange(5) < torch.tensor([[[5]], [[3]]])
    target = small.snippet_targets(samples, valid)
    assert target.share[0].tolist() == [[.5, 1, 1, 0, 0], [0, 0, 1, 1, 0]]
    assert target.action[0].tolist() == [[.5, 1, 1, 1, 0]]
    assert not target.share[1].any()
    assert target.trusted[:, 0].tolist() == [[1, 1, 1, 1, 1], [1, 0, 1, 0, 0]]
    # two segments of one class over one snippet count once
    twice = data_sample([[0, 2], [1, 2]], [0, 0], 2)
    both = small.snippet_targets([twice], valid[:1, :, :2])
    assert both.share[0, 0].tolist() == [1, 1]


@pytest.mark.parametrize('mode, length', [('crop', 40), ('uniform', 40),
                                          ('stretch', 200)])
def test_targets_follow_the_sampled_snippets(small, mode, length):
    truth = np.zeros(100)
    truth[[*range(20, 50), *range(80, 90)]] = 1
    results = dict(
        video_name='v',
        feature_path='v.npy',
        feature=np.repeat(truth[:, None], 6, 1).astype(np.float32),
        duration=50.,
        seconds_per_snippet=.5,
        snippet_offset=0.,
        labels=[1],
        segments=np.array([[10., 25.], [40., 45.]]),
        segment_labels=np.array([1, 1]),
        ambiguous=np.zeros((0, 2)))
    for draw in range(5):
        packed = PackWTALInputs()(
            SampleSnippets(length, mode)(dict(results, draw=draw)))
        inputs = packed['inputs'].unsqueeze(0)
        target = small.snippet_targets([packed['data_samples']],
                                       torch.ones_like(inputs[:, :1]).bool())
        sure = (target.share[0, 1] == 0) | (target.share[0, 1] == 1)
        assert sure.float().mean() > .85
        assert torch.equal(target.share[0, 1][sure], inputs[0, 0][sure])


def test_snippet_loss_by_hand():
    cas = torch.tensor([[[log(2.), 0.], [0., 0.], [0., 0.]]])
    share = torch.tensor([[[1., .5], [1., 0.]]])
    trusted = torch.ones(1, 1, 2).bool()
    target = S.SnippetTarget(share, row(1, .5), trusted)
    # snippet 0: the two classes share; probabilities 1/2, 1/4, 1/4
    first = (log(2) + log(4)) / 2
    # snippet 1: half of class 0, half background, all at 1/3
    loss = S.snippet_loss(cas, target)
    assert loss.item() == pytest.approx((first + log(3)) / 2)
    trusted[..., 1] = False
    assert S.snippet_loss(cas, target).item() == pytest.approx(first)


def test_attention_loss_by_hand():
    attention = torch.tensor([[[.9, 1.], [.5, 0.]]])
    trusted = torch.tensor([[[True, False]]])
    target = S.SnippetTarget(row(1, 0), row(1, 0), trusted)
    loss = S.attention_loss(attention, target)
    assert loss.item() == pytest.approx(-(log(.9) + log(.5)) / 2)


def test_perfect_scores_cost_nothing():
    mask = torch.tensor([[[1., 0., 0., 0.], [0., 0., 1., 0.]]])
    agnostic = mask.amax(1, keepdim=True)
    cas = 50 * torch.cat([mask, 1 - agnostic], 1)
    branch = BranchOutput(cas, cas, agnostic, (agnostic, agnostic))
    valid = torch.ones(1, 1, 4).bool()
    target = S.SnippetTarget(mask, agnostic, valid)
    loss = S.SnippetSupervisionLoss()
    # both classes pool the logit 50: each is the video's by one half
    losses = loss(branch, torch.ones(1, 2), valid, target)
    assert losses['loss_classification'] < 1e-6
    assert losses['loss_attention'] < 1e-6
    assert losses['loss_mil_suppressed'].item() == pytest.approx(log(2))


def test_padding_changes_nothing(small):
    small.eval()
    inputs = torch.randn(1, 6, 7)
    sample = data_sample([[1, 3]], [1], 7)
    padded = torch.nn.functional.pad(inputs, (0, 9), value=7.)
    short, long = (small(x, [sample], mode='loss') for x in (inputs, padded))
    torch.testing.assert_close(short, long)


def test_it_learns_where_the_actions_are():
    model = localizer(embed_channels=16, attention_channels=8, dropout=0.)
    truth = torch.zeros(1, 2, 30)
    truth[0, 0, 5:12] = truth[0, 1, 20:26] = 1
    inputs = torch.cat([truth, torch.randn(1, 4, 30)], 1)
    sample = data_sample([[5, 12], [20, 26]], [0, 1], 30)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(100):
        loss = sum(model(inputs, [sample], mode='loss').values())
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in model.parameters())
        optimizer.step()
    model.eval()
    found = model(inputs, [sample], mode='predict')[0].pred_instances
    for label, segment in enumerate([[5., 12.], [20., 26.]]):
        best = found.segments[found.labels == label][0].tolist()
        assert best == pytest.approx(segment, abs=1)


@pytest.mark.parametrize('length', [1, 2])
def test_degenerate_videos(small, length):
    samples = [
        data_sample([], [], length),
        data_sample([[0, 0], [0, 99]], [0, 1], length, ambiguous=[[0, 99]])
    ]
    losses = small(torch.zeros(2, 6, length), samples, mode='loss')
    sum(losses.values()).backward()
    assert all(x.isfinite() for x in losses.values())
    assert all(p.grad.isfinite().all() for p in small.parameters())
