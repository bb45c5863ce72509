# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Prepares THUMOS14 (temporal detection, 20 classes) from any of its forms.

Annotations: a Thumos14reduced-Annotations folder (CO2-Net, DELU, DDG-Net),
gt.json with split_train.txt and split_test.txt (CoLA, UM, BaS-Net, ASM-Loc),
or the folder of the official text files.
Features (I3D, 25 fps, 16 frames): Thumos14reduced-I3D-JOINTFeatures.npy, or a
folder with rgb/ and flow/, with NAME_rgb.npy and NAME_flow.npy, or with
NAME.npy.
"""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmaction_actiondiff.annotations import Annotations
from mmaction_actiondiff.cli import command
from mmaction_actiondiff.prepare import THUMOS14, make_parser, read_source, run


def read(args: argparse.Namespace) -> tuple[Annotations, Path | None]:
    """Reads the annotations and what is given beside them."""
    annotations, features = read_source(args)
    for path in args.ambiguous:
        annotations.add_ambiguous(path)
    for path in args.durations:
        annotations.add_durations(path)
    return annotations, features


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    parser = make_parser(__doc__)
    for name, what in (('ambiguous',
                        'Ambiguous_*.txt, for layouts that do not contain it'),
                       ('durations',
                        'th14_*_durations.txt, for gt.json, which has none')):
        parser.add_argument(
            f'--{name}',
            type=Path,
            nargs='+',
            default=[],
            metavar='FILE',
            help=what)
    return run(parser, parser.parse_args(argv), lambda _: THUMOS14, read)


if __name__ == '__main__':
    with command():
        sys.exit(main())
