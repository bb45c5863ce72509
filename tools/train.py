# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Train a model, evaluate it on the validation data, and report.

The folder of the run, WORK_DIR, gets the checkpoints, the logs, and
report.html, a page with the results, the curves of the losses, and the best
and worst videos of the last validation (validation.npz).
"""
from __future__ import annotations

import argparse
import os

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process

from mmaction_actiondiff import cli
from mmaction_actiondiff.report import write_report
from mmaction_actiondiff.selection import hold_out


def parse_args() -> argparse.Namespace:
    parser = cli.make_parser(__doc__)
    add = parser.add_argument
    add('config', help='path of the config')
    add('--resume',
        nargs='?',
        const='auto',
        help='go on from this checkpoint, or from the latest one in the work '
        'folder when none is named')
    add('--amp', action='store_true', help='train in mixed precision')
    validation = parser.add_mutually_exclusive_group()
    validation.add_argument(
        '--no-validate',
        action='store_true',
        help='do not evaluate the model while it is trained')
    validation.add_argument(
        '--hold-out',
        type=int,
        metavar='N',
        help='validate on one training video of N, by its labels alone, and '
        'keep the checkpoint that is best by label/selection')
    add('--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by the total batch size')
    add('--seed', type=int, help='random seed')
    add('--deterministic',
        action='store_true',
        help='let cuDNN choose deterministic algorithms')
    cli.add_common_arguments(parser)
    args = parser.parse_args()
    if args.seed is not None:
        args.cfg_options = {**args.cfg_options, 'randomness.seed': args.seed}
    return args


def configure(args: argparse.Namespace) -> Config:
    """The config with all options applied."""
    if args.resume is not None:
        cli.refuse_options(args, 'load_from', 'resume')
    if args.hold_out is not None:
        cli.refuse_options(args, 'val_evaluator', 'val_dataloader.dataset',
                           'default_hooks.checkpoint.save_best')
    cfg = cli.load_config(args)
    if args.hold_out is not None:
        hold_out(cfg, args.hold_out)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp:
        if get_device() == 'cpu':
            raise cli.UsageError('--amp needs a GPU, and torch finds none; '
                                 'leave it out')
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    if cfg.get('resume') and cfg.get('load_from') is None:
        cfg.load_from = cli.latest_checkpoint(cfg.work_dir)
        if cfg.load_from is None:
            cli.refuse_set_aside(cfg.work_dir)
            cfg.resume = False
            cli.warn(f'--resume: {cfg.work_dir} holds no whole checkpoint to '
                     'go on from; the training starts anew')
    if args.auto_scale_lr:
        cfg.auto_scale_lr.enable = True
    if args.deterministic:
        cfg.randomness.deterministic = True
    return cfg


def report(work_dir: str, predictions: str | None) -> None:
    """Write the page about the run; the training stands without it."""
    if predictions and not os.path.isfile(predictions):
        predictions = None  # nothing was validated
    try:
        write_report(work_dir, predictions, with_videos=False)
    except Exception as error:
        cli.warn(f'no report was written ({type(error).__name__}: {error}); '
                 'tools/report.py makes it again')


def main() -> None:
    args = parse_args()
    with cli.command('Interrupted. The same command with --resume goes on '
                     'from the last checkpoint.'):
        cfg = configure(args)
        with cli.work_folder(cfg):
            runner = cli.build_runner(cfg)
            predictions = cli.keep_validation(runner)
            runner.train()
            if is_main_process():
                report(runner.work_dir, predictions)
                runner.logger.info(cli.where_next(runner))


if __name__ == '__main__':
    main()
