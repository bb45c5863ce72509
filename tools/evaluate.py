# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Evaluate a file of detections, without a model.

docs/protocols.md says what the protocols are.
"""
from __future__ import annotations

from mmaction_actiondiff import cli
from mmaction_actiondiff.evaluation import (PROTOCOLS, evaluate_files,
                                            make_protocol)


def main() -> None:
    parser = cli.make_parser(__doc__, cli.VideoNameParser)
    add = parser.add_argument
    add('--detections',
        required=True,
        help='json in the ActivityNet schema, {"results": {VIDEO: [{"label", '
        '"segment": [start, end], "score"}]}}, times in seconds')
    add('--ann-file',
        required=True,
        help='ground truth: our annotations.json or another json of the '
        'ActivityNet schema, a gt.json, or a *-Annotations folder of npy '
        'files')
    add('--subset',
        help='subset to evaluate, by default the first of test and '
        'validation that has instances')
    add('--protocol', default='seconds212', choices=list(PROTOCOLS))
    add('--seconds-per-snippet',
        type=float,
        default=16 / 25,
        help='for protocols that count in snippets, where the annotations do '
        'not say it; 0.64 by default')
    add('--exclude', nargs='*', metavar='VIDEO', help='videos left out')
    add('--tiou-thrs', nargs='+', type=float, metavar='THR')
    add('--averages',
        nargs='+',
        metavar='LOW:HIGH',
        help='ranges of thresholds to average over, as in 0.1:0.7')
    add('--json', metavar='OUT', help='write the numbers here')
    args = parser.parse_args()
    if args.json:
        cli.check_output(args.json, inputs=[args.detections, args.ann_file])
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
    with cli.command():
        main()
