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
from pathlib import Path

from _annotations import Annotations, read_annotations
from _cli import make_parser, run
from _report import DataSet

THUMOS14 = DataSet(
    name='THUMOS14',
    # trained on what the challenge calls the validation videos
    subsets=dict(
        train='training',
        training='training',
        val='training',
        validation='training',
        test='test',
        testing='test'),
    num_classes=20,
    expected=dict(training=[(200, 3007)], test=[(212, 3358), (210, 3311)]),
    exact=True,
    oddities={
        'video_test_0000270':
        '29 HammerThrow, 22 of them beyond the end of the video; not in the '
        'list of 210 test videos',
        'video_test_0001496':
        'labelled FrisbeeCatch, but its 18 segments are CricketShot; not in '
        'the list of 210 test videos',
        'video_test_0000814':
        '3 segments beyond the end cannot be found by any method',
        'video_test_0001081':
        '1 segment beyond the end cannot be found by any method',
    })


def read(args: argparse.Namespace) -> Annotations:
    """Reads the annotations and what is given beside them."""
    annotations = read_annotations(args.annotations)
    for path in args.ambiguous:
        annotations.add_ambiguous(path)
    for path in args.durations:
        annotations.add_durations(path)
    return annotations


def main(argv: list[str] | None = None) -> int:
    """Runs the command line."""
    parser = make_parser(__doc__)
    parser.add_argument(
        '--ambiguous',
        type=Path,
        nargs='+',
        default=[],
        metavar='FILE',
        help='Ambiguous_*.txt, for layouts that do not contain it')
    parser.add_argument(
        '--durations',
        type=Path,
        nargs='+',
        default=[],
        metavar='FILE',
        help='th14_*_durations.txt, for gt.json, which has no durations')
    return run(parser, parser.parse_args(argv), read, lambda _: THUMOS14)


if __name__ == '__main__':
    sys.exit(main())
