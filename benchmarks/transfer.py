# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""One preset over many data sets: what it gains on each, at worst, on average.

    ACTIONDIFF_SHREC21=DIR ACTIONDIFF_HAPT=DIR ACTIONDIFF_LAYOUT=FILE.json \
        python -m benchmarks.transfer --seeds 0 1 2 3 4

Each set is a plan of ``configs/benchmarks``; its runs are those that
``tools/benchmark.py`` would make of them in the same folder.
"""
from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Mapping, Sequence

import numpy as np

from mmaction_actiondiff import cli

from . import ROOT
from .benchmark import (STOPPED, add_arguments, check_outputs, made_by,
                        run_plans)
from .plan import Plan, load_plan
from .report import environment, merged, number, save, summarise, table

SETS = ('demo', 'demo_thumos14', 'demo_thumos14_half', 'demo_thumos14_double',
        'shrec21', 'hapt')
ENTRIES = ('base', 'control', 'actiondiff', 'supervised')
GAINS = ('over_base', 'over_control', 'share_of_gap')


def make_plans(args: argparse.Namespace) -> list[Plan]:
    """The plans of the sets, of the four entries alone."""
    plans = []
    for name in args.sets:
        bench = load_plan(str(ROOT / 'configs/benchmarks' / f'{name}.py'))
        bench.entries = {entry: bench.entries[entry] for entry in ENTRIES}
        plans.append(
            Plan(bench, args.work_dir, args.seeds, options=args.cfg_options))
    return plans


def compare(reports: Mapping[str, Mapping]) -> dict:
    """Relate the entries of every set, seed by seed.

    Args:
        reports (Mapping): What :func:`summarise` returns, by set.

    Returns:
        dict: ``sets``, each with ``mean``, ``std`` and the number of
        ``seeds`` of every entry, ``over_base`` and ``over_control`` (paired
        differences) and ``share_of_gap``; of these three ``mean`` and
        ``worst`` over the sets.
    """
    sets: dict[str, dict] = {}
    for name, report in reports.items():
        rows = report['entries']
        ours = rows.get('actiondiff', {})
        sets[name] = dict(
            protocol=report['protocol'],
            num_videos=report['num_videos'],
            entries={
                k:
                dict(
                    mean=rows[k]['mean'],
                    std=rows[k]['std'],
                    seeds=len(rows[k]['seeds']))
                for k in ENTRIES if k in rows
            },
            over_base=ours.get('minus_base'),
            over_control=next((difference
                               for difference in report['differences']
                               if difference['second'] == 'control'), None),
            share_of_gap=ours.get('share_of_gap'))
    found: dict[str, dict] = dict(mean={}, worst={})
    for key in GAINS:
        gains = {
            name: row[key]['mean'] if key.startswith('over') else row[key]
            for name, row in sets.items() if row[key] is not None
        }
        if gains:
            found['mean'][key] = float(np.mean(list(gains.values())))
            worst = min(gains, key=lambda name: gains[name])
            found['worst'][key] = dict(set=worst, value=gains[worst])
    return dict(sets=sets, **found)


def points(key: str, value: float | None) -> str:
    """A gain with its sign, or a share."""
    if value is None:
        return '–'
    return f'{value:.0f} %' if key == 'share_of_gap' else f'{value:+.1f}'


def markdown(report: Mapping) -> str:
    """The report to read."""
    head = ('set', 'test videos', 'seeds', 'base', 'control', 'ActionDiff',
            'full supervision', 'over base', 'over control', 'gap closed')
    rows = [(name, str(row['num_videos']), ', '.join(
        str(n)
        for n in sorted({entry['seeds']
                         for entry in row['entries'].values()})),
             *(number(row['entries'].get(entry))
               for entry in ENTRIES), number(row['over_base'], 1, '+'),
             number(row['over_control'], 1,
                    '+'), points('share_of_gap', row['share_of_gap']))
            for name, row in report['sets'].items()]
    if report['mean']:
        empty = [''] * (2 + len(ENTRIES))
        mean, worst = report['mean'], report['worst']
        rows.append(('**mean**', *empty, *(f'**{points(key, mean.get(key))}**'
                                           for key in GAINS)))
        rows.append(
            ('**worst**', *empty,
             *(f'**{points(key, worst[key]["value"])}** ({worst[key]["set"]})'
               if key in worst else '**–**' for key in GAINS)))
    return '\n'.join([
        '# Transfer: one preset on every set', '',
        'Average mAP (%), mean ± standard deviation over the seeds (0, 1, '
        '...), at the last iteration. '
        'Differences are paired by seed, ± their standard error; the gap is '
        'that from the base to full supervision. Made by '
        f'`{report["command"]}`.', '',
        *table([dict(zip(head, row)) for row in rows or [[''] * len(head)]]),
        *(f'Not finished: {name}.' for name in report['missing']),
        *([environment(report)] if report['sets'] else []), ''
    ])


def main(argv: Sequence[str] | None = None) -> int:
    parser = cli.make_parser(__doc__)
    add = parser.add_argument
    add('--sets', nargs='+', choices=SETS, default=SETS)
    add_arguments(parser)
    parser.set_defaults(seeds=[0, 1, 2, 3, 4])
    args = parser.parse_args(argv)
    with cli.command(STOPPED), contextlib.ExitStack() as stack:
        check_outputs(args)
        plans = make_plans(args)
        for plan in plans:
            stack.enter_context(plan.locked())
        good = run_plans(plans, args.jobs)
        reports = {
            plan.bench.name: summarise(plan.bench, results, args.seeds)
            for plan in plans if (results := plan.results())
        }
        report = dict(
            seeds=list(args.seeds),
            command=made_by(args, '-m', 'benchmarks.transfer', '--sets',
                            *args.sets),
            missing=[name for name in args.sets if name not in reports],
            machine=merged(r['machine'] for r in reports.values()),
            versions=merged(r['versions'] for r in reports.values()),
            **compare(reports))
        for folder in filter(None, (args.work_dir, args.publish)):
            save(Path(folder, 'transfer'), report, markdown(report))
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main())
