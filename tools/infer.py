# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Localise the actions in features or videos that nobody has labelled.

    python tools/infer.py WORK_DIR features/ --out results.json
    python tools/infer.py CONFIG CHECKPOINT a.npy b.npy --out results.csv
    python tools/infer.py CHECKPOINT clip.mp4 --out clip.srt \\
        --recognizer RECOGNIZER_CONFIG RECOGNIZER_CHECKPOINT

An input that cannot be used does not stop the others: it is named at the end,
and the exit status is 1. docs/inference.md says what a score means.
"""
from __future__ import annotations

from pathlib import Path

from mmaction_actiondiff import cli
from mmaction_actiondiff.apis import ActionDiffInferencer, writers
from mmaction_actiondiff.apis.inferencer import list_inputs
from mmaction_actiondiff.features import FeatureExtractor

# Players show every segment at once: the best alone can be read.
_SUBTITLE_SCORE = 0.5
_SAMPLING = ('stride', 'window', 'fps')


def main() -> None:
    parser = cli.make_parser(__doc__)
    add = parser.add_argument
    add('model',
        nargs='+',
        metavar='MODEL INPUT',
        help='MODEL is CONFIG CHECKPOINT, a checkpoint, or the folder of a '
        'run; INPUT are feature files (T, D) .npy, videos and folders of '
        'them')
    add('--out',
        required=True,
        metavar='FILE',
        help='.json (as for ActivityNet), .csv, .srt or .vtt; {video} in the '
        'name makes a file of each video')
    add('--min-score',
        type=cli.share,
        help='leave out segments below (default: 0, for subtitles '
        f'{_SUBTITLE_SCORE})')
    add('--max-segments',
        type=cli.at_least(1),
        help='at most this many for each video')
    add('--pictures', metavar='DIR', help='draw a picture of each video')
    add('--device', type=cli.device, help='cpu, cuda, cuda:1, ...')
    add('--seconds-per-snippet',
        type=float,
        help='for features without a sidecar file; by default that of the '
        'training data')
    add('--recognizer',
        nargs=2,
        metavar=('CONFIG', 'CHECKPOINT'),
        help='for videos: what made the features of the training data')
    for name in _SAMPLING:
        add(f'--{name}',
            type=float if name == 'fps' else int,
            help='of --recognizer, see tools/extract_features.py')
    args = parser.parse_args()
    split = 2 if args.model[0].endswith('.py') else 1
    args.model, args.inputs = args.model[:split], args.model[split:]
    if not args.inputs:
        parser.error('name at least one INPUT after the model')
    sampling = {
        k: v
        for k, v in vars(args).items() if k in _SAMPLING and v is not None
    }
    if sampling and not args.recognizer:
        parser.error(f'--{min(sampling)} is of --recognizer, which is not '
                     'given')
    with cli.command():
        inputs = list_inputs(args.inputs)
        writers.check_output(args.out, len(inputs))
        cli.refuse_same_names(inputs)
        cli.check_output(args.out.replace('{video}', 'NAME'))
        writers.refuse_other_json(
            {args.out.replace('{video}',
                              Path(name).stem)
             for name in inputs})
        if args.pictures:
            cli.check_output(f'{args.pictures}/NAME.png')
        extractor = args.recognizer and FeatureExtractor(
            *args.recognizer, device=args.device, **sampling)
        inferencer = ActionDiffInferencer(
            *args.model, device=args.device, extractor=extractor)
        results = inferencer(
            inputs,
            skip_errors=True,
            seconds_per_snippet=args.seconds_per_snippet,
            out_dir=args.pictures)
        least = args.min_score
        if least is None:
            least = _SUBTITLE_SCORE if args.out.endswith(
                writers.SUBTITLES) else 0.
        predictions = [
            writers.select(p, least, args.max_segments)
            for p in results['predictions']
        ]
        if predictions:
            files = writers.write_predictions(args.out, predictions)
            found, number = (
                sum(len(p['segments']) for p in every)
                for every in (results['predictions'], predictions))
            videos = 'video' if len(predictions) == 1 else 'videos'
            print(f'{number} segments of {len(predictions)} {videos} in '
                  f'{files[0] if len(files) == 1 else f"{len(files)} files"}')
            if number < found:
                print(f'{found - number} more are left out; --min-score '
                      f'{least:g} and --max-segments say which')
    cli.end_with(results['errors'].values(), len(inputs))


if __name__ == '__main__':
    main()
