# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Prepares the HAPT smartphone recordings from the raw files of the archive.

UCI's page of "Smartphone-Based Recognition of Human Activities and Postural
Transitions" offers one archive; unpack it.
"""
from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from mmaction_actiondiff.cli import command
from mmaction_actiondiff.prepare import hapt, make_parser, run


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    parser = make_parser(__doc__, with_source=False)
    parser.add_argument(
        '--raw', type=Path, metavar='FOLDER', help='RawData of the archive')
    return run(parser, parser.parse_args(argv), lambda _: hapt.HAPT,
               lambda args: hapt.read(args.raw), 'raw')


if __name__ == '__main__':
    with command():
        sys.exit(main())
