# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Evaluate a checkpoint on the test data.

The log and the config of the test go to the folder test/ in WORK_DIR; the
config of the training is left as it is.
"""
from __future__ import annotations

import argparse
import os

from mmengine.dist import is_main_process
from mmengine.runner import Runner

from mmaction_actiondiff import cli, dumps
from mmaction_actiondiff.apis import writers
from mmaction_actiondiff.hooks import network


def parse_args() -> argparse.Namespace:
    parser = cli.make_parser(__doc__)
    add = parser.add_argument
    add('config', help='path of the config')
    add('checkpoint', help='path of the checkpoint')
    add('--dump',
        metavar='FILE.npz',
        help='write the predictions and the scores behind them to this file, '
        'for tools/replay.py and tools/visualize.py')
    add('--out-json',
        metavar='FILE.json',
        help="write the segments to this file, in ActivityNet's schema of "
        'submissions, which tools/evaluate.py reads')
    add('--seeds',
        type=cli.at_least(1),
        default=1,
        help='test with this many seeds of the diffusion sampler, and report '
        'the mean and the standard deviation of every number')
    cli.add_common_arguments(parser)
    args = parser.parse_args()
    if (args.dump or args.out_json) and args.seeds > 1:
        parser.error('--dump and --out-json write one run: leave out --seeds')
    if args.out_json and not args.out_json.endswith('.json'):
        parser.error(f'--out-json writes json: name {args.out_json}.json')
    return args


def write_segments(runner: Runner, path: str) -> None:
    """Let the test write its segments to a json file."""
    model = network(runner)
    if not hasattr(model, 'dump_snippets'):
        raise cli.UsageError(
            f'{type(model).__name__} proposes segments without a class: leave '
            'out --out-json')
    cli.add_metric(runner, dumps.DumpPredictions(path, writers.write_samples))


def main() -> None:
    args = parse_args()
    with cli.command():
        if args.dump:
            dumps.check_name(args.dump)
            cli.check_output(args.dump, overwrite=False)
        if args.out_json:
            cli.check_output(args.out_json, overwrite=False)
        cli.refuse_options(args, 'load_from', 'resume')
        cfg = cli.load_config(args)
        # a runner writes its config there, and the training's is to stay
        cfg.work_dir = os.path.join(cfg.work_dir, 'test')
        cfg.load_from = args.checkpoint
        cfg.resume = False
        runner = cli.build_runner(cfg)
        if args.dump:
            cli.dump_predictions(runner, args.dump)
        if args.out_json:
            write_segments(runner, args.out_json)
        if args.seeds == 1:
            runner.test()
            return
        table = cli.test_seeds(runner, args.seeds)
        if is_main_process():
            runner.logger.info(table)


if __name__ == '__main__':
    main()
