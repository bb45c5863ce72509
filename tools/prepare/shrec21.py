# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Prepares the SHREC'21 hand-gesture recordings from the track's raw files.

The page of the SHREC 2021 track on skeleton-based hand gesture recognition in
the wild offers a training and a test archive; unpack both. Take the revised
annotations.
"""
from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from mmaction_actiondiff.cli import command
from mmaction_actiondiff.prepare import make_parser, run, shrec21


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    parser = make_parser(__doc__, with_source=False)
    for subset in ('training', 'test'):
        parser.add_argument(
            f'--{subset}',
            type=Path,
            nargs=2,
            metavar=('FOLDER', 'ANNOTATIONS'),
            help=f'recordings NUMBER.txt and annotations of the {subset} set')
    return run(
        parser, parser.parse_args(argv), lambda _: shrec21.SHREC21,
        lambda args: shrec21.read(
            dict(training=args.training, test=args.test)), 'training', 'test')


if __name__ == '__main__':
    with command():
        sys.exit(main())
