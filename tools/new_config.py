"""Write a config for your own data: tools/prepare/custom.py made DATA_ROOT.

    python tools/new_config.py data/mine --out mine.py
    python tools/train.py mine.py

It inherits configs/actiondiff_custom.py and sets what your data say: classes,
channels, subsets. Training needs a label for each video and nothing else;
without annotated segments nothing is evaluated.
"""
from __future__ import annotations

import argparse
import os
from collections import Counter
from pathlib import Path

from mmaction_actiondiff import cli
from mmaction_actiondiff.annotations import Annotations, read_annotations
from mmaction_actiondiff.safe_npy import open_feature

_BASE = Path(__file__).resolve().parents[1] / 'configs/actiondiff_custom.py'
_EVALUATED = ('test', 'validation')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'data_root', help='folder with annotations.json and features/')
    parser.add_argument('--out', required=True, help='the config, FILE.py')
    parser.add_argument(
        '--streams',
        type=int,
        nargs='+',
        metavar='CHANNELS',
        help='channels of each stream, as in 1024 1024, for branches that '
        'tell them apart')
    parser.add_argument(
        '--seconds-per-snippet',
        type=float,
        help='stride / fps of the features, if the annotations do not say it')
    args = parser.parse_args()
    if not args.out.endswith('.py'):
        parser.error(f'--out must end in .py, got {args.out}')
    return args


def find_streams(root: Path, annotations: Annotations,
                 given: list[int] | None) -> list[int]:
    """Channels of each stream, which must add up to those of a file."""
    files = sorted((root / 'features').glob('*.npy'))
    if not files:
        raise cli.UsageError(
            f'{root}/features: expected NAME.npy, found none; '
            'run tools/prepare/custom.py --features')
    channels = open_feature(files[0]).shape[1]
    streams = given or annotations.stream_channels or [channels]
    if sum(streams) != channels:
        raise cli.UsageError(f'{files[0]} has {channels} channels, streams '
                             f'{streams} have {sum(streams)}')
    return streams


def check_clock(annotations: Annotations, given: float | None) -> None:
    """Every video must say when its snippets are."""
    bare = [v.name for v in annotations.videos.values() if not v.grid]
    if given is None and bare:
        raise cli.UsageError(
            f'{annotations.path}: nothing says how many seconds a snippet of '
            f'{bare[0]} covers: give --seconds-per-snippet')


def write(annotations: Annotations, root: Path, streams: list[int],
          seconds: float | None, out: Path) -> str:
    """The text of the config."""
    number = Counter(video.subset for video in annotations.videos.values())
    if not number['training']:
        raise cli.UsageError(
            f'{annotations.path}: expected videos of the subset "training", '
            f'found {dict(number)}')
    annotated = Counter(video.subset for video in annotations.videos.values()
                        if len(video.segments))
    evaluated = next((s for s in _EVALUATED if annotated[s]), None)
    tested = evaluated or next(
        (s for s in _EVALUATED if number[s]), 'training')
    labels = Counter(label for video in annotations.videos.values()
                     if video.subset == 'training'
                     for label in video.video_labels)
    common = 'data_root=data_root'
    if seconds is not None:
        common += f', seconds_per_snippet={seconds}'
    sizes = ', '.join(f'{n} {subset}' for subset, n in number.items())
    base = os.path.relpath(_BASE, out.resolve().parent)
    lines = [
        f'# {len(annotations.classes)} classes, videos: {sizes}.',
        f'_base_ = [{base!r}]', '', f'data_root = {str(root)!r}',
        f'model = dict(num_classes={len(annotations.classes)}, '
        f'stream_channels={streams})', 'train_dataloader = dict('
    ]
    if max(labels.values(), default=0) < 2:
        lines.append('    # no class has two videos to make a pair of')
        lines.append('    batch_sampler=dict(num_pairs=0),')
    lines.append(f'    dataset=dict({common}))')
    dataset = f'dict(dataset=dict({common}, subset={tested!r}))'
    if evaluated:
        lines += [
            f'val_dataloader = {dataset}', 'test_dataloader = val_dataloader'
        ]
    else:
        lines += [
            '# No video outside of the training has annotated segments: '
            'nothing is',
            '# evaluated. tools/infer.py writes the segments that the model '
            'proposes.', f'test_dataloader = {dataset}',
            'val_dataloader = None', 'val_evaluator = None', 'val_cfg = None',
            'default_hooks = dict(checkpoint=dict(save_best=None))'
        ]
    return '\n'.join(lines) + '\n'


def main() -> None:
    args = parse_args()
    with cli.command():
        root, out = Path(args.data_root), Path(args.out)
        annotations = read_annotations(root / 'annotations.json')
        cli.check_output(args.out, overwrite=False)
        check_clock(annotations, args.seconds_per_snippet)
        text = write(annotations, root,
                     find_streams(root, annotations, args.streams),
                     args.seconds_per_snippet, out)
        out.write_text(text)
    print(f'{text}\nwritten to {out}')


if __name__ == '__main__':
    main()
