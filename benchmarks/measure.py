# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Measure a trained localizer: precision, recall, speed, size.

Evaluates the checkpoint on the test data by the metrics of its config and by
average recall, times every video by itself, counts the parameters, and writes
all of it to a json file.
"""
from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import statistics
import time
from pathlib import Path
from typing import Any, Callable

import torch
from mmaction.structures import ActionDataSample
from mmengine.device import get_device

import mmaction_actiondiff
from mmaction_actiondiff import cli
from mmaction_actiondiff.dumps import save_dump
from mmaction_actiondiff.evaluation import make_protocol
from mmaction_actiondiff.files import write_text


def parse_args() -> argparse.Namespace:
    parser = cli.make_parser(__doc__)
    add = parser.add_argument
    add('config', help='path of the config')
    add('checkpoint', help='path of the checkpoint')
    add('--out', required=True, help='json file to write')
    add('--protocols',
        nargs='*',
        default=[],
        help='evaluate by these protocols, too; they prefix the metrics')
    add('--video-scores',
        help='pair the proposals of a class-agnostic localizer with these '
        'scores: a file that --scores-out of another localizer wrote')
    add('--scores-out', help='dump (.npz) for the video-level scores')
    cli.add_common_arguments(parser)
    return parser.parse_args()


def evaluators(cfg: Any, args: argparse.Namespace) -> list[dict]:
    """The config's metrics and the further ones."""
    found = cfg.test_evaluator
    found = list(found) if isinstance(found, (list, tuple)) else [found]
    # what has a prefix is given besides the protocol of the plan
    main = [metric for metric in found if 'prefix' not in metric]
    if args.video_scores:
        main = [
            dict(metric, video_scores=args.video_scores) for metric in main
            if metric['type'] == 'PairedDetectionMAP'
        ]
        found += main
    given = {metric.get('prefix') for metric in found}
    found += [
        dict(metric, protocol=name, prefix=name) for name in args.protocols
        if name not in given for metric in main
        if metric['type'] == 'DetectionMAP' or args.video_scores
    ]
    if not any(metric['type'] == 'ProposalRecall' for metric in found):
        found.append(dict(type='ProposalRecall'))
    return found


def watched(test_step: Callable, seconds: list[float],
            scores: list[dict[str, Any]]) -> Callable:
    """Times every call, and keeps the video scores of localizers."""

    def call(data: Any) -> Any:
        start = time.perf_counter()
        found = test_step(data)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
        scores.extend(
            dict(video_name=sample.video_name, pred_score=sample.pred_score)
            for sample in found if isinstance(sample, ActionDataSample))
        return found

    return call


def machine() -> dict[str, Any]:
    """What a number may depend on beside the seed and the versions."""
    path = Path('/proc/cpuinfo')
    names = re.findall(r'^model name\s*:\s*(.+)$',
                       path.read_text('utf-8') if path.is_file() else '',
                       re.MULTILINE)
    cpu = names[0] if names else platform.processor() or platform.machine()
    return dict(
        cpu=f'{cpu.strip()} ({torch.backends.cpu.get_cpu_capability()})',
        cpu_count=os.cpu_count(),
        threads=torch.get_num_threads(),
        device=torch.cuda.get_device_name()
        if get_device() == 'cuda' else get_device())


def versions() -> dict[str, str]:
    """Of Python, the libraries, and the package with a digest of its code."""
    digest = hashlib.sha256()
    folder = Path(mmaction_actiondiff.__file__).parent
    for path in sorted(folder.rglob('*.py')):
        if '.mim' not in path.parts:
            digest.update(path.read_bytes())
    return dict(
        python=platform.python_version(),
        **{
            name: importlib.metadata.version(name)
            for name in ('torch', 'mmengine', 'mmaction2', 'numpy')
        },
        mmaction_actiondiff=mmaction_actiondiff.__version__,
        source=digest.hexdigest()[:12])


def describe(name: str, dataset: Any) -> dict[str, Any]:
    """The protocol, and what it counts of the data set."""
    protocol = make_protocol(name)
    counts = [
        len(record['segments'])
        for record in map(dataset.get_data_info, range(len(dataset)))
        if record['video_name'] not in protocol.exclude
    ]
    return dict(
        name=protocol.name,
        num_videos=len(counts),
        num_gt=sum(counts),
        settings=protocol.settings())


def main() -> None:
    args = parse_args()
    with cli.command():
        for path in filter(None, (args.out, args.scores_out)):
            cli.check_output(path)
        cfg = cli.load_config(args)
        cfg.load_from = args.checkpoint
        cfg.resume = False
        cfg.test_dataloader.batch_size = 1  # every video by itself
        cfg.test_evaluator = evaluators(cfg, args)
        runner = cli.build_runner(cfg)
        seconds: list[float] = []
        scores: list[dict[str, Any]] = []
        runner.model.test_step = watched(runner.model.test_step, seconds,
                                         scores)
        metrics = runner.test()
        result: dict[str, Any] = dict(
            metrics=metrics,
            inference_ms=1000 * statistics.median(seconds),
            # a teacher of averaged weights is not trained, nor used in a test
            parameters=sum(p.numel() for p in runner.model.parameters()
                           if p.requires_grad),
            machine=machine(),
            versions=versions())
        protocols = [
            m['protocol'] for m in cfg.test_evaluator if 'protocol' in m
        ]
        if protocols:
            result['protocol'] = describe(protocols[0],
                                          runner.test_dataloader.dataset)
        if args.scores_out and scores:
            save_dump(args.scores_out, scores,
                      runner.test_dataloader.dataset.metainfo['classes'])
        write_text(args.out, json.dumps(result))


if __name__ == '__main__':
    main()
