# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Evaluate a checkpoint on the test data.

The log and the config of the test go to the folder test/ in WORK_DIR; the
config of the training is left as it is.
"""
from __future__ import annotations

import argparse

from mmengine.dist import is_main_process

from mmaction_actiondiff import cli, dumps


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path of the checkpoint')
    parser.add_argument(
        '--dump',
        metavar='FILE.npz',
        help='write the predictions and the scores behind them to this file, '
        'for tools/replay.py and tools/visualize.py')
    parser.add_argument(
        '--seeds',
        type=cli.at_least(1),
        default=1,
        help='test with this many seeds of the diffusion sampler, and report '
        'the mean and the standard deviation of every number')
    cli.add_common_arguments(parser)
    args = parser.parse_args()
    if args.dump and args.seeds > 1:
        parser.error('--dump writes one run: leave out --seeds')
    return args


def main() -> None:
    args = parse_args()
    with cli.command():
        if args.dump:
            dumps.check_name(args.dump)
            cli.check_output(args.dump, overwrite=False)
        cli.refuse_options(args, 'load_from', 'resume')
        cfg = cli.load_config(args)
        cli.set_test_dir(cfg)
        cfg.load_from = args.checkpoint
        cfg.resume = False
        runner = cli.build_runner(cfg)
        if args.dump:
            cli.dump_predictions(runner, args.dump)
        if args.seeds == 1:
            runner.test()
            return
        table = cli.test_seeds(runner, args.seeds)
        if is_main_process():
            runner.logger.info(table)


if __name__ == '__main__':
    main()
