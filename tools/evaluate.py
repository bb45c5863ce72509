# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Evaluate a file of detections, without a model.

The protocols are described in `mmaction_actiondiff/evaluation/protocols.py`;
each option below the line of `--protocol` replaces one part of it.
"""
from __future__ import annotations

import argparse
from collections.abc import Sequence

from mmaction_actiondiff.cli import VideoNameParser, check_output, command
from mmaction_actiondiff.evaluation import (PROTOCOLS, evaluate_files,
                                            make_protocol)

_PARTS = ('gt_unit', 'exclude', 'ambiguous', 'interpolated', 'tiou_thrs',
          'averages', 'outside')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = VideoNameParser(description=__doc__)
    parser.add_argument(
        '--detections',
        required=True,
        help='json in the ActivityNet schema, {"results": {VIDEO: [{"label", '
        '"segment": [start, end], "score"}]}}, times in seconds')
    parser.add_argument(
        '--ann-file',
        required=True,
        help='ground truth: our annotations.json or another json of the '
        'ActivityNet schema, a gt.json, or a *-Annotations folder of npy '
        'files')
    parser.add_argument(
        '--subset',
        help='subset to evaluate, by default the first of test and '
        'validation that has instances')
    parser.add_argument(
        '--protocol', default='seconds212', choices=list(PROTOCOLS))
    parser.add_argument('--gt-unit', choices=['seconds', 'snippets'])
    parser.add_argument(
        '--seconds-per-snippet',
        type=float,
        default=16 / 25,
        help='for --gt-unit snippets, where the annotations do not say it; '
        '0.64 by default')
    parser.add_argument(
        '--exclude', nargs='*', metavar='VIDEO', help='videos left out')
    parser.add_argument(
        '--ambiguous',
        choices=['ignore', 'drop'],
        help='drop the detections that overlap an ambiguous span, or not')
    parser.add_argument(
        '--interpolated',
        action=argparse.BooleanOptionalAction,
        help='interpolate the precision (VOC 2011)')
    parser.add_argument('--tiou-thrs', nargs='+', type=float, metavar='THR')
    parser.add_argument(
        '--averages',
        nargs='+',
        metavar='LOW:HIGH',
        help='ranges of thresholds to average over, as in 0.1:0.7')
    parser.add_argument(
        '--outside',
        choices=['drop', 'false_positive'],
        help='what becomes of detections in other videos')
    parser.add_argument('--json', metavar='OUT', help='write the numbers here')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    if args.json:
        check_output(args.json, inputs=[args.detections, args.ann_file])
    parts = {
        key: getattr(args, key)
        for key in _PARTS if getattr(args, key) is not None
    }
    result = evaluate_files(args.detections, args.ann_file,
                            make_protocol(args.protocol, **parts), args.subset,
                            args.seconds_per_snippet, args.json)
    print(result.table())


if __name__ == '__main__':
    with command():
        main()
