# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Why the mAP moved: what the curves of each model look like.

Dump the predictions once per model and seed, then compare the models:

    python tools/test.py CONFIG CHECKPOINT --dump a0.npz
    python -m benchmarks.mechanism --runs "ActionDiff=a0.npz,a1.npz" \
        "Base branch=b0.npz,b1.npz" --out docs/benchmark/mechanism_NAME

It writes OUT.md and OUT.json. The files of one run are its seeds.

Dimension legend: T snippets, C classes, G ground-truth instances.
"""
from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np

from mmaction_actiondiff import cli
from mmaction_actiondiff.dumps import load_dump
from mmaction_actiondiff.evaluation.metrics import ground_truth_of, to_numpy

from . import BenchmarkError
from .report import mean_std, number, save, table

#: Class scores of ``pred_snippets``; a model without fusion has the last only.
STAGES = dict(before='base_score', after='score')


def peak_ratio(score: np.ndarray) -> np.ndarray:
    """``max_T / mean_T`` of each class, (T, C) -> (C,).

    High where a class shows in few snippets only.
    """
    return score.max(0) / np.maximum(score.mean(0), 1e-6)


def coverage(score: np.ndarray, spans: np.ndarray, labels: np.ndarray,
             centre: np.ndarray) -> np.ndarray:
    """Share of each span's snippets that its class's score reaches.

    A snippet is reached if the score is above a quarter of the largest one
    of its class in the video, and lies in a span if its centre does.

    Args:
        score (np.ndarray): (T, C).
        spans (np.ndarray): (G, 2), in seconds.
        labels (np.ndarray): (G,).
        centre (np.ndarray): (T,), in seconds.

    Returns:
        np.ndarray: (G,) in [0, 1]; NaN for a span with no snippet.
    """
    inside = (centre >= spans[:, :1]) & (centre < spans[:, 1:])  # (G, T)
    reached = (score > score.max(0) / 4)[:, labels].T
    total = inside.sum(1)
    return np.divide(
        (inside & reached).sum(1),
        total,
        out=np.full(len(spans), np.nan),
        where=total > 0)


def mask_quality(samples: Sequence[Mapping], curve: str) -> dict[str, float]:
    """Precision, recall and IoU (%) of a curve above 0.5, by snippet.

    Over the present classes only: what the model masks for a class that it
    wrongly takes for present is an error of the video label, not of the mask.
    """
    counts = np.zeros(3)
    for sample in samples:
        value = sample['pred_snippets'][curve]
        mask = to_numpy(value, *value.shape) > 0.5
        segments, labels, _, unit = ground_truth_of(sample)
        centre = sample.get('snippet_offset',
                            0.) + (np.arange(len(mask)) + 0.5) * unit
        truth = np.zeros_like(mask)
        for (start, end), label in zip(segments, labels):
            truth[(centre >= start) & (centre < end), label] = True
        mask &= np.isin(np.arange(mask.shape[1]), labels)
        counts += (mask & truth).sum(), mask.sum(), truth.sum()
    both, masked, annotated = counts
    totals = dict(
        precision=masked, recall=annotated, tiou=masked + annotated - both)
    return {k: 100 * float(both / n) for k, n in totals.items() if n}


def measure(samples: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """All measures of one test.

    Args:
        samples (Sequence[Mapping]): What ``tools/test.py --dump`` stores,
            with ``gt_instances`` and ``pred_snippets``.

    Returns:
        dict[str, float]: ``peak_ratio/WHEN`` (mean over the present classes
        of each video) and, in percent, ``coverage/WHEN`` (mean over the
        instances), and ``CURVE/precision``, ``/recall``, ``/tiou`` of
        ``mask`` and ``denoised``; WHEN as in :data:`STAGES`. What a test has
        not is left out.
    """
    values: dict[str, list[float]] = defaultdict(list)
    for sample in samples:
        truth = ground_truth_of(sample)
        for when, curve in STAGES.items():
            score = sample['pred_snippets'].get(curve)
            if score is None:
                continue
            score = to_numpy(score, *score.shape)
            centre = sample.get(
                'snippet_offset',
                0.) + (np.arange(len(score)) + 0.5) * truth.seconds_per_snippet
            values[f'peak_ratio/{when}'] += [
                *peak_ratio(score[:, np.unique(truth.labels)])
            ]
            values[f'coverage/{when}'] += [
                *100 * coverage(score, truth.segments, truth.labels, centre)
            ]
    found = {
        key: float(np.nanmean(parts))
        for key, parts in values.items() if not np.isnan(parts).all()
    }
    for curve in ('mask', 'denoised'):
        if all(curve in sample['pred_snippets'] for sample in samples):
            found.update({
                f'{curve}/{key}': value
                for key, value in mask_quality(samples, curve).items()
            })
    return found


def summarise(name: str, runs: Mapping[str, Sequence[str]]) -> dict:
    """All numbers of the report, of dumps by the name of their model."""
    videos: set[str] = set()
    measures: dict[str, list[dict[str, float]]] = {}
    for model, files in runs.items():
        for path in files:
            samples = load_dump(path)
            if not all('pred_snippets' in sample for sample in samples):
                raise BenchmarkError(
                    f'{path}: no pred_snippets; write the dump with '
                    'tools/test.py --dump, with the config of a weakly '
                    'supervised localizer')
            own = {sample['video_name'] for sample in samples}
            videos = videos or own
            if own != videos:
                raise BenchmarkError(
                    f'{path} has other videos than the first dump, such as '
                    f'{min(own ^ videos)}')
            measures.setdefault(model, []).append(measure(samples))
    return dict(
        name=name,
        num_videos=len(videos),
        num_gt=sum(len(ground_truth_of(s).labels) for s in samples),
        runs={
            model:
            dict(
                files=len(seeds),
                measures={
                    key: mean_std(found.get(key) for found in seeds)
                    for key in dict.fromkeys(sum(map(list, seeds), []))
                })
            for model, seeds in measures.items()
        })


def markdown(report: Mapping) -> str:
    """The report to read."""
    runs = report['runs']
    keys = dict.fromkeys(k for run in runs.values() for k in run['measures'])
    rows = [{
        'measure':
        key.replace('/', ', ').replace('_', ' ').replace('tiou', 'IoU'),
        **{
            k: number(run['measures'].get(key))
            for k, run in runs.items()
        }
    } for key in keys]
    files = ', '.join(f'{name} {run["files"]}' for name, run in runs.items())
    return '\n'.join([
        f'# Mechanism: {report["name"]}', '', f'{report["num_videos"]} test '
        f'videos, {report["num_gt"]} instances. Mean ± standard deviation '
        f'over the seeds ({files}). All but the peak ratio in percent. Made '
        'by `python -m benchmarks.mechanism`.', '', *table(rows),
        '* **before**, **after**: the score of the base, and the one that '
        'makes the proposals; a model without fusion has the latter only.',
        '* **peak ratio**: maximum over mean in time of a class that the '
        'video contains; high where few snippets decide.',
        '* **coverage**: share of the snippets of an instance whose score is '
        'above a quarter of the largest one of its class in the video.',
        '* **mask**, **denoised**: the pseudo mask, and the denoised sequence '
        'above 0.5, against the ground truth, over the snippets of the '
        'classes that the video contains.', ''
    ])


def main(argv: Sequence[str] | None = None) -> None:
    parser = cli.make_parser(__doc__)
    parser.add_argument(
        '--runs',
        nargs='+',
        required=True,
        metavar='NAME=DUMP[,DUMP]',
        help='files written by tools/test.py --dump, one per seed')
    parser.add_argument(
        '--out', required=True, help='path of .md and .json, without it')
    args = parser.parse_args(argv)
    given = [text.partition('=') for text in args.runs]
    runs = {name: files.split(',') for name, _, files in given}
    if len(runs) < len(given) or not all(
            name and all(files) for name, files in runs.items()):
        parser.error('--runs needs NAME=DUMP[,DUMP], each name once')
    with cli.command():
        cli.check_output(f'{args.out}.md')
        report = summarise(Path(args.out).name, runs)
        save(args.out, report, markdown(report))


if __name__ == '__main__':
    main()
