# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Train and evaluate every entry of a plan with several seeds; one table.

    python tools/benchmark.py configs/benchmarks/shrec21.py --seeds 0 1 2
    python tools/benchmark.py configs/actiondiff_demo.py --seeds 0 1 2

The first is a plan of many entries, the second the config of one model. Every
run is evaluated at its last iteration. Finished runs are kept: the same
command goes on where it was stopped, and other options train in other
folders.
"""
from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Sequence

from mmaction_actiondiff import cli

from . import ROOT
from .plan import Plan, load_plan
from .pool import Pool
from .report import markdown, save, summarise

STOPPED = 'Stopped; the same command goes on from here.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What every command that runs plans has."""
    add = parser.add_argument
    add('--seeds', type=cli.at_least(0), nargs='+', default=[0, 1, 2])
    add('--jobs', type=cli.at_least(1), default=1, help='runs at a time')
    add('--work-dir',
        default='work_dirs/benchmark',
        help='folder of runs and reports')
    add('--publish',
        nargs='?',
        const='docs/benchmark',
        metavar='DIR',
        help='write the report into this folder, too (docs/benchmark)')
    cli.add_config_options(parser, 'override settings of every entry')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = cli.make_parser(__doc__)
    add = parser.add_argument
    add('config', help='a plan, or the config of a model')
    add('--entries', nargs='+', help='only these, and those they build on')
    add_arguments(parser)
    args = parser.parse_args(argv)
    args.seeds = list(dict.fromkeys(args.seeds))
    return args


def check_outputs(args: argparse.Namespace) -> None:
    """Refuse folders of reports that cannot be written."""
    for folder in filter(None, (args.work_dir, args.publish)):
        cli.check_output(f'{folder}/NAME.md')


def made_by(args: argparse.Namespace, *words: str) -> str:
    """A command with all options that decide what its report says."""
    line = ['python', *words, '--seeds', *map(str, args.seeds)]
    if args.cfg_options:
        line.append('--cfg-options')
        for key, value in args.cfg_options.items():
            # where the data lie is the user's affair
            line.append(f'{key}={"DIR" if key == "data_root" else value}')
    return shlex.join(line)


def run_plans(plans: Sequence[Plan], jobs: int) -> bool:
    """Run what is not finished; whether all went well."""
    runs = [run for plan in plans for run in plan.wanted]
    pool = Pool(runs, jobs)
    names = ', '.join(plan.bench.name for plan in plans)
    finished = len(runs) - len(pool.runs)
    print(f'{names}: {len(runs)} runs, {finished} finished before', flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    pool.work()
    return not pool.failed


def write_report(plan: Plan, args: argparse.Namespace) -> None:
    """Write the report, and publish it where asked for, unless rows that are
    published would be lost."""
    bench, results = plan.bench, plan.results()
    if not results:
        print('No run has finished: there is nothing to report.')
        return
    path = Path(args.config).resolve()
    words = [
        'tools/benchmark.py',
        os.path.relpath(path, ROOT) if path.is_relative_to(ROOT) else path.name
    ]
    if args.entries:
        words += ['--entries', *args.entries]
    report = summarise(bench, results, args.seeds, made_by(args, *words))
    for folder in filter(None, (plan.folder, args.publish)):
        path = Path(folder, bench.name)
        file = Path(f'{path}.json')
        before = json.loads(file.read_text('utf-8')) if file.is_file() else {}
        lost = [
            name for name, row in before.get('entries', {}).items()
            if name in bench.entries
            and not set(row['seeds']) <= set(results.get(name, ()))
        ]
        if folder == args.publish and lost:
            raise cli.UsageError(f'not published: {file} has seeds of {lost} '
                                 'that this report lacks; run them, too')
        save(path, report, markdown(bench, report))


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    with cli.command(STOPPED):
        check_outputs(args)
        bench = load_plan(args.config)
        plan = Plan(bench, args.work_dir, args.seeds, args.entries,
                    args.cfg_options)
        with plan.locked():
            try:
                good = run_plans([plan], args.jobs)
            finally:
                write_report(plan, args)
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main())
