"""The command line that the preparing tools share."""
from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Callable

from _annotations import Annotations, load_json
from _check import check
from _prepare import prepare
from _report import DataSet


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Parser with the options that every data set has."""
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--check',
        type=Path,
        metavar='DIR',
        help='verify an existing data root instead, changing nothing')
    parser.add_argument(
        '--annotations', type=Path, help='file or folder; see docs/data.md')
    parser.add_argument(
        '--features',
        type=Path,
        help='folder or *-JOINTFeatures.npy; without it the annotations '
        'alone are written')
    parser.add_argument('--out', type=Path, help='data root to write')
    parser.add_argument(
        '--dtype',
        choices=('float32', 'float16'),
        help='default: as in the source, bit for bit (float64 becomes '
        'float32); float16 halves the size, at a relative error of 5e-4, '
        'and refuses values beyond 65504')
    parser.add_argument(
        '--channels', type=int, help='D, where it is not the usual one')
    parser.add_argument(
        '--length-tolerance',
        type=float,
        default=0.02,
        metavar='SHARE',
        help='tolerated share by which T may differ from floor(duration / '
        'step) (default: %(default)s; 2 snippets are always tolerated)')
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='write finished feature files again')
    return parser


def run(parser: argparse.ArgumentParser, args: argparse.Namespace,
        read: Callable[[argparse.Namespace], Annotations],
        dataset_of: Callable[[list[str]], DataSet]) -> int:
    """Prepares or checks as ``args`` say.

    Args:
        parser: For complaints about the arguments.
        args: What it parsed.
        read: Reads the annotations.
        dataset_of: The data set, given the class names.

    Returns:
        The exit status: 1 if anything is damaged or unusable, else 0.
    """
    if not args.check and not (args.annotations and args.out):
        parser.error('--annotations and --out, or --check, are needed')
    try:
        if args.check:
            content = load_json(args.check / 'annotations.json')
            dataset = dataset_of(content.get('classes') or [])
        else:
            annotations = read(args)
            print(f'{args.annotations}: {annotations.layout}')
            dataset = dataset_of(annotations.classes)
        if args.channels:
            dataset = replace(dataset, channels=args.channels)
        if args.check:
            report = check(args.check, dataset, args.length_tolerance)
            report.show(names=10)
            print('damaged' if report.damaged else 'sound')
        else:
            report = prepare(annotations, args.features, args.out, dataset,
                             args.dtype, args.length_tolerance, args.overwrite)
            report.show(names=10)
            print(f'all names: {args.out / "report.json"}')
    except (ValueError, FileNotFoundError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return int(report.damaged)
