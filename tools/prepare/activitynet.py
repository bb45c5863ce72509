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
from pathlib import Path

from _annotations import Annotations, read_annotations
from _cli import make_parser, run
from _report import DataSet

# by number of classes: version, training videos, validation videos
VERSIONS = {100: ('v1.2', 4819, 2383), 200: ('v1.3', 10024, 4926)}


def dataset_of(classes: list[str]) -> DataSet:
    """The version is told by the number of classes.

    Raises:
        ValueError: If it is neither 100 nor 200.
    """
    if len(classes) not in VERSIONS:
        raise ValueError(
            f'expected the 100 classes of v1.2 or the 200 of v1.3, found '
            f'{len(classes)}; prepare a part of the data set with custom.py')
    version, training, validation = VERSIONS[len(classes)]
    return DataSet(
        name=f'ActivityNet {version}',
        subsets=dict(
            train='training',
            training='training',
            val='validation',
            validation='validation',
            test='testing',
            testing='testing'),
        num_classes=len(classes),
        expected=dict(
            training=[(training, None)], validation=[(validation, None)]))


def read(args: argparse.Namespace) -> Annotations:
    """Reads the annotations; anet_anno files have no subsets."""
    annotations = read_annotations(args.annotations)
    if args.val_annotations:
        validation = read_annotations(args.val_annotations)
        for name, record in annotations.database.items():
            record['subset'] = 'training'
        for name, record in validation.database.items():
            if name in annotations.database:
                raise ValueError(f'{name} is in {args.annotations} and in '
                                 f'{args.val_annotations}')
            annotations.database[name] = dict(record, subset='validation')
        annotations.classes = sorted(
            set(annotations.classes) | set(validation.classes))
    elif args.subset_of:
        subsets = read_annotations(args.subset_of).database
        for name, record in annotations.database.items():
            record['subset'] = subsets.get(name, {}).get('subset', '')
    elif not any('subset' in r for r in annotations.database.values()):
        raise ValueError(
            f'{args.annotations} does not say which videos are for training: '
            'give --val-annotations (anet_anno_val.json beside '
            'anet_anno_train.json) or --subset-of (an official json or a '
            '*-Annotations folder)')
    return annotations


def main(argv: list[str] | None = None) -> int:
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
    return run(parser, parser.parse_args(argv), read, dataset_of)


if __name__ == '__main__':
    sys.exit(main())
