"""Judge a file of detections, without a model.

The protocols are described in `mmaction_actiondiff/evaluation/protocols.py`;
each option below the line of `--protocol` replaces one part of it.
"""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from mmaction_actiondiff.evaluation import (PROTOCOLS, Judgement, judge,
                                            make_protocol, read_detections,
                                            read_ground_truth)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
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
        help='subset to judge, by default the first of test, testing, '
        'validation, val that has instances')
    parser.add_argument(
        '--protocol', default='seconds212', choices=list(PROTOCOLS))
    parser.add_argument('--gt-unit', choices=['seconds', 'snippets'])
    parser.add_argument(
        '--seconds-per-snippet',
        type=float,
        default=16 / 25,
        help='for --gt-unit snippets; 0.64 by default')
    parser.add_argument(
        '--exclude', nargs='*', metavar='VIDEO', help='videos not judged')
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
        help='what becomes of detections in videos that are not judged')
    parser.add_argument('--json', metavar='OUT', help='write the numbers here')
    return parser.parse_args()


def evaluate(args: argparse.Namespace) -> Judgement:
    parts = {
        key: getattr(args, key)
        for key in ('gt_unit', 'exclude', 'ambiguous', 'interpolated',
                    'tiou_thrs', 'outside') if getattr(args, key) is not None
    }
    if args.averages is not None:
        try:
            parts['averages'] = [[float(end) for end in item.split(':')]
                                 for item in args.averages]
            assert all(len(item) == 2 for item in parts['averages'])
        except (ValueError, AssertionError):
            raise ValueError('--averages takes ranges like 0.1:0.7, got '
                             f'{" ".join(args.averages)}') from None
    protocol = make_protocol(args.protocol, **parts)
    truth = read_ground_truth(args.ann_file, args.subset,
                              args.seconds_per_snippet)
    detections = read_detections(args.detections, truth.classes)
    if detections and not set(detections) & set(truth.videos):
        raise ValueError(
            f'{args.detections}: none of its {len(detections)} videos '
            f'(such as {next(iter(detections))}) is among the '
            f'{len(truth.videos)} to judge in {args.ann_file} (such as '
            f'{next(iter(truth.videos))})')
    return judge(truth.videos, detections, len(truth.classes), protocol)


def main() -> None:
    args = parse_args()
    try:
        judgement = evaluate(args)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(judgement.table())
    if args.json:
        Path(args.json).write_text(
            json.dumps(judgement.to_dict(), indent=2) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
