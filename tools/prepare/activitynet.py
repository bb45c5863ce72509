# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Prepares ActivityNet v1.2 (100 classes) or v1.3 (200 classes).

Annotations: an ActivityNet1.x-Annotations folder (CO2-Net, DELU, DDG-Net),
the official json, or MMAction2's anet_anno_*.json.
Features (I3D, 25 fps, 16 frames): ActivityNet1.x-I3D-JOINTFeatures.npy, or a
folder with rgb/ and flow/, with NAME_rgb.npy and NAME_flow.npy, or with
NAME.npy; NAME with or without a leading v_.
"""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmaction_actiondiff.annotations import Annotations
from mmaction_actiondiff.cli import command
from mmaction_actiondiff.prepare import (activitynet, add_subsets, make_parser,
                                         read_source, run)


def read(args: argparse.Namespace) -> tuple[Annotations, Path | None]:
    """Reads the annotations; anet_anno files have no subsets."""
    annotations, features = read_source(args)
    add_subsets(annotations, args.val_annotations, args.subset_of)
    return annotations, features


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    parser = make_parser(__doc__)
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        '--val-annotations',
        type=Path,
        metavar='FILE',
        help='anet_anno_val.json, if --annotations is anet_anno_train.json')
    group.add_argument(
        '--subset-of',
        type=Path,
        metavar='PATH',
        help='where to read the subsets from, if --annotations is '
        'anet_anno_action.json or anet_anno_full.json')
    return run(parser, parser.parse_args(argv), activitynet, read)


if __name__ == '__main__':
    with command():
        sys.exit(main())
