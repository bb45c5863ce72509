# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""The command line that the preparing tools share."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mmaction_actiondiff import cli
from mmaction_actiondiff.annotations import Annotations, read_annotations
from mmaction_actiondiff.files import check_output

from .check import check
from .report import DataSet
from .write import prepare


def make_parser(description: str | None,
                with_source: bool = True) -> argparse.ArgumentParser:
    """Parser with the options that every data set has; ``with_source`` those
    whose annotations and features come in forms that several have."""
    parser = cli.make_parser(description)
    add = parser.add_argument
    add('--check',
        type=Path,
        metavar='DIR',
        help='verify an existing data root instead, changing nothing')
    add('--out', type=Path, help='data root to write')
    parser.set_defaults(
        annotations=None,
        features=None,
        dtype=None,
        channels=None,
        channels_first=False)
    if not with_source:
        return parser
    add('--annotations', type=Path, help='file or folder; see docs/data.md')
    add('--features',
        type=Path,
        help='folder or *-JOINTFeatures.npy; without it the annotations '
        'alone are written')
    add('--dtype',
        choices=('float32', 'float16'),
        help='default: as in the source, bit for bit (float64 becomes '
        'float32); float16 halves the size, at a relative error of 5e-4, '
        'and refuses values beyond 65504')
    add('--channels',
        type=cli.at_least(1),
        help='D, where it is not the usual one')
    add('--channels-first',
        action='store_true',
        help='the arrays of --features are (D, T)')
    return parser


def read_source(args: argparse.Namespace) -> tuple[Annotations, Path | None]:
    """Annotations, and where the features are."""
    return read_annotations(args.annotations), args.features


def run(parser: argparse.ArgumentParser,
        args: argparse.Namespace,
        dataset_of: Callable[[Annotations], DataSet],
        read: Callable = read_source,
        *needs: str) -> int:
    """Prepares or checks as ``args`` of ``parser`` say.

    Args:
        dataset_of (Callable): What is known of the data set, given its
            annotations.
        read (Callable): See :func:`read_source`; features may also be arrays.
        *needs (str): The options that it reads.

    Returns:
        int: The exit status: 1 if anything is damaged or unusable, else 0.
    """
    needs = needs or ('annotations', )
    if not args.check and not all(getattr(args, n) for n in (*needs, 'out')):
        options = ', '.join(f'--{name}' for name in needs)
        parser.error(f'{options} and --out, or --check, are needed')
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, 'reconfigure'):
            # names of videos that the terminal cannot show
            stream.reconfigure(errors='backslashreplace')
    if args.check:
        annotations = read_annotations(
            args.check / 'annotations.json', strict=False)
    else:
        check_output(
            str(args.out / 'annotations.json'),
            inputs=[args.annotations] if args.annotations else [])
        annotations, features = read(args)
        print(f'{annotations.path}: {annotations.layout}')
    dataset = dataset_of(annotations)
    if args.channels:
        dataset = replace(dataset, channels=args.channels)
    if args.check:
        report = check(args.check, annotations, dataset)
        report.show()
        print('damaged' if report.damaged else 'sound')
    else:
        report = prepare(annotations, features, args.out, dataset, args.dtype,
                         args.channels_first)
        report.show()
        print(f'all names: {args.out / "report.json"}')
    return int(report.damaged)
