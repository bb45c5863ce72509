# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Convert a checkpoint of a method's published code into one of ours.

CO2-Net, DELU, DDG-Net, CoLA, ACRNet: what their authors saved becomes a
checkpoint for tools/test.py and the method's config in configs/baselines. Only
tensors are read; no code in the file is run.
"""
from __future__ import annotations

from mmaction_actiondiff import cli
from mmaction_actiondiff.models.wtal.official import (METHODS,
                                                      convert_checkpoint)


def main() -> None:
    parser = cli.make_parser(__doc__)
    add = parser.add_argument
    add('method', choices=sorted(METHODS))
    add('file', help='checkpoint of the published code')
    add('--out',
        required=True,
        metavar='FILE.pth',
        help='checkpoint to write; must not exist yet')
    args = parser.parse_args()
    cli.check_output(args.out, overwrite=False)
    number = convert_checkpoint(args.method, args.file, args.out)
    print(f'{number} tensors of {args.method} written to {args.out}')
    if args.method == 'acrnet':
        print('test it with --cfg-options model.base_branch.mix_heads=True')


if __name__ == '__main__':
    with cli.command():
        main()
