# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Turn videos into snippet features with a recognizer of MMAction2.

    python tools/extract_features.py RECOGNIZER_CONFIG CHECKPOINT videos/ \\
        --out data/mine/features --stride 16 --fps 25

Each video gives NAME.npy, float32 (T, D), and NAME.json, which says how it was
made: with it, preparation and inference know the seconds of every snippet.
What is there already is not made again. CONFIG is a path or
mmaction::recognition/... for a config that MMAction2 brings. A video that
cannot be decoded does not stop the others: it is named at the end, and the
exit status is 1.
"""
from __future__ import annotations

import argparse
import os

from rich.progress import track

from mmaction_actiondiff import cli
from mmaction_actiondiff.features import (VIDEO_SUFFIXES, FeatureExtractor,
                                          list_files)


def parse_args() -> argparse.Namespace:
    parser = cli.make_parser(__doc__)
    add = parser.add_argument
    add('config', help='config of the recognizer')
    add('checkpoint', help='its weights, a path or a URL')
    add('videos', nargs='+', help='videos and folders of them')
    add('--out', required=True, help='folder of the features')
    add('--stride',
        type=int,
        default=16,
        help='frames from a window to the next (default: 16)')
    add('--window',
        type=int,
        help='frames that a window spans (default: what the network takes)')
    add('--fps',
        type=float,
        help='resample videos to this rate (default: as they are)')
    add('--batch-size', type=int, default=8, help='windows at once')
    add('--device', type=cli.device, help='cpu, cuda, cuda:1, ...')
    return parser.parse_args()


def main() -> None:
    args = vars(parse_args())
    with cli.command():
        folder = args.pop('out')
        cli.check_output(f'{folder}/NAME.npy')
        videos: list[str] = []
        for path in args.pop('videos'):
            videos += list_files(
                path, VIDEO_SUFFIXES) if os.path.isdir(path) else [path]
        cli.refuse_same_names(videos)
        extractor = FeatureExtractor(
            args.pop('config'), args.pop('checkpoint'), **args)
        made, errors = 0, []
        for video in track(videos, 'Extracting'):
            try:
                made += extractor.write(video, folder)
            except (FileNotFoundError, ValueError) as error:
                errors.append(str(error))
    there = len(videos) - made - len(errors)
    print(f'{folder}: {made} videos extracted, {there} were there')
    cli.end_with(errors, len(videos))


if __name__ == '__main__':
    main()
