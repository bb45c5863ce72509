# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Evaluate a file of detections, without a model.

docs/protocols.md says what the protocols are.
"""
from __future__ import annotations

import argparse
from collections.abc import Sequence

from mmaction_actiondiff.cli import VideoNameParser, check_output, command
from mmaction_actiondiff.evaluation import (PROTOCOLS, evaluate_files,
                                            make_protocol)



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
    parser.add_argument(
        '--seconds-per-snippet',
        type=float,
        default=16 / 25,
        help='for protocols that count in snippets, where the annotations do '
        'not say it; 0.64 by default')
    parser.add_argument(
        '--exclude', nargs='*', metavar='VIDEO', help='videos left out')
    parser.add_argument('--tiou-thrs', nargs='+', type=float, metavar='THR')
    parser.add_argument(
        '--averages',
        nargs='+',
        metavar='LOW:HIGH',
        help='ranges of thresholds to average over, as in 0.1:0.7')
    parser.add_argument('--json', metavar='OUT', help='write the numbers here')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    if args.json:
        check_output(args.json, inputs=[args.detections, args.ann_file])
    parts = {
        key: getattr(args, key)
        for key in ('exclude', 'tiou_thrs', 'averages')
        if getattr(args, key) is not None
    }
    result = evaluate_files(args.detections, args.ann_file,
                            make_protocol(args.protocol, **parts), args.subset,
                            args.seconds_per_snippet, args.json)
    print(result.table())


if __name__ == '__main__':
    with command():
        main()
