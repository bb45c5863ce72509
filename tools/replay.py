# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Make and evaluate proposals again from dumped scores, without the network.

Dump once:

    python tools/test.py CONFIG CHECKPOINT --dump out.npz

then try proposal settings in seconds:

    python tools/replay.py CONFIG out.npz \
        --cfg-options model.proposal_generator.outer_ratio=0.3

The classes that get proposals in a video are the network's choice
(model.video_score_thr) and stand in the dump.
"""
from __future__ import annotations

import argparse
import time
from typing import Any, Callable

import torch
from mmaction.registry import TASK_UTILS
from mmengine.evaluator import Evaluator

from mmaction_actiondiff import cli
from mmaction_actiondiff.apis import writers
from mmaction_actiondiff.dumps import read_dump

_READ = ('model.proposal_generator', 'test_evaluator')


def parse_args() -> argparse.Namespace:
    parser = cli.make_parser(__doc__)
    add = parser.add_argument
    add('config', help='path of the config')
    add('dump', help='written by tools/test.py --dump')
    add('--out', help='write the detections here (ActivityNet json)')
    cli.add_config_options(
        parser, 'override settings of the config, KEY=VALUE, where KEY starts '
        f'with {" or ".join(_READ)}')
    parser.set_defaults(work_dir=None, launcher='none', local_rank=0)
    return parser.parse_args()


def check_options(options: dict[str, Any]) -> None:
    """Refuse options that only the network or the data set reads."""
    for key in options:
        if not f'{key}.'.startswith(tuple(f'{name}.' for name in _READ)):
            raise cli.UsageError(
                f'{key} changes nothing here: a replay reads the dump, '
                f'{" and ".join(_READ)}. Run tools/test.py with this option, '
                'and replay its dump')


def replay(sample: dict, generator: Callable) -> dict:
    """The sample with proposals made anew from its dumped curves."""
    lacking = {'pred_snippets', 'pred_classes', 'pred_score'} - sample.keys()
    if lacking:
        raise cli.UsageError(
            f"{sample['video_name']}: the dump has no {sorted(lacking)}; only "
            'weakly supervised localizers can be replayed')
    curves = sample['pred_snippets']
    contrast = curves.get('contrast')
    segments, labels, scores = generator(
        curves['score'].T,
        curves['attention'].reshape(-1),
        sample['pred_score'],
        sample['pred_classes'],
        sample['seconds_per_snippet'],
        sample.get('duration'),
        sample.get('snippet_offset', 0.),
        contrast=None if contrast is None else contrast.T)
    instances = dict(
        segments=torch.from_numpy(segments),
        labels=torch.from_numpy(labels),
        scores=torch.from_numpy(scores))
    return dict(sample, pred_instances=instances)


def main() -> None:
    args = parse_args()
    with cli.command():
        check_options(args.cfg_options)
        if args.out:
            if not args.out.endswith('.json'):
                raise cli.UsageError(f'--out writes json: name {args.out}.json'
                                     f', not {args.out}')
            cli.check_output(args.out)
        cfg = cli.load_config(args)
        if 'proposal_generator' not in cfg.model:
            raise cli.UsageError(
                f'{cfg.model.type} of {args.config} has no proposal_generator '
                'to replay')
        generator = TASK_UTILS.build(cfg.model.proposal_generator)
        evaluator = Evaluator(cfg.test_evaluator)
        samples, classes = read_dump(args.dump)
        if len(classes) != cfg.model.num_classes:
            raise cli.UsageError(
                f'{args.dump} has {len(classes)} classes, the model of '
                f'{args.config} has {cfg.model.num_classes}')
        evaluator.dataset_meta = dict(classes=classes)
        start = time.perf_counter()
        samples = [replay(sample, generator) for sample in samples]
        seconds = time.perf_counter() - start
        print(f'{len(samples)} videos: proposals took {seconds:.2f} s')
        if args.out:
            writers.write_samples(args.out, samples, classes)
        for name, value in evaluator.offline_evaluate(samples).items():
            print(f'{name:<24}{value:8.2f}')


if __name__ == '__main__':
    main()
