"""Measure a trained localizer: recall, speed, size.

Judges the checkpoint on the test data by the metrics of its config and by
average recall, times every video by itself, counts the parameters, and writes
all of it to a json file.
"""
from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from mmaction.structures import ActionDataSample
from mmengine.device import get_device

from mmaction_actiondiff import cli
from mmaction_actiondiff.evaluation import make_protocol


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path of the checkpoint')
    parser.add_argument('--out', required=True, help='json file to write')
    parser.add_argument(
        '--protocols',
        nargs='*',
        default=[],
        help='judge by these protocols, too; they prefix the metrics')
    parser.add_argument(
        '--video-scores',
        help='pair the proposals of a class-agnostic localizer with these '
        'scores: a file that --scores-out of another localizer wrote')
    parser.add_argument(
        '--scores-out', help='json file for the video-level scores')
    parser.add_argument(
        '--speed-only', action='store_true', help='judge nothing')
    cli.add_common_arguments(parser)
    return parser.parse_args()


def evaluators(cfg: Any, args: argparse.Namespace) -> list[dict]:
    """The config's metrics and the further ones."""
    if args.speed_only:
        return []
    found = cfg.test_evaluator
    found = list(found) if isinstance(found, (list, tuple)) else [found]
    if args.video_scores:
        found += [
            dict(metric, video_scores=args.video_scores) for metric in found
            if metric['type'] == 'PairedDetectionMAP'
        ]
    found += [
        dict(metric, protocol=name, prefix=name) for name in args.protocols
        for metric in found if metric['type'] == 'DetectionMAP'
        or metric.get('video_scores') == args.video_scores is not None
    ]
    if not any(metric['type'] == 'ProposalRecall' for metric in found):
        found.append(dict(type='AverageRecall'))
    return found


class Stopwatch:
    """Stands in for ``test_step``; times it and keeps the video scores."""

    def __init__(self, test_step: Any) -> None:
        self.test_step = test_step
        self.seconds: list[float] = []
        self.scores: dict[str, list[float]] = {}

    def __call__(self, data: Any) -> Any:
        start = time.perf_counter()
        found = self.test_step(data)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - start)
        for sample in found:
            if isinstance(sample, ActionDataSample):
                self.scores[sample.video_name] = sample.pred_score.tolist()
        return found


def main() -> None:
    args = parse_args()
    with cli.command():
        cfg = cli.load_config(args)
        cfg.load_from = args.checkpoint
        cfg.resume = False
        cfg.test_dataloader.batch_size = 1  # every video by itself
        cfg.test_evaluator = evaluators(cfg, args)
        runner = cli.build_runner(cfg)
        watch = Stopwatch(runner.model.test_step)
        runner.model.test_step = watch
        metrics = runner.test()

        result: dict[str, Any] = dict(
            metrics=metrics,
            inference_ms=1000 * statistics.median(watch.seconds),
            # a teacher of averaged weights is not trained, nor used in a test
            parameters=sum(p.numel() for p in runner.model.parameters()
                           if p.requires_grad),
            machine=dict(
                cpu_count=os.cpu_count(),
                threads=torch.get_num_threads(),
                device=torch.cuda.get_device_name()
                if get_device() == 'cuda' else get_device()))
        for metric in cfg.test_evaluator:
            if 'protocol' in metric:
                protocol = make_protocol(metric['protocol'])
                dataset = runner.test_dataloader.dataset
                records = [
                    dataset.get_data_info(i) for i in range(len(dataset))
                ]
                judged = [
                    len(record['segments']) for record in records
                    if record['video_name'] not in protocol.exclude
                ]
                result.update(
                    protocol=dict(
                        name=protocol.name,
                        num_videos=len(judged),
                        num_gt=sum(judged),
                        settings=protocol.settings()))
                break
        if args.scores_out and watch.scores:
            Path(args.scores_out).write_text(json.dumps(watch.scores))
        Path(args.out).write_text(json.dumps(result))


if __name__ == '__main__':
    main()
