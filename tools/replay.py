"""Make and judge proposals again from dumped scores, without the network.

Dump once:

    python tools/test.py CONFIG CHECKPOINT --dump out.pkl

then try proposal settings in seconds:

    python tools/replay.py CONFIG out.pkl \
        --cfg-options model.proposal_generator.outer_ratio=0.3

The dump is a pickle, and loading a pickle can run any code: open only what
you have written yourself.
"""
from __future__ import annotations

import argparse
import sys
import time

import mmengine
import numpy as np
import torch
from mmaction.registry import DATASETS, TASK_UTILS
from mmengine.config import DictAction
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope

from mmaction_actiondiff import cli


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file of the model')
    parser.add_argument('dump', help='pickle written by tools/test.py --dump')
    parser.add_argument(
        '--out', help='write the detections here (ActivityNet json)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        help='override settings of the config, key=value')
    parser.set_defaults(work_dir=None, launcher='none', local_rank=0)
    return parser.parse_args()


def replay(sample: dict, generator) -> dict:
    """The sample with proposals made anew from its dumped curves."""
    if 'pred_snippets' not in sample:
        sys.exit(f"Error: {sample['video_name']}: no pred_snippets in the "
                 'dump; write it with tools/test.py --dump')
    curves = sample['pred_snippets']
    segments, labels, scores = generator(
        np.asarray(curves['score']).T,
        np.asarray(curves['attention']).reshape(-1),
        np.asarray(sample['pred_score']), sample['seconds_per_snippet'],
        sample.get('duration'))
    instances = dict(
        segments=torch.from_numpy(segments),
        labels=torch.from_numpy(labels),
        scores=torch.from_numpy(scores))
    return dict(sample, pred_instances=instances)


def to_activitynet(samples: list, classes: list) -> dict:
    """Detections in the format of the ActivityNet challenge."""
    results = {}
    for sample in samples:
        fields = [
            sample['pred_instances'][key].tolist()
            for key in ('segments', 'labels', 'scores')
        ]
        results[sample['video_name']] = [
            dict(label=classes[label], segment=segment, score=score)
            for segment, label, score in zip(*fields)
        ]
    return dict(version='VERSION 1.3', results=results, external_data={})


def main() -> None:
    args = parse_args()
    with cli.command():
        cfg = cli.load_config(args)
        init_default_scope(cfg.get('default_scope', 'mmaction'))
        generator = TASK_UTILS.build(cfg.model.proposal_generator)
        dataset_meta = DATASETS.build(cfg.test_dataloader.dataset).metainfo
        evaluator = Evaluator(cfg.test_evaluator)
        evaluator.dataset_meta = dataset_meta

        samples = mmengine.load(args.dump)
        start = time.perf_counter()
        samples = [replay(sample, generator) for sample in samples]
        seconds = time.perf_counter() - start
        print(f'{len(samples)} videos: proposals took {seconds:.2f} s')
        if args.out:
            mmengine.dump(
                to_activitynet(samples, dataset_meta['classes']), args.out)
        for name, value in evaluator.offline_evaluate(samples).items():
            print(f'{name:<24}{value:8.2f}')


if __name__ == '__main__':
    main()
