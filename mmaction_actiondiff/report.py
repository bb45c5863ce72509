# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""One html page about a run, which needs nothing else to be read.

What it shows is computed here; how it looks stands in ``report.html``.
"""
from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .cli import latest_checkpoint
from .dumps import read_dump
from .evaluation import Instances, average_precision, temporal_iou
from .files import write_text

_COLORS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#8c6d00', '#56b4e9')
_TIOU = 0.5
_NUM_SHOWN = 3
_MAX_CLASSES = len(_COLORS)
_MAX_SEGMENTS = 30


def cut_points(samples: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """What is right when segments below a score are left out.

    A segment is right if it overlaps a ground-truth segment of its class by
    a tIoU of at least 0.5 and no better segment has taken that one.

    Returns:
        dict[str, np.ndarray]: Each (P,): ``cut``, the scores, falling, and of
        the segments from there on ``precision``, ``recall`` and ``F1`` in
        percent.
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
            right = bool(len(row)) and row[best] >= _TIOU
            if right:
                overlap[:, best] = 0
            hits.append(right)
        scores.append(found['scores'][order])
    score = np.concatenate([*scores, np.zeros(0)])
    order = np.argsort(-score, kind='stable')
    right = 100 * np.cumsum(np.array(hits, dtype=float)[order])
    number = np.arange(1, len(order) + 1)
    # the harmonic mean of right / number and right / total
    return dict(
        cut=score[order],
        precision=right / number,
        recall=right / max(total, 1),
        F1=2 * right / (number + total))


def video_precision(sample: Mapping[str, Any], num_classes: int) -> float:
    """Mean average precision of one video at tIoU 0.5, NaN without truth."""
    truth, found = (
        Instances(
            np.zeros(len(fields['labels']), np.int64), fields['segments'],
            fields['labels'], fields.get('scores'))
        for fields in (sample['gt_instances'], sample['pred_instances']))
    if not len(truth.labels):
        return float('nan')
    return float(
        np.nanmean(average_precision(truth, found, num_classes, [_TIOU])))


def read_scalars(work_dir: Path) -> tuple[list[dict], list[dict]]:
    """What a run has logged: training lines and validation lines, by step.

    A resumed run has several logs; what comes after the step where it was
    resumed is of the newer one.
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
                if not step:
                    for rows in (train, val):
                        for late in [k for k in rows if k >= row['step']]:
                            del rows[late]
                step = int(row['step'])
                train[step] = row
            elif _results(row):
                # MMEngine's default counts epochs, of which there are none.
                step = int(row['step']) or step
                val[step] = row
    return ([train[k] | dict(step=k) for k in sorted(train)],
            [val[k] | dict(step=k) for k in sorted(val)])


def _results(row: Mapping[str, Any]) -> list[str]:
    """Keys of what a validation has found: by segments, or by labels alone
    (``tools/train.py --hold-out``)."""
    return [key for key in row if 'mAP@' in key or key.startswith('label/')]


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
        ValueError: If the dump lacks what the page shows.
    """
    folder = Path(work_dir)
    if not folder.is_dir():
        raise FileNotFoundError(f'{work_dir}: no such folder of a run')
    train, val = read_scalars(folder)
    if dump is None and with_videos:
        dump = max(
            folder.glob('*.npz'),
            key=lambda p: p.stat().st_mtime,
            default=None)
    if not train and not val and dump is None:
        raise FileNotFoundError(
            f'{work_dir}: expected the logs of a training '
            '(TIME/vis_data/scalars.json) or a dump (*.npz), found none')
    # an earlier training may have left another
    configs = sorted(folder.glob('*.py'), key=lambda p: -p.stat().st_mtime)
    config = configs[0].read_text('utf-8') if configs else ''
    protocol = re.search(r"val_evaluator\s*=.*?protocol='(\w+)'", config,
                         re.DOTALL)
    keys = _results(val[-1]) if val else []
    # other metrics of before a resume do not fit into the table
    val = [row for row in val if row.keys() >= set(keys)]
    by_labels = not any('mAP@' in key for key in keys)
    words = []
    if train:
        # the log has every 50th iteration or so
        last = max(row['step'] for row in train[-1:] + val[-1:])
        seconds = np.median([row['time'] for row in train]) * last
        words.append(f'{last} training iterations, about '
                     f'{seconds / 60:.0f} min')
    if val:
        words.append(f'evaluated {len(val)} times')
    page = jinja2.Template(
        Path(__file__).with_name('report.html').read_text('utf-8'),
        autoescape=True,
        undefined=jinja2.StrictUndefined).render(
            title=configs[0].stem if configs else folder.resolve().name,
            summary='; '.join(words),
            protocol=protocol and protocol[1],
            thresholds=[re.sub('^.*(mAP|/)', '', key) for key in keys],
            by_labels=by_labels,
            results=[[row['step'], *(f'{row[key]:.1f}' for key in keys)]
                     for row in val],
            curves=_curves(train, val, keys, by_labels),
            tiou=_TIOU,
            commands=_commands(folder, configs),
            config=config,
            environment=_environment(folder),
            **_videos(dump))
    path = Path(out or folder / 'report.html')
    write_text(path, page)
    return path


def _commands(folder: Path, configs: Sequence[Path]) -> str:
    """What adds the videos to the page."""
    with contextlib.suppress(ValueError):  # no way leads there (Windows)
        folder = Path(os.path.relpath(folder))
    config = folder / configs[0].name if configs else 'CONFIG'
    checkpoint = latest_checkpoint(folder) or 'CHECKPOINT'
    dump = folder / f'predictions_{Path(checkpoint).stem}.npz'
    calls = [('tools/test.py', config, checkpoint, '--dump', dump),
             ('tools/report.py', folder)]
    return '\n'.join(
        shlex.join(['python', *map(str, words)]) for words in calls)


@matplotlib.rc_context({'svg.fonttype': 'none', 'font.family': 'sans-serif'})
def _plot(rows: Sequence[dict], names: Sequence[str],
          title: str) -> dict[str, Any]:
    """A line chart of some values over the iterations, as inline svg."""
    figure = Figure(figsize=(4.6, 3.6), layout='constrained')
    axes = figure.subplots()
    for i, name in enumerate(names):
        points = [(row['step'], row[name]) for row in rows if name in row]
        axes.plot(
            *zip(*points),
            label=name.split('/')[-1],
            linestyle=('solid', 'dashed', 'dotted')[i // 10 % 3],
            marker='.' if len(points) < 15 else None)
    axes.set(xlabel='iteration')
    axes.grid(alpha=.3)
    axes.spines[['top', 'right']].set_visible(False)
    figure.legend(loc='outside lower center', ncols=2, fontsize='small')
    text = io.StringIO()
    figure.savefig(text, format='svg', transparent=True)
    svg = text.getvalue()
    return dict(title=title, svg=Markup(svg[svg.index('<svg'):]))


def _curves(train: Sequence[dict], val: Sequence[dict], keys: Sequence[str],
            by_labels: bool) -> list[dict]:
    charts = []
    if len(val) > 1:
        # the main average and every other threshold: lines one can tell
        few = [key for key in keys if ':' in key][:1]
        few += [key for key in keys if ':' not in key][::2]
        title = 'mAP (%) on the validation data'
        if by_labels:
            few, title = list(keys), 'By the labels of held-out videos (%)'
        charts.append(_plot(val, few, title))
    names = {key for row in train for key in row if key.startswith('loss')}
    if names:
        charts.append(_plot(train, ['loss'], 'Sum of the losses'))
        charts.append(_plot(train, sorted(names - {'loss'}), 'Each loss'))
    return charts


def _videos(dump: str | os.PathLike | None) -> dict[str, Any]:
    """What the page says of predictions: where to cut, and some videos."""
    content: dict[str, Any] = dict(source=None, groups=[], best=None)
    if dump is None:
        return content
    samples, classes = read_dump(dump)
    content.update(
        source=Path(dump).name,
        num_videos=len(samples),
        scored=any('pred_snippets' in sample for sample in samples))
    for sample in samples:
        lacking = {
            'gt_instances', 'pred_instances', 'duration', 'seconds_per_snippet'
        } - sample.keys()
        if lacking:
            raise ValueError(f"{dump}: {sample['video_name']} has no "
                             f'{sorted(lacking)}; write the dump again with '
                             'tools/test.py --dump')
    known = [s for s in samples if len(s['gt_instances']['labels'])]
    content['annotated'] = bool(known)
    if not known:
        shown = samples[:2 * _NUM_SHOWN]
        content['groups'] = [('', [_video(s, classes, 0.) for s in shown])]
        return content
    points = cut_points(known)
    if len(points['cut']):
        content['best'] = float(points['cut'][points['F1'].argmax()])
        content['cuts'] = _cuts(points, content['best'])
    quality = [video_precision(s, len(classes)) for s in known]
    order = np.argsort(quality, kind='stable')
    best = order[::-1][:_NUM_SHOWN]
    worst = [i for i in order[:_NUM_SHOWN] if i not in best]
    content['groups'] = [(head, [
        _video(known[i], classes, content['best'] or 0.,
               f'mAP {100 * quality[i]:.0f} %') for i in chosen
    ]) for head, chosen in (('Best', best), ('Worst', worst)) if len(chosen)]
    return content


def _cuts(points: Mapping[str, np.ndarray], best: float) -> list[list[str]]:
    """Rows of a table: some round scores, and the best one."""
    rows = []
    score = points['cut']
    round_cuts = set(np.linspace(0, score[0], 7)[:-1].round(2))
    for cut in sorted(round_cuts - {round(best, 2)} | {best}):
        number = int((score >= cut).sum())
        if number:
            rows.append([
                f'{cut:.2f}{" (best F1)" if cut == best else ""}',
                str(number), *(f'{points[rate][number - 1]:.0f} %'
                               for rate in ('precision', 'recall', 'F1'))
            ])
    return rows


def _video(sample: Mapping[str, Any],
           classes: Sequence[str],
           cut: float,
           note: str = '') -> dict[str, Any]:
    """The timeline of a video: a lane for each class, places in percent."""
    truth, found = sample['gt_instances'], sample['pred_instances']
    kept = np.flatnonzero(found['scores'] >= cut)
    kept = kept[np.argsort(-found['scores'][kept], kind='stable')]
    labels = [
        *dict.fromkeys(
            [*truth['labels'].tolist(), *found['labels'][kept].tolist()])
    ]
    offset = sample.get('snippet_offset', 0.)
    curves = sample.get('pred_snippets') or {}
    ends = offset + sample['seconds_per_snippet'] * np.arange(
        len(curves.get('score', ())) + 1)
    total = max(sample['duration'], ends[-1], *truth['segments'][:, 1], 1e-3)

    def bar(segment: np.ndarray, before: str, after: str = '') -> dict:
        start, end = segment
        return dict(
            left=f'{100 * start / total:.3f}',
            width=f'{max(100 * (end - start) / total, .3):.3f}',
            text=f'{before}{start:.1f} to {end:.1f} s{after}')

    lanes = []
    for color, label in zip(_COLORS, labels[:_MAX_CLASSES]):
        curve = ''
        if len(ends) > 1:
            value = np.clip(
                curves['score'][:, label] *
                np.reshape(curves.get('attention', 1.), -1), 0, 1)
            # steps, down to zero at both ends
            x = 1000 * np.repeat(ends, 2) / total
            y = 100 - 100 * np.concatenate([[0], np.repeat(value, 2), [0]])
            curve = ' '.join(f'{a:.1f},{b:.1f}' for a, b in zip(x, y))
        lanes.append(
            dict(
                name=classes[label],
                color=color,
                curve=curve,
                truth=[
                    bar(segment, f'ground truth {classes[label]}: ')
                    for segment in truth['segments'][truth['labels'] == label]
                ],
                found=[
                    bar(found['segments'][j], f'{classes[label]}: ',
                        f', score {found["scores"][j]:.2f}') for j in kept
                    if found['labels'][j] == label
                ][:_MAX_SEGMENTS]))
    hidden = len(labels) - _MAX_CLASSES
    return dict(
        name=sample['video_name'],
        note=note +
        (f' {hidden} more classes are not shown' if hidden > 0 else ''),
        lanes=lanes,
        ticks=[(f'{100 * t / total:.2f}', f'{t:g}')
               for t in MaxNLocator(5).tick_values(0, total) if t <= total])


def _environment(folder: Path) -> str:
    """The block on the system that MMEngine writes into its log."""
    for path in sorted(folder.glob('*/*.log'), reverse=True):
        match = re.search(r'^-{20,}\n(System environment:.*?)^-{20,}$',
                          path.read_text('utf-8', 'replace'),
                          re.DOTALL | re.MULTILINE)
        if match:
            return match[1]
    return ''
