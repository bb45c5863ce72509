# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""One picture per video: what each part of the model saw, over seconds."""
from __future__ import annotations

import re
from functools import partial
from typing import Any, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart by colour-blind readers too.
_COLORS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7')
_MAX_CLASSES = len(_COLORS)
_MAX_PROPOSALS = 20  # of a class
_ROWS = (('base_score', 'base score'), ('mask', 'pseudo mask'),
         ('denoised', 'denoised'), ('score', 'fused score'))


def file_name(video_name: str) -> str:
    """A name that every file system takes, one for each video.

    What NTFS, exFAT and SMB refuse (and with it all that leads out of a
    folder) is written as ``%`` and its hexadecimal number.
    """
    name = re.sub(r'[<>:"/\\|?*%\x00-\x1f]|^\.',
                  lambda match: f'%{ord(match[0]):02X}', video_name)
    return name or '%'


def _arrays(fields: dict[str, Any]) -> dict[str, np.ndarray]:
    return {key: np.asarray(value) for key, value in fields.items()}


def _draw_segments(axes: Axes, segments: np.ndarray, labels: np.ndarray,
                   heights: np.ndarray, colors: dict[int, str]) -> None:
    """One lane per class, the first class on top; heights in [0, 1]."""
    lanes = {label: place for place, label in enumerate(reversed(colors))}
    for (start, end), label, height in zip(segments, labels, heights):
        if int(label) in lanes:
            axes.broken_barh([(start, end - start)],
                             (lanes[int(label)] + 0.05, 0.85 * float(height)),
                             facecolors=to_rgba(colors[int(label)], 0.35),
                             edgecolors=colors[int(label)])
    axes.set(ylim=(0, len(lanes)), yticks=[])


# Names are no formulas.
@matplotlib.rc_context({'text.parse_math': False})
def draw_video(sample: dict[str, Any], classes: Sequence[str]) -> Figure:
    """Draw the curves, proposals and ground truth of one tested video.

    From top to bottom: base class scores, attention (base dotted, fused
    solid), pseudo mask, denoised sequence, fused score, the 20 best proposals
    of a class (higher is better) and ground truth, for at most 4 classes,
    present ones first.

    Args:
        sample (dict): A data sample as ``ActionDataSample.to_dict`` gives it
            and ``tools/test.py --dump`` stores it, with ``video_name``,
            ``duration``, ``seconds_per_snippet``, ``pred_instances``,
            ``pred_score`` (C,) and ``pred_snippets`` (rows ``score``,
            ``base_score``, ``denoised``, ``mask`` (T, C); ``attention``,
            ``base_attention`` (T,); a row that a model lacks may be absent).
            ``gt_instances`` and ``snippet_offset`` (0) are optional.
        classes (Sequence[str]): Names of the C classes.

    Returns:
        matplotlib.figure.Figure: ``figure.savefig(path)`` writes it,
        :func:`to_image` turns it into an array.

    Raises:
        ValueError: If the sample has no ``pred_snippets``, or ``classes`` are
            not C.
    """
    name = sample['video_name']
    if 'pred_snippets' not in sample:
        raise ValueError(f'{name}: no pred_snippets to draw; write the dump '
                         'with tools/test.py --dump')
    curves = _arrays(sample['pred_snippets'])
    video_score = np.asarray(sample['pred_score'])
    if len(classes) != len(video_score):
        raise ValueError(f'{name}: there are scores of {len(video_score)} '
                         f'classes, but {len(classes)} class names')
    prediction = _arrays(sample['pred_instances'])
    truth = _arrays(
        sample.get('gt_instances')
        or dict(segments=np.zeros((0, 2)), labels=np.zeros(0, int)))
    known = {*truth['labels'].tolist(), *map(int, sample.get('gt_label', ()))}
    # present classes first, then the predicted ones by best score
    best = np.argsort(-prediction['scores'], kind='stable')
    labels = [*truth['labels'].tolist(), *prediction['labels'][best].tolist()]
    shown = list(dict.fromkeys(labels or [int(video_score.argmax())]))
    shown = shown[:_MAX_CLASSES]
    colors = dict(zip(shown, _COLORS))

    num_snippets = len(curves['score'])
    edges = (
        sample.get('snippet_offset', 0.) +
        np.arange(num_snippets + 1) * sample['seconds_per_snippet'])
    rows: list[tuple[str, str]] = [(k, t) for k, t in _ROWS if k in curves]
    rows.insert(1, ('attention', 'attention'))
    titles = [title for _, title in rows] + [
        'proposals',
        'ground truth' if len(truth['labels']) else 'not annotated'
    ]
    heights = [1.] * len(rows) + [0.4 * len(shown), 0.2 * len(shown)]
    figure = Figure(
        figsize=(12, 1.5 + 0.8 * sum(heights)), layout='constrained')
    axes: list[Axes] = list(
        figure.subplots(len(titles), sharex=True, height_ratios=heights))

    for axis, (key, _) in zip(axes, rows):
        axis.set(ylim=(-0.05, 1.05), yticks=[0, 1])
        draw = partial(axis.stairs, edges=edges, baseline=None)
        if key != 'attention':
            for c, color in colors.items():
                draw(curves[key][:, c], color=color)
            continue
        draw(curves[key], color='black')
        if 'base_attention' in curves:
            draw(curves['base_attention'], color='gray', linestyle=':')
    best = np.concatenate([
        best[prediction['labels'][best] == c][:_MAX_PROPOSALS] for c in shown
    ])
    scores = np.clip(prediction['scores'][best], 0, None)
    _draw_segments(axes[-2], prediction['segments'][best],
                   prediction['labels'][best],
                   scores / max(scores.max(initial=0), 1e-12), colors)
    _draw_segments(axes[-1], truth['segments'], truth['labels'],
                   np.ones(len(truth['labels'])), colors)

    for axis, title in zip(axes, titles):
        axis.set_ylabel(title, rotation=0, ha='right', va='center', fontsize=9)
        axis.tick_params(labelsize=8)
        axis.margins(x=0)
    axes[-1].set_xlim(0, max(edges[-1], sample['duration']))
    axes[-1].set_xlabel('seconds')
    handles, texts = [], []
    for c, color in colors.items():
        absent = ' (absent)' if known and c not in known else ''
        texts.append(f'{classes[c]}{absent}, video score {video_score[c]:.2f}')
        handles += axes[0].plot([], [], color=color)
    legend = figure.legend(
        handles, ['class'] * len(texts),
        loc='outside upper center',
        ncols=2,
        fontsize=9,
        title=str(name))
    # A legend would leave out labels that start with an underscore.
    for label, text in zip(legend.get_texts(), texts):
        label.set_text(text)
    return figure


def to_image(figure: Figure, dpi: int = 100) -> np.ndarray:
    """Render a figure without a display: RGB (height, width, 3) uint8, as
    ``Visualizer.add_image`` takes it."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
