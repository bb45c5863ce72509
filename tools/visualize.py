"""Draw one picture per video from dumped scores, without the network.

    python tools/test.py CONFIG CHECKPOINT --dump out.pkl
    python tools/visualize.py out.pkl --config CONFIG

The dump is a pickle, and loading a pickle can run any code: open only what
you have written yourself.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

import mmengine
from mmaction.registry import DATASETS
from mmengine.registry import init_default_scope

from mmaction_actiondiff import cli
from mmaction_actiondiff.visualization import draw_video


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('dump', help='pickle written by tools/test.py --dump')
    parser.add_argument(
        '--out', help='folder for NAME.png, by default pictures/ beside DUMP')
    parser.add_argument('--config', help='config file, for the class names')
    parser.set_defaults(
        cfg_options={}, work_dir=None, launcher='none', local_rank=0)
    which = parser.add_mutually_exclusive_group()
    which.add_argument('--videos', nargs='+', help='draw these videos only')
    which.add_argument('--num', type=int, help='draw the first NUM videos')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with cli.command():
        classes = None
        if args.config:
            cfg = cli.load_config(args)
            init_default_scope(cfg.get('default_scope', 'mmaction'))
            dataset = DATASETS.build(cfg.test_dataloader.dataset)
            classes = dataset.metainfo['classes']
        samples = {s['video_name']: s for s in mmengine.load(args.dump)}
        names = args.videos or list(samples)[:args.num]
        missing = [name for name in names if name not in samples]
        if missing:
            sys.exit(f'Error: {args.dump} has no videos {missing} but '
                     f'{len(samples)} others, such as {list(samples)[:5]}')
        folder = Path(args.out or Path(args.dump).parent / 'pictures')
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            path = folder / f'{name}.png'
            draw_video(samples[name], classes).savefig(path)
            print(path)


if __name__ == '__main__':
    main()
