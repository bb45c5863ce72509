"""What MMAction2's localizers are given, next to MMAction2's own pipeline."""
from __future__ import annotations

import mmaction.datasets  # noqa: F401  (its transforms)
import numpy as np
import pytest
import torch
from mmaction.registry import TRANSFORMS
from mmengine.dataset import Compose

from mmaction_actiondiff.datasets import (LoadLocalizerProposals,
                                          LoadSnippetFeature, LocalizerRecord,
                                          ResizeLocalizerFeature)
from mmaction_actiondiff.dumps import save_dump

STEPS, CHANNELS, UNIT = 20, 6, 0.5
META = ('video_name', 'duration_second', 'duration_frame', 'feature_frame',
        'annotations')


def resize(feature, length):
    return ResizeLocalizerFeature(length)(dict(
        feature=feature, feature_path='x.npy'))['raw_feature']


def record(path, num_snippets):
    return dict(
        video_name='v_a',
        feature_path=str(path),
        duration=num_snippets * UNIT + 0.2,
        seconds_per_snippet=UNIT,
        labels=[0, 2],
        segments=np.array([[1., 3.], [4., 20.]]),
        segment_labels=np.array([2, 0]),
        ambiguous=np.zeros((0, 2)))


@pytest.mark.parametrize('num_snippets', [1, 7, 19, 20])
def test_resize_up_is_linear_interpolation(num_snippets):
    feature = np.random.default_rng(0).normal(size=(num_snippets, CHANNELS))
    expected = torch.nn.functional.interpolate(
        torch.tensor(feature.T[None]), STEPS, mode='linear')[0]
    found = resize(feature, STEPS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_resize_down_averages():
    feature = np.arange(12, dtype=np.float16).reshape(6, 2)
    np.testing.assert_allclose(
        resize(feature, 3), [[1, 5, 9], [2, 6, 10]], atol=1e-6)
    # 7 snippets in 3 steps: 9 points 7/9 apart, the first at -1/9, clipped
    ramp = resize(np.arange(7.)[:, None], 3)
    place = np.clip((np.arange(9) + 0.5) * 7 / 9 - 0.5, 0, 6)
    np.testing.assert_allclose(ramp[0], place.reshape(3, 3).mean(1), atol=1e-6)


def test_resize_refuses():
    with pytest.raises(ValueError, match='length must be >= 1, got 0'):
        ResizeLocalizerFeature(0)
    feature = np.zeros((4, 2))
    feature[2, 1] = np.nan
    with pytest.raises(ValueError, match='bad.npy: 1 of 8 .* snippet 2 '):
        ResizeLocalizerFeature(3)(
            dict(feature=feature, feature_path='bad.npy'))


def test_same_sample_as_upstream_pipeline(tmp_path):
    """A csv of the resized feature through MMAction2's loading gives the
    same inputs, boxes and metainfo."""
    feature = np.random.default_rng(0).normal(size=(STEPS, CHANNELS))
    feature = feature.astype(np.float32)
    np.save(tmp_path / 'v_a.npy', feature)
    last = [
        dict(type='GenerateLocalizationLabels'),
        dict(
            type='PackLocalizationInputs', keys=('gt_bbox', ), meta_keys=META)
    ]
    ours = Compose([
        LoadSnippetFeature(CHANNELS),
        LocalizerRecord(),
        ResizeLocalizerFeature(STEPS),
        *(TRANSFORMS.build(step) for step in last)
    ])(
        record(tmp_path / 'v_a.npy', STEPS))

    np.savetxt(
        tmp_path / 'v_a.csv', feature, delimiter=',', header='f', comments='')
    theirs = Compose([
        TRANSFORMS.build(step)
        for step in (dict(type='LoadLocalizationFeature'), *last)
    ])(
        dict(
            video_name='v_a',
            feature_path=str(tmp_path / 'v_a.csv'),
            duration_second=STEPS * UNIT,
            duration_frame=STEPS,
            feature_frame=STEPS,
            annotations=[
                dict(segment=[1., 3.], label=2),
                dict(segment=[4., 20.], label=0)
            ]))
    assert ours['inputs'].dtype == theirs['inputs'].dtype == torch.float32
    assert torch.equal(ours['inputs'], theirs['inputs'])
    ours, theirs = ours['data_samples'], theirs['data_samples']
    assert ours.metainfo == theirs.metainfo
    boxes = ours.gt_instances['gt_bbox']
    assert torch.equal(boxes, theirs.gt_instances['gt_bbox'])
    # 10 s are covered; the second segment is clipped to them
    assert torch.allclose(boxes,
                          torch.tensor([[0.1, 0.3], [0.4, 1.]]).double())


def test_proposals_are_matched(tmp_path):
    path = tmp_path / 'proposals.npz'
    proposals = [([0., 2.], 0.1), ([3., 9.], 0.9), ([9., 10.], 0.5),
                 ([1., 3.], 0.3)]
    dump = [
        dict(
            video_name='v_a',
            proposal_list=[dict(segment=s, score=p) for s, p in proposals])
    ]
    save_dump(path, dump, ['any'])
    results = record('v_a.npy', STEPS)
    results['duration_second'] = 10.
    results = LoadLocalizerProposals(str(path), top_k=3)(results)
    np.testing.assert_allclose(
        results['proposals'],
        [[0.3, 0.9, 0.9], [0.9, 1, 0.5], [0.1, 0.3, 0.3]],
        atol=1e-6)
    np.testing.assert_allclose(
        results['gt_bbox'], [[0.4, 1], [0.4, 1], [0.1, 0.3]], atol=1e-6)

    # snippets that start a second later, and their proposals with them
    results.update(segments=results['segments'] + 1, snippet_offset=1.)
    moved = LoadLocalizerProposals(str(path), top_k=3)(dict(results))
    np.testing.assert_allclose(
        moved['gt_bbox'], [[0.4, 1], [0.4, 1], [0.1, 0.3]], atol=1e-6)
    results['feature'] = np.zeros((STEPS, CHANNELS))
    segments = [
        item['segment'] for item in LocalizerRecord()(results)['annotations']
    ]
    assert segments == [[1., 3.], [4., 20.]]
    results['duration_second'] = 10.

    results.update(segments=np.zeros((0, 2)))
    results = LoadLocalizerProposals(str(path), top_k=9)(results)
    assert results['proposals'].shape == (4, 3)
    assert not results['gt_bbox'].any()


def test_proposals_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='none.npz'):
        LoadLocalizerProposals(str(tmp_path / 'none.npz'), 3)
    path = tmp_path / 'proposals.npz'
    save_dump(path, [], ['any'])
    with pytest.raises(ValueError, match='top_k must be >= 1, got 0'):
        LoadLocalizerProposals(str(path), 0)
    with pytest.raises(ValueError, match='no proposals of v_a; it has 0'):
        LoadLocalizerProposals(str(path), 3)(
            dict(record('v_a.npy', STEPS), duration_second=10.))
