"""Judge a checkpoint on the test data."""
from __future__ import annotations

import argparse

from mmengine.dist import is_main_process

from mmaction_actiondiff import cli


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path of the checkpoint')
    parser.add_argument(
        '--dump', help='write the predictions to this .pkl file')
    parser.add_argument(
        '--seeds',
        type=int,
        default=1,
        help='test with this many seeds of the diffusion sampler, and report '
        'the mean and the standard deviation of every number')
    cli.add_common_arguments(parser)
    args = parser.parse_args()
    if args.dump and not args.dump.endswith(('.pkl', '.pickle')):
        parser.error(f'--dump needs a .pkl file, got {args.dump}')
    if args.dump and args.seeds > 1:
        parser.error('--dump writes one run: leave out --seeds')
    return args


def main() -> None:
    args = parse_args()
    with cli.command():
        cfg = cli.load_config(args)
        cfg.load_from = args.checkpoint
        cfg.resume = False
        if args.dump:
            cli.dump_predictions(cfg, args.dump)
        runner = cli.build_runner(cfg)
        if args.seeds == 1:
            runner.test()
            return
        table = cli.test_seeds(runner, args.seeds)
        if is_main_process():
            runner.logger.info(table)


if __name__ == '__main__':
    main()
