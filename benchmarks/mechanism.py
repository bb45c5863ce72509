# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Why the mAP moved: what the curves and proposals of each model look like.

Dump the predictions once per model and seed, then compare the models:

    python tools/test.py CONFIG CHECKPOINT --dump a0.npz
    python -m benchmarks.mechanism CONFIG --runs "ActionDiff=a0.npz,a1.npz" \
        "Base branch=b0.npz,b1.npz" --out docs/benchmark/mechanism_NAME

It writes OUT.md and OUT.json. The files of one run are its seeds.

Dimension legend: T snippets, C classes, G ground-truth instances.
"""
from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any, Mapping, Sequence

import mmengine
import numpy as np
from mmaction.registry import DATASETS
from mmengine.registry import init_default_scope

from mmaction_actiondiff import cli
from mmaction_actiondiff.dumps import load_dump
from mmaction_actiondiff.evaluation import (Detections, GroundTruth,
                                            PseudoMaskQuality, temporal_iou)
from mmaction_actiondiff.evaluation.metrics import ground_truth_of, to_numpy

from . import BenchmarkError
from .report import number, over_seeds, save, table

#: Class scores of ``pred_snippets``; a model without fusion has the last only.
STAGES = dict(before='base_score', after='score')
#: Parts of an instance in the generated data, in the order of ``phases``.
PHASES = ('start-up', 'core', 'tail')
#: Predictions of a class in a video that recall looks at.
TOP = 3

#: By the name of the video: label and spans (3, 2) of each instance.
Phases = Mapping[str, Sequence[tuple[int, np.ndarray]]]

# -- Measures -----------------------------------------------------------------


def bin_names(edges: Sequence[float]) -> list[str]:
    """Names of the bins of lengths (s); each begins with its lower edge."""
    inner = [f'{a:g}–{b:g} s' for a, b in zip(edges, edges[1:])]
    return [f'< {edges[0]:g} s', *inner, f'≥ {edges[-1]:g} s']


def length_bins(segments: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    """Bin (G,) of each segment (G, 2) by its length."""
    # rounded: 4.2 - 3.6 is as long as 0.6
    return np.digitize(np.round(segments[:, 1] - segments[:, 0], 6), edges)


def count_instances(samples: Sequence[Mapping],
                    edges: Sequence[float]) -> dict[str, int]:
    """Number of ground-truth instances, ``all`` and in each bin."""
    bins = [length_bins(ground_truth_of(s).segments, edges) for s in samples]
    count = np.bincount(np.concatenate(bins), minlength=len(edges) + 1)
    return dict(
        all=int(count.sum()), **dict(zip(bin_names(edges), count.tolist())))


def read_phases(database: Mapping[str, Any], classes: Sequence[str]) -> Phases:
    """The phases that annotations (ActivityNet schema) may have."""
    index = {name: i for i, name in enumerate(classes)}
    return {
        name: [(index[item['label']], np.array(item['phases']))
               for item in video.get('annotations', ()) if 'phases' in item]
        for name, video in database.items()
    }


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


def recalled(truth: GroundTruth, found: Detections) -> np.ndarray:
    """Which instances (G,) one of the best :data:`TOP` predictions of their
    class in the video overlaps with tIoU >= 0.5."""
    hit = np.zeros(len(truth.labels), dtype=bool)
    for label in np.unique(truth.labels):
        own = truth.labels == label
        rival = np.flatnonzero(found.labels == label)
        best = rival[np.argsort(-found.scores[rival], kind='stable')[:TOP]]
        iou = temporal_iou(truth.segments[own, None], found.segments[best])
        hit[own] = (iou >= 0.5).any(1)
    return hit


def mask_quality(samples: Sequence[Mapping], curve: str) -> dict[str, float]:
    """Precision, recall and IoU (%) of a curve above 0.5, by snippet.

    Over the present classes only: what the model masks for a class that it
    wrongly takes for present is an error of the video label, not of the mask.
    """
    metric = PseudoMaskQuality()
    for sample in samples:
        value = sample['pred_snippets'][curve]
        mask = to_numpy(value, *value.shape) > 0.5
        present = ground_truth_of(sample).labels
        mask &= np.isin(np.arange(mask.shape[1]), present)
        metric.process(None, [dict(sample, pred_snippets=dict(mask=mask))])
    found = metric.compute_metrics(metric.results)
    return {key: value for key, value in found.items() if value == value}


def measure(samples: Sequence[Mapping[str, Any]], edges: Sequence[float],
            phases: Phases) -> dict[str, float]:
    """All measures of one test.

    Args:
        samples (Sequence[Mapping]): What ``tools/test.py --dump`` stores,
            with ``gt_instances``, ``pred_instances``, ``pred_snippets``.
        edges (Sequence[float]): Between the bins of lengths, in seconds.
        phases (Mapping): What :func:`read_phases` returns; may be empty.

    Returns:
        dict[str, float]: ``peak_ratio/WHEN`` (mean over the present classes
        of each video) and, in percent, ``coverage/WHEN`` and ``PHASE/WHEN``
        (mean over the instances), ``recall/all``, ``recall/BIN``, and
        ``CURVE/precision``, ``/recall``, ``/tiou`` of ``mask`` and
        ``denoised``; WHEN as in :data:`STAGES`. What a test has not, or has
        no instance for, is left out.
    """
    values: dict[str, list[np.ndarray]] = defaultdict(list)
    for sample in samples:
        truth, proposals = ground_truth_of(sample), sample['pred_instances']
        hit = recalled(
            truth,
            Detections(
                to_numpy(proposals['segments'], -1, 2),
                to_numpy(proposals['labels'], -1, dtype=np.int64),
                to_numpy(proposals['scores'], -1)))
        values['recall/all'].append(hit)
        length = length_bins(truth.segments, edges)
        for place, name in enumerate(bin_names(edges)):
            values[f'recall/{name}'].append(hit[length == place])
        for when, curve in STAGES.items():
            if curve not in sample['pred_snippets']:
                continue
            score = sample['pred_snippets'][curve]
            score = to_numpy(score, *score.shape)
            centre = sample.get(
                'snippet_offset',
                0.) + (np.arange(len(score)) + 0.5) * truth.seconds_per_snippet
            values[f'peak_ratio/{when}'].append(
                peak_ratio(score[:, np.unique(truth.labels)]))
            values[f'coverage/{when}'].append(
                coverage(score, truth.segments, truth.labels, centre))
            for label, spans in phases.get(sample['video_name'], ()):
                shares = coverage(score, spans, np.full(3, label), centre)
                for phase, share in zip(PHASES, shares):
                    values[f'{phase}/{when}'].append(np.array([share]))
    found = {}
    for key, parts in values.items():
        every = np.concatenate(parts).astype(float)
        if not np.isnan(every).all():
            scale = 1 if key.startswith('peak_ratio') else 100
            found[key] = scale * float(np.nanmean(every))
    for curve in ('mask', 'denoised'):
        if all(curve in sample['pred_snippets'] for sample in samples):
            found.update({
                f'{curve}/{key}': value
                for key, value in mask_quality(samples, curve).items()
            })
    return found


# -- The command --------------------------------------------------------------


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.mechanism',
        description=__doc__.partition('\n\nDimension')[0],
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config whose test data were predicted')
    parser.add_argument(
        '--runs',
        nargs='+',
        required=True,
        metavar='NAME=DUMP[,DUMP]',
        help='files written by tools/test.py --dump, one per seed')
    parser.add_argument(
        '--out', required=True, help='path of .md and .json, without it')
    parser.add_argument(
        '--edges',
        type=float,
        nargs='+',
        default=[0.6, 1.5],
        help='lengths (s) between short, middle and long instances')
    cli.add_config_options(parser, 'override settings of the config')
    parser.set_defaults(work_dir=None, launcher='none', local_rank=0)
    args = parser.parse_args(argv)
    runs = [text.partition('=') for text in args.runs]
    args.runs = {name: files.split(',') for name, _, files in runs}
    if len(args.runs) < len(runs) or not all(
            name and all(files) for name, files in args.runs.items()):
        parser.error('--runs needs NAME=DUMP[,DUMP], each name once')
    if args.edges != sorted(set(args.edges)) or not args.edges[0] > 0:
        parser.error(f'--edges must be > 0 and rise, got {args.edges}')
    return args


def summarise(args: argparse.Namespace) -> dict:
    """All numbers of the report.

    Raises:
        BenchmarkError: If a dump has no scores of snippets, or other videos
            than the first dump or the config's data.
    """
    cfg = cli.load_config(args)
    init_default_scope(cfg.get('default_scope', 'mmaction'))
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    database = mmengine.load(dataset.ann_file)['database']
    phases = read_phases(database, dataset.metainfo['classes'])
    videos: set[str] = set()
    runs = {}
    for name, files in args.runs.items():
        seeds = []
        for path in files:
            samples = load_dump(path)
            if not all('pred_snippets' in sample for sample in samples):
                raise BenchmarkError(
                    f'{path}: no pred_snippets; write the dump with '
                    'tools/test.py --dump, with the config of a weakly '
                    'supervised localizer')
            own = {sample['video_name'] for sample in samples}
            videos = videos or own
            if own - set(database):
                raise BenchmarkError(f'{path}: the video '
                                     f'{min(own - set(database))} is not in '
                                     'the data of the config')
            if own != videos:
                raise BenchmarkError(
                    f'{path} has other videos than the first dump, such as '
                    f'{min(own ^ videos)}')
            seeds.append(measure(samples, args.edges, phases))
        keys = dict.fromkeys(key for found in seeds for key in found)
        measures = {key: over_seeds(seeds, key) for key in keys}
        runs[name] = dict(files=len(files), measures=measures)
    return dict(
        name=Path(args.out).name,
        data=dataset.metainfo.get('dataset_name'),
        num_videos=len(videos),
        instances=count_instances(samples, args.edges),
        top=TOP,
        runs=runs)


def markdown(report: Mapping) -> str:
    """The report to read."""
    runs = report['runs']
    bins = report['instances']
    keys = dict.fromkeys(k for run in runs.values() for k in run['measures'])
    rows = []
    for key in keys:
        what, _, where = key.partition('/')
        name = f'{what.replace("_", " ")}, {where.replace("tiou", "IoU")}'
        if where in bins:
            name += f' ({bins[where]})'
        rows.append({
            'measure': name,
            **{
                k: number(run['measures'].get(key))
                for k, run in runs.items()
            }
        })
    files = ', '.join(f'{name} {run["files"]}' for name, run in runs.items())
    return '\n'.join([
        f'# Mechanism: {report["name"]}', '',
        f'Test data `{report["data"]}`: {report["num_videos"]} videos, '
        f'{bins["all"]} instances. Mean ± standard deviation over the seeds '
        f'({files}). All but the peak ratio in percent. Made by '
        '`python -m benchmarks.mechanism`.', '', *table(rows),
        '* **before**, **after**: the score of the base, and the one that '
        'makes the proposals; a model without fusion has the latter only.',
        '* **peak ratio**: maximum over mean in time of a class that the '
        'video contains; high where few snippets decide.',
        '* **coverage**: share of the snippets of an instance whose score is '
        'above a quarter of the largest one of its class in the video.',
        '* **start-up**, **core**, **tail**: coverage of the parts of an '
        'action of the generated data, of which the core alone tells the '
        'class.', '* **recall**: instances that one of the best '
        f'{report["top"]} proposals of their class in the video overlaps '
        'with tIoU ≥ 0.5, by length; in brackets how many there are. Where a '
        'class has more instances in a video than that, not all can be found.',
        '* **mask**, **denoised**: the pseudo mask, and the denoised sequence '
        'above 0.5, against the ground truth, over the snippets of the '
        'classes that the video contains.', ''
    ])


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    with cli.command():
        cli.check_output(f'{args.out}.md')
        report = summarise(args)
        save(args.out, report, markdown(report))


if __name__ == '__main__':
    main()
