# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""One html page about a run, which needs nothing else to be read.

Dimension letters: C classes, T snippets, P detections, G ground truth.
"""
from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .dumps import load_classes, load_dump
from .evaluation import Instances, average_precision, temporal_iou
from .files import write_text

_COLORS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#8c6d00', '#56b4e9',
           '#000000')
_TIOU = 0.5
_NUM_SHOWN = 3
_MAX_CLASSES = 6
_MAX_SEGMENTS = 30


class CutPoints(NamedTuple):
    """What is right when segments below a score are left out.

    Attributes:
        cut (np.ndarray): Scores (P,), falling.
        precision (np.ndarray): Share of the segments kept that are right.
        recall (np.ndarray): Share of the ground truth that is found.
    """
    cut: np.ndarray
    precision: np.ndarray
    recall: np.ndarray

    @property
    def f1(self) -> np.ndarray:
        """Harmonic mean of precision and recall."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / np.where(total > 0, total, 1)

    @property
    def best(self) -> float | None:
        """The cut with the largest F1, None without any segment."""
        return float(self.cut[self.f1.argmax()]) if len(self.cut) else None


def cut_points(samples: Sequence[Mapping[str, Any]],
               tiou: float = _TIOU) -> CutPoints:
    """Precision and recall of the segments above each score.

    A segment is right if it overlaps a ground-truth segment of its class by
    at least ``tiou`` and no better segment has taken that one.
    """
    scores, hits, total = [], [], 0
    for sample in samples:
        truth, found = sample['gt_instances'], sample['pred_instances']
        total += len(truth['labels'])
        order = np.argsort(-found['scores'], kind='stable')
        overlap = temporal_iou(found['segments'][order][:, None],
                               truth['segments'][None])
        overlap[found['labels'][order][:, None] != truth['labels'][None]] = 0
        for row in overlap:
            best = row.argmax() if len(row) else 0
            right = bool(len(row)) and row[best] >= tiou
            if right:
                overlap[:, best] = 0
            hits.append(right)
        scores.append(found['scores'][order])
    score = np.concatenate([*scores, np.zeros(0)])
    order = np.argsort(-score, kind='stable')
    right = np.cumsum(np.array(hits, dtype=float)[order])
    return CutPoints(score[order], right / np.arange(1,
                                                     len(order) + 1),
                     right / max(total, 1))


def video_precision(sample: Mapping[str, Any], num_classes: int) -> float:
    """Mean average precision of one video at tIoU 0.5, NaN without truth."""

    def instances(fields: Mapping, scores: np.ndarray | None) -> Instances:
        return Instances(
            np.zeros(len(fields['labels']), np.int64), fields['segments'],
            fields['labels'], scores)

    truth, found = sample['gt_instances'], sample['pred_instances']
    if not len(truth['labels']):
        return float('nan')
    return float(
        np.nanmean(
            average_precision(
                instances(truth, None), instances(found, found['scores']),
                num_classes, [_TIOU])))


def read_scalars(work_dir: Path) -> tuple[list[dict], list[dict]]:
    """What a run has logged: training lines and validation lines, by step.

    A resumed run has several logs, of which the newest counts.
    """
    train: dict[int, dict] = {}
    val: dict[int, dict] = {}
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        step = 0
        for line in path.read_text('utf-8').splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # the last line of a run that was killed
            if not isinstance(row, dict):
                raise ValueError(f'{path}: expected the log of a training, '
                                 f'found {line:.100}')
            if 'loss' in row:
                step = int(row['step'])
                train[step] = row
            elif any('mAP@' in key for key in row):
                # MMEngine's default counts epochs, of which there are none.
                step = int(row['step']) or step
                val[step] = row
    return ([train[k] | dict(step=k) for k in sorted(train)],
            [val[k] | dict(step=k) for k in sorted(val)])


def write_report(work_dir: str | os.PathLike,
                 dump: str | os.PathLike | None = None,
                 out: str | os.PathLike | None = None,
                 with_videos: bool = True) -> Path:
    """Write the report of a run.

    Args:
        work_dir (str | PathLike): What ``tools/train.py`` has left.
        dump (str | PathLike, optional): Predictions on the test data. Defaults
            to the newest ``*.npz`` in the folder; without one, there are no
            videos in the report.
        out (str | PathLike, optional): Defaults to ``report.html`` in the
            folder.
        with_videos (bool): Whether to look for predictions; those in the
            folder may be of an earlier state of the training.

    Returns:
        Path: The page.

    Raises:
        FileNotFoundError: If there is no such folder, or no log in it.
    """
    folder = Path(work_dir)
    if not folder.is_dir():
        raise FileNotFoundError(f'{work_dir}: no such folder of a run')
    train, val = read_scalars(folder)
    if dump is None and with_videos:
        dumps = sorted(folder.glob('*.npz'), key=lambda p: p.stat().st_mtime)
        dump = dumps[-1] if dumps else None
    if not train and not val and dump is None:
        raise FileNotFoundError(
            f'{work_dir}: expected the logs of a training '
            '(TIME/vis_data/scalars.json) or a dump (*.npz), found none')
    configs = sorted(folder.glob('*.py'))
    config = configs[0].read_text('utf-8') if configs else ''
    title = configs[0].stem if configs else folder.resolve().name
    parts = [_results(val, config), _curves(train, val)]
    parts += _videos(load_dump(dump), load_classes(dump), Path(dump).name) \
        if dump else [_section(
            'Videos', '<p>No predictions are in this folder. Write them with '
            '<code>tools/test.py CONFIG CHECKPOINT --dump '
            f'{escape(str(folder))}/predictions.npz</code> and make this page '
            'again.</p>')]
    parts += [
        _details('Settings', config),
        _details('Environment', _environment(folder))
    ]
    path = Path(out or folder / 'report.html')
    write_text(
        path,
        _PAGE.format(
            title=escape(title),
            summary=_summary(train, val),
            body=''.join(parts)))
    return path


def _summary(train: Sequence[dict], val: Sequence[dict]) -> str:
    words = []
    if train:
        seconds = np.median([row['time'] for row in train]) * train[-1]['step']
        words.append(f'{train[-1]["step"]} training iterations, about '
                     f'{seconds / 60:.0f} minutes')
    if val:
        words.append(f'evaluated {len(val)} times')
    return escape('; '.join(words))


def _section(title: str, content: str) -> str:
    return f'<section><h2>{title}</h2>{content}</section>'


def _details(title: str, text: str) -> str:
    return '' if not text else _section(
        title, f'<details><summary>show</summary><pre>{escape(text)}</pre>'
        '</details>')


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [
        '<tr>' + ''.join(f'<td>{cell}</td>' for cell in row) + '</tr>'
        for row in rows
    ]
    return ('<div class="wide"><table><thead><tr>' +
            ''.join(f'<th>{cell}</th>' for cell in head) +
            f'</tr></thead><tbody>{"".join(lines)}</tbody></table></div>')


def _map_keys(val: Sequence[dict]) -> list[str]:
    return [key for key in val[-1] if 'mAP@' in key] if val else []


def _few(keys: Sequence[str]) -> list[str]:
    """The main average and every other threshold: lines one can tell."""
    single = [key for key in keys if ':' not in key]
    return [key for key in keys if ':' in key][:1] + single[::2]


def _results(val: Sequence[dict], config: str) -> str:
    keys = _map_keys(val)
    if not keys:
        return _section(
            'Results', '<p>This run was not evaluated: its data have no '
            'annotated segments, or no validation was reached.</p>')
    protocol = re.search(r"val_evaluator\s*=.*?protocol='(\w+)'", config,
                         re.DOTALL)
    rows = [(f'{row["step"]}', *(f'{row[key]:.1f}' for key in keys))
            for row in val]
    name = f' Protocol <b>{protocol[1]}</b>.' if protocol else ''
    return _section(
        'Results',
        f'<p>Mean average precision (%) on the validation data, by the '
        'overlap in time (tIoU) that a segment needs to be right; '
        'a:b is the mean from a to b. The last line is the result: an earlier '
        f'one would be chosen by the data it is measured on.{name}</p>' +
        _table(['iteration'] + [k.split('mAP')[1] for k in keys], rows))


@matplotlib.rc_context({'svg.fonttype': 'none', 'font.family': 'sans-serif'})
def _plot(lines: Mapping[str, tuple[Any, Any]], title: str,
          xlabel: str) -> str:
    """A line chart as inline svg, its legend below it."""
    figure = Figure(figsize=(4.6, 3), layout='constrained')
    axes = figure.subplots()
    legend = []
    for i, (name, (x, y)) in enumerate(lines.items()):
        color = _COLORS[i % len(_COLORS)]
        style = ('solid', 'dashed', 'dotted')[i // len(_COLORS) % 3]
        axes.plot(
            x,
            y,
            color=color,
            linestyle=style,
            marker='.' if len(x) < 15 else None)
        legend.append(f'<span><i style="border-top:3px {style} {color}"></i>'
                      f'{escape(name)}</span>')
    axes.set(xlabel=xlabel)
    axes.grid(alpha=.3)
    axes.spines[['top', 'right']].set_visible(False)
    text = io.StringIO()
    figure.savefig(text, format='svg', transparent=True)
    svg = text.getvalue()
    svg = svg[svg.index('<svg'):]
    return (f'<figure><figcaption>{escape(title)}</figcaption>{svg}'
            f'<div class="legend">{"".join(legend)}</div></figure>')


def _curves(train: Sequence[dict], val: Sequence[dict]) -> str:
    figures = []

    def line(rows: Sequence[dict], key: str) -> tuple[list, list]:
        rows = [row for row in rows if key in row]
        return [r['step'] for r in rows], [r[key] for r in rows]

    keys = _map_keys(val)
    if len(val) > 1:
        figures.append(
            _plot({k.split('/')[-1]: line(val, k)
                   for k in _few(keys)}, 'mAP (%) on the validation data',
                  'iteration'))
    names = sorted({k for row in train for k in row if k.startswith('loss')})
    if names:
        figures.append(
            _plot({'loss': line(train, 'loss')}, 'Sum of the losses',
                  'iteration'))
        figures.append(
            _plot({n: line(train, n)
                   for n in names if n != 'loss'}, 'Each loss', 'iteration'))
    if not figures:
        return ''
    return _section(
        'Training', '<p>A sum that jumps up means that a loss set in after '
        'the warm-up, not that training failed.</p>'
        f'<div class="figures">{"".join(figures)}</div>')


def _videos(samples: Sequence[dict], classes: Sequence[str],
            source: str) -> list[str]:
    for sample in samples:
        lacking = {
            'gt_instances', 'pred_instances', 'pred_snippets', 'duration',
            'seconds_per_snippet'
        } - sample.keys()
        if lacking - {'pred_snippets'}:
            raise ValueError(f"{source}: {sample['video_name']} has no "
                             f'{sorted(lacking)}; write the dump again with '
                             'tools/test.py --dump')
        for name in ('gt_instances', 'pred_instances'):
            sample[name] = {
                key: np.asarray(value)
                for key, value in sample[name].items()
            }
    known = [s for s in samples if len(s['gt_instances']['labels'])]
    if not known:
        shown = samples[:2 * _NUM_SHOWN]
        cut = 0.
        return [
            _section(
                'Videos', f'<p>{len(samples)} videos of '
                f'<code>{escape(source)}</code>, none with annotated '
                'segments.</p>' +
                ''.join(_timeline(s, classes, cut, '') for s in shown))
        ]
    points = cut_points(known)
    cut = points.best or 0.
    quality = [video_precision(s, len(classes)) for s in known]
    order = np.argsort(quality, kind='stable')
    best = order[::-1][:_NUM_SHOWN]
    worst = [i for i in order[:_NUM_SHOWN] if i not in best]
    text = (
        f'<p>{len(samples)} videos of <code>{escape(source)}</code>, the '
        f'best and the worst by their own mAP at tIoU {_TIOU}. Shown are '
        f'segments of a score of at least {cut:.2f} (see above); the mAP '
        'counts all. In each lane: on top, in dark grey, what is annotated; '
        'below, in colour, what the model proposes; behind, in light grey, '
        'the score of the class over time. Point at a bar to read its '
        'seconds and score.</p>')
    lists = [
        f'<h3>{head}</h3>' + ''.join(
            _timeline(known[i], classes, cut, f'mAP {100 * quality[i]:.0f} %')
            for i in chosen)
        for head, chosen in (('Best', best), ('Worst', worst))
    ]
    return [_where_to_cut(points), _section('Videos', text + ''.join(lists))]


def _where_to_cut(points: CutPoints) -> str:
    if points.best is None:
        return ''
    rows = []
    top = points.cut.max()
    wanted = sorted({*np.round(np.linspace(0, top, 7)[:-1], 2), points.best})
    for cut in wanted:
        i = np.searchsorted(-points.cut, -cut, side='right') - 1
        mark = ' (best F1)' if cut == points.best else ''
        if i >= 0:
            rows.append(
                (f'{cut:.2f}{mark}', str(i + 1),
                 *(f'{100 * v[i]:.0f} %'
                   for v in (points.precision, points.recall, points.f1))))
    chart = _plot(
        dict(
            precision=(points.cut, 100 * points.precision),
            recall=(points.cut, 100 * points.recall),
            F1=(points.cut, 100 * points.f1)), 'Percent, by the cut',
        'segments below this score are left out')
    table = _table(['cut', 'segments', 'precision', 'recall', 'F1'], rows)
    return _section(
        'Where to cut', '<p>A localizer proposes many segments. Keep those of '
        f'a score of at least <b>{points.best:.2f}</b> for the best balance '
        f'of precision and recall (F1 at tIoU {_TIOU}) on these videos; cut '
        'higher to be surer, lower to miss less.</p>'
        f'<div class="figures">{chart}{table}</div>')


def _timeline(sample: Mapping[str, Any], classes: Sequence[str], cut: float,
              note: str) -> str:
    """Ground truth and segments of one video, a lane for each class."""
    truth, found = sample['gt_instances'], sample['pred_instances']
    kept = np.flatnonzero(found['scores'] >= cut)
    labels = dict.fromkeys(
        [*truth['labels'].tolist(), *found['labels'][kept].tolist()])
    offset, cell = sample.get('snippet_offset',
                              0.), sample['seconds_per_snippet']
    curves = sample.get('pred_snippets') or {}
    length = len(curves.get('score', ()))
    total = max(sample['duration'], offset + cell * length,
                *(truth['segments'][:, 1]), 1e-3)
    lanes = []
    for i, label in enumerate(list(labels)[:_MAX_CLASSES]):
        name = escape(classes[label])
        color = _COLORS[i % len(_COLORS)]
        shapes = []
        if length:
            value = np.asarray(curves['score'])[:, label]
            if 'attention' in curves:
                value = value * np.asarray(curves['attention']).reshape(-1)
            shapes.append(_area(value, offset / total, cell / total))
        for start, end in truth['segments'][truth['labels'] == label]:
            shapes.append(
                _bar(start, end, total, '4%', '#555',
                     f'ground truth {name}: {start:.1f} to {end:.1f} s'))
        mine = [j for j in kept if found['labels'][j] == label]
        for j in sorted(
                mine, key=lambda j: -found['scores'][j])[:_MAX_SEGMENTS]:
            (start, end), score = found['segments'][j], found['scores'][j]
            shapes.append(
                _bar(start, end, total, '38%', color,
                     f'{name}: {start:.1f} to {end:.1f} s, score {score:.2f}'))
        lanes.append(f'<div class="lane"><b style="color:{color}">{name}</b>'
                     f'<svg class="bars" role="img">{"".join(shapes)}</svg>'
                     '</div>')
    if not lanes:
        lanes = ['<p>No segment is above the cut, none is annotated.</p>']
    more = len(labels) - _MAX_CLASSES
    hidden = f' <small>{more} more classes are not shown</small>' \
        if more > 0 else ''
    ticks = ''.join(f'<span style="left:{100 * t / total:.2f}%">{t:g} s</span>'
                    for t in MaxNLocator(5).tick_values(0, total)
                    if t <= total)
    return (f'<div class="video"><h4>{escape(str(sample["video_name"]))} '
            f'<small>{note}</small>{hidden}</h4>{"".join(lanes)}'
            f'<div class="lane"><b></b><div class="ticks">{ticks}</div></div>'
            '</div>')


def _bar(start: float, end: float, total: float, top: str, color: str,
         text: str) -> str:
    height = '26%' if top == '4%' else '50%'
    width = max(100 * (end - start) / total, .3)
    return (f'<rect x="{100 * start / total:.3f}%" y="{top}" '
            f'width="{width:.3f}%" height="{height}" rx="2" fill="{color}" '
            f'fill-opacity=".45" stroke="{color}" tabindex="0">'
            f'<title>{text}</title></rect>')


def _area(value: np.ndarray, offset: float, cell: float) -> str:
    """A step curve of values in [0, 1] behind the bars."""
    x = np.repeat((offset + cell * np.arange(len(value) + 1)) * 1000, 2)
    y = 100 * (1 -
               np.clip(np.concatenate([[0], np.repeat(value, 2), [0]]), 0, 1))
    points = ' '.join(f'{a:.1f},{b:.1f}' for a, b in zip(x, y))
    return ('<svg viewBox="0 0 1000 100" preserveAspectRatio="none" x="0" '
            'y="0" width="100%" height="100%"><polygon fill="#ddd" '
            f'points="{points}"/></svg>')


def _environment(folder: Path) -> str:
    """The block on the system that MMEngine writes into its log."""
    for path in sorted(folder.glob('*/*.log'), reverse=True):
        match = re.search(r'^-{20,}\n(System environment:.*?)^-{20,}$',
                          path.read_text('utf-8', 'replace'),
                          re.DOTALL | re.MULTILINE)
        if match:
            return match[1]
    return ''


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #222; margin: auto;
  max-width: 72rem; padding: 1rem; }}
h1 {{ margin: 0; overflow-wrap: anywhere; }}
h2 {{ border-bottom: 1px solid #ccc; margin: 2rem 0 .5rem; }}
h4 {{ margin: 1rem 0 .3rem; }} small {{ color: #666; font-weight: normal; }}
p {{ max-width: 48rem; }} code {{ overflow-wrap: anywhere; }}
.wide {{ overflow-x: auto; }} table {{ border-collapse: collapse; }}
th, td {{ padding: .2rem .7rem; text-align: right; white-space: nowrap; }}
th {{ border-bottom: 2px solid #999; }}
tbody tr:last-child {{ border-bottom: 1px solid #999; }}
.figures {{ display: grid; gap: 1rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); }}
figure {{ margin: 0; }} figure svg {{ width: 100%; height: auto; }}
figcaption {{ font-weight: bold; }}
.legend {{ display: flex; flex-wrap: wrap; gap: 0 1rem; font-size: .85rem; }}
.legend i {{ display: inline-block; width: 1.6rem; margin-right: .3rem;
  vertical-align: middle; }}
.lane {{ display: grid; grid-template-columns: 9rem 1fr; gap: .5rem; }}
.lane b {{ font-size: .85rem; overflow-wrap: anywhere; align-self: center; }}
.bars {{ width: 100%; height: 3rem; border-left: 1px solid #999;
  background: #fafafa; margin-bottom: 2px; }}
.bars rect:hover, .bars rect:focus {{ fill-opacity: .9; outline: none; }}
.ticks {{ font-size: .8rem; color: #666; position: relative; height: 1.2rem; }}
.ticks span {{ position: absolute; white-space: nowrap;
  transform: translateX(-50%); }}
.ticks span:first-child {{ transform: none; }}
pre {{ overflow-x: auto; background: #f6f6f6; padding: .5rem;
  font-size: .8rem; white-space: pre-wrap; overflow-wrap: anywhere; }}
@media (max-width: 40rem) {{ .lane {{ grid-template-columns: 1fr; gap: 0; }} }}
</style></head><body><h1>{title}</h1><p>{summary}</p>{body}</body></html>
"""
