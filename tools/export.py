# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Write the networks of a trained localizer as a torch.export program.

    python tools/export.py WORK_DIR model.pt2 --num-snippets 1024

docs/inference.md says how to use it.
"""
from __future__ import annotations

from mmaction_actiondiff import cli
from mmaction_actiondiff.apis import ActionDiffInferencer
from mmaction_actiondiff.export import export_network


def main() -> None:
    parser = cli.make_parser(__doc__)
    add = parser.add_argument
    add('model',
        nargs='+',
        metavar='MODEL OUT',
        help='MODEL is CONFIG CHECKPOINT, a checkpoint, or the folder of a '
        'run; OUT is the file FILE.pt2')
    add('--num-snippets',
        type=cli.at_least(1),
        required=True,
        help='length of the inputs; shorter videos are padded')
    args = parser.parse_args()
    *args.model, args.out = args.model
    if not 1 <= len(args.model) <= 2:
        parser.error('expected MODEL OUT')
    with cli.command():
        cli.check_output(args.out)
        inferencer = ActionDiffInferencer(*args.model, device='cpu')
        export_network(inferencer.model, args.out, args.num_snippets,
                       inferencer.classes)
    print(args.out)


if __name__ == '__main__':
    main()
