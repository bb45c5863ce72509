"""Pictures of a video: rows, seconds, names."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from mmaction_actiondiff import visualization
from mmaction_actiondiff.visualization import draw_video, file_name, to_image

NAMES = ['Run', 'Jump', 'Throw']


@pytest.fixture
def sample():
    """Class 2 at 2-6 s of 10 s, well localised; class 0 a false alarm."""
    score = torch.full((20, 3), 0.1)
    score[4:12, 2] = 0.9
    mask = (score > 0.5).float()
    return dict(
        video_name='video_7',
        duration=10.,
        seconds_per_snippet=0.5,
        num_snippets=20,
        gt_label=torch.tensor([2]),
        gt_instances=dict(segments=np.array([[2., 6.]]), labels=np.array([2])),
        pred_score=torch.tensor([0.3, 0., 0.6]),
        pred_instances=dict(
            segments=torch.tensor([[2., 6.], [7., 9.]]),
            labels=torch.tensor([2, 0]),
            scores=torch.tensor([0.8, 0.2])),
        pred_snippets=dict(
            score=score,
            base_score=score,
            attention=score[:, 2],
            base_attention=score[:, 2],
            denoised=mask,
            mask=mask))


def rows(figure):
    return {axes.get_ylabel(): axes for axes in figure.axes}


def bars(axes):
    """Extents of the bars in seconds, with heights."""
    boxes = [c.get_paths()[0].get_extents() for c in axes.collections]
    return [(b.x0, b.x1, pytest.approx(b.height)) for b in boxes]


def test_rows_and_seconds(sample):
    axes = rows(draw_video(sample, NAMES))
    assert list(axes) == [
        'base score', 'attention', 'pseudo mask', 'denoised', 'fused score',
        'proposals', 'ground truth'
    ]
    assert bars(axes['ground truth']) == [(2, 6, 0.85)]
    # Bar heights are in proportion to scores, 0.8 the best.
    assert bars(axes['proposals']) == [(2, 6, 0.85), (7, 9, 0.2125)]
    values, edges, _ = axes['fused score'].patches[0].get_data()
    np.testing.assert_allclose(values, sample['pred_snippets']['score'][:, 2])
    np.testing.assert_allclose(edges, np.arange(21) * 0.5)
    assert axes['ground truth'].get_xlabel() == 'seconds'


def test_legend_names_present_and_absent_classes(sample, monkeypatch):
    figure = draw_video(sample, NAMES)
    texts = [t.get_text() for t in figure.legends[0].get_texts()]
    assert texts == [
        'Throw, video score 0.60', 'Run (absent), video score 0.30'
    ]
    del sample['gt_instances']  # the label alone is known
    texts = draw_video(sample, NAMES).legends[0].get_texts()
    assert [t.get_text() for t in texts
            ] == ['Throw, video score 0.60', 'Run (absent), video score 0.30']
    monkeypatch.setattr(visualization, '_MAX_CLASSES', 1)
    texts = draw_video(sample, NAMES).legends[0].get_texts()
    assert [t.get_text() for t in texts] == ['Throw, video score 0.60']


def test_names_are_drawn_as_they_are(sample):
    """No formulas, and no name is left out of the legend."""
    sample['video_name'] = 'win_$5_or_$10_\\frac{'
    names = ['pay_$_now_$', 'b', '_throw']
    figure = draw_video(sample, names)
    to_image(figure)
    legend, = figure.legends
    assert legend.get_title().get_text() == sample['video_name']
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts[0].startswith('_throw,')
    assert texts[1].startswith('pay_$_now_$ (absent),')


def test_legend_is_beside_the_rows(sample):
    figure = draw_video(sample, NAMES)
    to_image(figure)
    legend = figure.legends[0].get_window_extent()
    assert not any(
        legend.overlaps(axes.get_window_extent()) for axes in figure.axes)


def test_snippets_may_start_later(sample):
    sample['snippet_offset'] = 0.3
    axes = rows(draw_video(sample, NAMES))
    _, edges, _ = axes['fused score'].patches[0].get_data()
    np.testing.assert_allclose(edges, 0.3 + np.arange(21) * 0.5)


def test_number_of_class_names(sample):
    with pytest.raises(ValueError, match='3 classes, but 2 class names'):
        draw_video(sample, ['Run', 'Jump'])


def test_file_names_are_distinct_and_stay_in_the_folder():
    names = [
        '../x', '..%2Fx', 'a/b', 'a_b', '.', '..', '', 'C:\\x', 'a"b', 'ü'
    ]
    written = [file_name(name) for name in names]
    assert len(set(written)) == len(names)
    for name in written:
        assert name and not name.startswith('.')
        assert not set(name) & set('<>:"/\\|?*')
    assert file_name('v_abc-1 (2).x') == 'v_abc-1 (2).x'


def test_max_proposals(sample, monkeypatch):
    sample['pred_instances'] = dict(
        segments=torch.tensor([[0., 1.], [2., 6.], [3., 4.]]),
        labels=torch.tensor([2, 2, 2]),
        scores=torch.tensor([0.1, 0.8, 0.4]))
    monkeypatch.setattr(visualization, '_MAX_PROPOSALS', 2)
    axes = rows(draw_video(sample, NAMES))
    assert [b[:2] for b in bars(axes['proposals'])] == [(2, 6), (3, 4)]


def test_base_model_without_truth_or_proposals(sample):
    for key in ('base_score', 'base_attention', 'denoised', 'mask'):
        del sample['pred_snippets'][key]
    del sample['gt_instances'], sample['gt_label']
    sample['pred_instances'] = dict(
        segments=torch.zeros(0, 2),
        labels=torch.zeros(0, dtype=torch.long),
        scores=torch.zeros(0))
    figure = draw_video(sample, NAMES)
    assert list(rows(figure)) == [
        'fused score', 'attention', 'proposals', 'not annotated'
    ]
    # The most likely class, where none is predicted, and nobody knows better.
    texts = [t.get_text() for t in figure.legends[0].get_texts()]
    assert texts == ['Throw, video score 0.60']


def test_no_curves(sample):
    del sample['pred_snippets']
    with pytest.raises(ValueError, match='video_7: .*tools/test.py --dump'):
        draw_video(sample, NAMES)


def test_image(sample):
    image = to_image(draw_video(sample, NAMES), dpi=50)
    assert image.dtype == np.uint8 and image.shape[1:] == (600, 3)
    # The bars of class 2, the first colour at 35 % over white.
    bar = 255 - 0.35 * (255 - 255 * np.array(to_rgb('#0072b2')))
    assert (np.abs(image - bar).max(2) <= 2).sum() > 1000
