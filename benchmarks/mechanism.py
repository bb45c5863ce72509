"""Show why the mAP moved: what the curves and proposals of each model do.

Dump the predictions once per model and seed, then compare the models:

    python tools/test.py CONFIG CHECKPOINT --dump a0.pkl
    python tools/mechanism.py CONFIG --runs "ActionDiff=a0.pkl,a1.pkl" \
        "Base branch=b0.pkl,b1.pkl" --out docs/benchmark/mechanism_NAME

It writes OUT.md, OUT.json and OUT.png. The files of one run are its seeds.

A dump is a pickle, and loading a pickle can run any code: open only what you
have written yourself.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any, Mapping, Sequence

import mmengine
import numpy as np
from _benchmark_report import mean_std, number, table, write
from mmaction.registry import DATASETS
from mmengine.registry import init_default_scope

from mmaction_actiondiff import cli
from mmaction_actiondiff.evaluation.mechanism import (PHASES, STAGES,
                                                      count_instances, measure,
                                                      read_phases)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config whose test data were predicted')
    parser.add_argument(
        '--runs',
        nargs='+',
        required=True,
        metavar='NAME=DUMP[,DUMP]',
        help='pickles written by tools/test.py --dump, one per seed')
    parser.add_argument(
        '--out', required=True, help='path of .md, .json and .png, without it')
    parser.add_argument(
        '--edges',
        type=float,
        nargs='+',
        default=[0.6, 1.5],
        help='lengths (s) between short, middle and long instances')
    parser.add_argument(
        '--top',
        type=int,
        default=3,
        help='proposals per class and video that recall looks at')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=cli.DictAction,
        default={},
        help='override settings of the config, key=value')
    parser.set_defaults(work_dir=None, launcher='none', local_rank=0)
    args = parser.parse_args()
    runs: dict[str, list[str]] = {}
    for text in args.runs:
        name, _, files = text.partition('=')
        if not name or not all(files.split(',')) or name in runs:
            parser.error('--runs needs NAME=DUMP[,DUMP], each name once, got '
                         f'{text!r}')
        runs[name] = files.split(',')
    if args.edges != sorted(set(args.edges)) or args.edges[0] <= 0:
        parser.error(f'--edges must be > 0 and rise, got {args.edges}')
    if args.top < 1:
        parser.error(f'--top must be >= 1, got {args.top}')
    args.runs = runs
    return args


def read_dump(path: str, database: Mapping[str, Any]) -> list[dict]:
    """The samples of a dump, all of them videos of the config's data."""
    if not os.path.isfile(path):
        sys.exit(f'Error: the dump {path} does not exist; write it with '
                 f'tools/test.py CONFIG CHECKPOINT --dump {path}')
    samples = mmengine.load(path)
    for sample in samples:
        name = sample['video_name']
        if 'pred_snippets' not in sample:
            sys.exit(f'Error: {path}: {name}: no pred_snippets; write the '
                     'dump with tools/test.py --dump, with the config of a '
                     'weakly supervised localizer')
        if name not in database:
            sys.exit(f'Error: {path}: the video {name} is not in the data of '
                     'the config')
    return samples


def summarise(args: argparse.Namespace) -> dict:
    """All numbers of the report."""
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
            samples = read_dump(path, database)
            own = {sample['video_name'] for sample in samples}
            videos = videos or own
            if own != videos:
                sys.exit(f'Error: {path} has other videos than the first '
                         f'dump, such as {min(own ^ videos)}')
            seeds.append(measure(samples, args.edges, phases, args.top))
        runs[name] = dict(
            files=len(files),
            measures={
                key: mean_std([found[key] for found in seeds if key in found])
                for key in dict.fromkeys(k for found in seeds for k in found)
            })
    return dict(
        name=Path(args.out).name,
        data=dataset.metainfo.get('dataset_name'),
        num_videos=len(videos),
        instances=count_instances(samples, args.edges),
        top=args.top,
        runs=runs)


def markdown(report: Mapping) -> str:
    """The report to read."""

    def staged(*parts: str) -> list[str]:
        return [f'{part}/{when}' for part in parts for when in STAGES]

    def block(head: Sequence[str], keys: Sequence[str]) -> list[str]:
        head = [text.replace('_', ' ').replace('/', ', ') for text in head]
        rows = [[name, *(number(run['measures'].get(key)) for key in keys)]
                for name, run in report['runs'].items()]
        return ['', *table(['run', *head], rows), '']

    scores, phases = staged('peak_ratio', 'coverage'), staged(*PHASES)
    quality = [
        f'{curve}/{kind}' for curve in ('mask', 'denoised')
        for kind in ('precision', 'recall', 'tiou')
    ]
    files = ', '.join(f'{name} {run["files"]}'
                      for name, run in report['runs'].items())
    bins = report['instances']
    lines = [
        f'# Mechanism: {report["name"]}', '',
        f'Test data `{report["data"]}`: {report["num_videos"]} videos, '
        f'{bins["all"]} instances. Mean ± standard deviation over the seeds '
        f'({files}). All but the peak ratio in percent. Made by '
        '`tools/mechanism.py`.', '', '## Scores before and after fusion',
        *block(scores, scores),
        f'## Recall of the best {report["top"]} proposals, by length',
        *block([f'{name} ({count})' for name, count in bins.items()],
               [f'recall/{name}' for name in bins]),
        '## mAP (average over tIoU 0.1:0.7), by length',
        *block([f'{name} ({count})' for name, count in bins.items()],
               [f'mAP/{name}' for name in bins]), '## Masks',
        *block([key.replace('tiou', 'IoU') for key in quality], quality)
    ]
    if any(phases[-1] in run['measures'] for run in report['runs'].values()):
        lines += ['## Coverage by phase', *block(phases, phases)]
    return '\n'.join(lines + [
        '## Columns', '',
        '* **before**, **after**: the score of the base, and the one that '
        'makes the proposals; a model without fusion has the latter only.',
        '* **peak ratio**: maximum over mean in time of a class that the '
        'video contains; high where few snippets decide.',
        '* **coverage**: share of the snippets of an instance whose score is '
        'above a quarter of the largest one of its class in the video.',
        '* **recall**: instances that one of the best '
        f'{report["top"]} proposals of their class in the video overlaps '
        'with tIoU ≥ 0.5; in brackets how many there are. Where a class has '
        'more instances in a video than that, not all can be found.',
        '* **mAP, by length**: of the instances of a length; proposals that '
        'overlap one of another length most are left out, those that overlap '
        'none count against every length.',
        '* **mask**, **denoised**: the pseudo mask, and the denoised sequence '
        'above 0.5, against the ground truth, over the snippets of the '
        'classes that the video contains.', '',
        '![recall and mAP by length, peak ratio, coverage]'
        f'({report["name"]}.png)', ''
    ])


def chart(report: Mapping, path: str) -> None:
    """Grouped bars: recall and mAP by length, peak ratio, coverage."""
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    runs = report['runs']
    recall = {
        f'recall/{name}': f'{name}\n({count})'
        for name, count in report['instances'].items()
    }
    panels = [(f'recall of the best {report["top"]} (%)', recall),
              ('mAP@0.1:0.7 (%)', {
                  f'mAP/{name}': name
                  for name in report['instances']
              })] + [(title, {
                  f'{part}/before': 'before fusion',
                  f'{part}/after': 'final score'
              }) for title, part in (('peak ratio', 'peak_ratio'),
                                     ('coverage (%)', 'coverage'))]
    figure, all_axes = plt.subplots(
        1,
        4,
        figsize=(20, 4.5),
        width_ratios=[2, 2, 1, 1],
        layout='constrained')
    colours = ('tab:red', 'tab:orange', 'tab:blue', 'tab:gray', 'tab:green')
    width = 0.8 / len(runs)
    for axes, (title, keys) in zip(all_axes, panels):
        for i, (name, run) in enumerate(runs.items()):
            found = [
                run['measures'].get(key, dict(mean=np.nan, std=None))
                for key in keys
            ]
            places = np.arange(len(keys)) + (i + 0.5) * width - 0.4
            axes.bar(
                places, [value['mean'] for value in found],
                width,
                yerr=[value['std'] or np.nan for value in found],
                color=colours[i % len(colours)],
                alpha=0.8,
                capsize=3,
                label=name)
            for place, value in zip(places, found):
                if not np.isnan(value['mean']):  # a base has no "before"
                    axes.annotate(
                        f'{value["mean"]:.1f}',
                        (place, value['mean'] + (value['std'] or 0)), (0, 3),
                        textcoords='offset points',
                        ha='center',
                        fontsize=8)
        axes.set_xticks(range(len(keys)), list(keys.values()))
        axes.set_title(title)
        axes.margins(y=0.1)
    figure.legend(
        *all_axes[0].get_legend_handles_labels(),
        loc='outside lower center',
        ncols=len(runs))
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    args = parse_args()
    with cli.command():
        report = summarise(args)
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    write(Path(f'{args.out}.json'), json.dumps(report, indent=1) + '\n')
    text = markdown(report)
    write(Path(f'{args.out}.md'), text)
    chart(report, f'{args.out}.png')
    print(f'{text}\nReport: {args.out}.md, .json, .png')


if __name__ == '__main__':
    main()
