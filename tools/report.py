# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Write one html page about a run: results, curves, videos, settings.

    python tools/report.py WORK_DIR

The videos come from predictions that tools/test.py --dump has written into
the folder. The page needs no other file and no network.
"""
from __future__ import annotations

from mmaction_actiondiff import cli
from mmaction_actiondiff.report import write_report


def main() -> None:
    parser = cli.make_parser(__doc__)
    add = parser.add_argument
    add('work_dir', help='what tools/train.py has left')
    add('--dump', help='predictions, by default the newest *.npz in WORK_DIR')
    add('--out', help='by default WORK_DIR/report.html')
    args = parser.parse_args()
    with cli.command():
        if args.out:
            if not args.out.endswith('.html'):
                raise cli.UsageError(f'{args.out}: expected a name that ends '
                                     'in .html')
            cli.check_output(args.out)
        print(write_report(args.work_dir, args.dump, args.out))


if __name__ == '__main__':
    main()
