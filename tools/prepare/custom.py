# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Prepares a data set of your own from a json and a folder of features.

The json is in the ActivityNet schema; times are in seconds::

    {"classes": ["jump", "wave"],
     "database": {
       "a01": {"subset": "training", "labels": ["wave"]},
       "b07": {"subset": "test", "duration": 31.2, "annotations": [
                 {"label": "jump", "segment": [2.4, 5.0]}]},
       "c03": {"subset": "test", "fps": 30, "stride": 4, "window": 16}}}

Training needs ``labels`` alone; ``annotations`` are for evaluation, and their
labels are the video's if it has no ``labels``. Without ``classes`` they are
the labels that occur, sorted; without ``duration`` it is taken from the
features. ``ambiguous`` ([[start, end], ...]) is optional. The features are
one file per video (.npy, .npz, .pt, .csv or .h5), or one per stream; when
their snippets are is said by the record, by a NAME.json beside the features
(``stride``, ``fps``, ``window``), or by the options below.
"""
from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from mmaction_actiondiff.cli import command
from mmaction_actiondiff.prepare import custom, make_parser, run, train_command


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    parser = make_parser(__doc__)
    parser.add_argument(
        '--seconds-per-snippet',
        type=float,
        metavar='SECONDS',
        help='stride / fps of the features (default: what the json says, '
        'else 0.64, 16 frames at 25 fps)')
    for name, what in (('stride', 'frames from a snippet to the next'),
                       ('window', 'frames that a snippet sees, if more or '
                        'less than the stride'),
                       ('fps', 'rate at which frames were taken from the '
                        'videos')):
        parser.add_argument(f'--{name}', type=float, help=what)
    args = parser.parse_args(argv)
    status = run(parser, args, lambda found: custom(found, vars(args)))
    if args.features and not args.check:
        # a clone, or where mim has put it
        home = Path(__file__).resolve().parents[2]
        if home == Path.cwd():
            home = Path()
        print('Next:\n ', train_command(args.out, home))
    return status


if __name__ == '__main__':
    with command():
        sys.exit(main())
