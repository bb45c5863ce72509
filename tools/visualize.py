# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Draw one picture per video from dumped scores, without the network.

    python tools/test.py CONFIG CHECKPOINT --dump out.npz
    python tools/visualize.py out.npz
"""
from __future__ import annotations

import argparse
from pathlib import Path

from mmaction_actiondiff import cli
from mmaction_actiondiff.dumps import read_dump
from mmaction_actiondiff.files import whole_file
from mmaction_actiondiff.visualization import draw_video, file_name


def parse_args() -> argparse.Namespace:
    parser = cli.make_parser(__doc__, cli.VideoNameParser)
    add = parser.add_argument
    add('dump', help='written by tools/test.py --dump')
    add('--out', help='folder for NAME.png, by default pictures/ beside DUMP')
    which = parser.add_mutually_exclusive_group()
    which.add_argument('--videos', nargs='+', help='draw these videos only')
    which.add_argument(
        '--num', type=cli.at_least(1), help='draw the first NUM videos')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with cli.command():
        folder = Path(args.out or Path(args.dump).parent / 'pictures')
        if args.out:
            cli.check_output(f'{folder}/NAME.png')
        dumped, classes = read_dump(args.dump)
        samples = {sample['video_name']: sample for sample in dumped}
        names = args.videos or list(samples)[:args.num]
        missing = [name for name in names if name not in samples]
        if missing:
            raise cli.UsageError(
                f'{args.dump} has no videos {missing} but {len(samples)} '
                f'others, such as {list(samples)[:5]}')
        for name in names:
            path = folder / f'{file_name(name)}.png'
            with whole_file(path) as file:
                draw_video(samples[name], classes).savefig(file)
            print(path)


if __name__ == '__main__':
    main()
