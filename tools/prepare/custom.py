"""Prepares a data set of your own from a json and a folder of features.

The json is in the ActivityNet schema; times are in seconds::

    {"classes": ["jump", "wave"],
     "database": {
       "a01": {"subset": "training", "labels": ["wave"]},
       "b07": {"subset": "test", "duration": 31.2, "annotations": [
                 {"label": "jump", "segment": [2.4, 5.0]}]}}}

Training needs ``labels`` alone; ``annotations`` are for judging, and their
labels are the video's if it has no ``labels``. Without ``classes`` they are
the labels that occur, sorted; without ``duration`` it is taken from the
features. ``ambiguous`` ([[start, end], ...]) is optional.
"""
from __future__ import annotations

import argparse
import sys

from _annotations import Annotations, read_annotations
from _cli import make_parser, run
from _report import DataSet


def read(args: argparse.Namespace) -> Annotations:
    """Reads the json."""
    return read_annotations(args.annotations)


def main(argv: list[str] | None = None) -> int:
    """Runs the command line."""
    parser = make_parser(__doc__)
    parser.add_argument(
        '--seconds-per-snippet',
        type=float,
        default=16 / 25,
        metavar='SECONDS',
        help='stride / fps of the features (default: %(default)s, 16 frames '
        'at 25 fps)')
    args = parser.parse_args(argv)
    if args.seconds_per_snippet <= 0:
        parser.error('--seconds-per-snippet must be > 0')
    dataset = DataSet(
        name='custom',
        seconds_per_snippet=args.seconds_per_snippet,
        channels=None)
    return run(parser, args, read, lambda _: dataset)


if __name__ == '__main__':
    sys.exit(main())
