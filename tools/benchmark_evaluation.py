"""Time the average precision on real and on made-up detections.

With pandas installed, the evaluator that most published code carries is
timed beside ours in the same run: per class, a pandas group look-up and a
walk over the instances for each detection.
"""
from __future__ import annotations

import argparse
import time
from typing import Any, Callable, Tuple

import numpy as np

from mmaction_actiondiff.evaluation import (Instances, average_precision,
                                            read_detections, read_ground_truth)

_THRS = np.arange(1, 8) / 10


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--detections', help='json of detections, compared with pandas')
    parser.add_argument('--ann-file', help='its ground truth')
    parser.add_argument(
        '--sizes',
        nargs='*',
        type=int,
        default=[10**4, 10**5, 10**6],
        help='numbers of made-up detections')
    parser.add_argument('--num-classes', type=int, default=200)
    return parser.parse_args()


def clock(function: Callable, *args: Any) -> Tuple[float, Any]:
    start = time.perf_counter()
    result = function(*args)
    return time.perf_counter() - start, result


def load(args: argparse.Namespace) -> Tuple[Instances, Instances, int]:
    truth = read_ground_truth(args.ann_file)
    found = read_detections(args.detections, truth.classes)
    names = {name: i for i, name in enumerate(truth.videos)}
    pairs = [(names[name], item) for name, item in found.items()
             if name in names]

    def join(parts: list, scores: bool) -> Instances:
        return Instances(
            np.concatenate([np.full(len(p.labels), i) for i, p in parts]),
            np.concatenate([p.segments for _, p in parts]),
            np.concatenate([p.labels for _, p in parts]),
            np.concatenate([p.scores for _, p in parts]) if scores else None)

    return (join([(names[n], p) for n, p in truth.videos.items()],
                 False), join(pairs, True), len(truth.classes))


def make_up(num: int, num_classes: int) -> Tuple[Instances, Instances]:
    """Detections and instances of a data set of ActivityNet's size: 5000
    videos with 1 or 2 of the classes and 1 to 8 instances."""
    rng = np.random.default_rng(0)
    num_videos = 5000
    classes = rng.integers(0, num_classes, (num_videos, 2))
    videos = np.repeat(np.arange(num_videos), rng.integers(1, 9, num_videos))

    def draw(videos: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        start = rng.uniform(0, 110, len(videos))
        length = rng.lognormal(1.5, 1, len(videos))
        labels = classes[videos, rng.integers(0, 2, len(videos))]
        return np.stack([start, start + length], 1), labels

    truth = Instances(videos, *draw(videos))
    videos = rng.integers(0, num_videos, num)
    return truth, Instances(videos, *draw(videos), rng.random(num))


def pandas_ap(truth: Instances, found: Instances,
              num_classes: int) -> np.ndarray:
    """The same numbers by data frames."""
    import pandas as pd

    def frame(instances: Instances) -> Any:
        return pd.DataFrame({
            'video':
            instances.videos,
            'start':
            instances.segments[:, 0],
            'end':
            instances.segments[:, 1],
            'label':
            instances.labels,
            'score':
            0. if instances.scores is None else instances.scores
        })

    truth_frame, found_frame = frame(truth), frame(found)
    ap = np.zeros((len(_THRS), num_classes))
    for label in range(num_classes):
        gt = truth_frame[truth_frame['label'] == label].reset_index(drop=True)
        pred = found_frame[found_frame['label'] == label]
        pred = pred.sort_values(
            'score', ascending=False, kind='stable').reset_index(drop=True)
        if gt.empty or pred.empty:
            continue
        taken = np.zeros((len(_THRS), len(gt)), dtype=bool)
        hit = np.zeros((len(_THRS), len(pred)), dtype=bool)
        groups = gt.groupby('video')
        for index, row in pred.iterrows():
            try:
                near = groups.get_group(row['video'])
            except KeyError:
                continue
            near = near.reset_index()
            times = near[['start', 'end']].values
            inner = (np.minimum(times[:, 1], row['end']) -
                     np.maximum(times[:, 0], row['start'])).clip(0)
            outer = (times[:, 1] - times[:, 0]) + (row['end'] -
                                                   row['start']) - inner
            iou = inner / outer
            for k, thr in enumerate(_THRS):
                for j in np.argsort(iou, kind='stable')[::-1]:
                    if iou[j] < thr:
                        break
                    instance = int(near.loc[j]['index'])
                    if not taken[k, instance]:
                        taken[k, instance] = hit[k, index] = True
                        break
        hits = np.cumsum(hit, 1)
        precision = hits / np.arange(1, len(pred) + 1)
        envelope = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
        ap[:, label] = (envelope * hit).sum(1) / len(gt)
    return ap


def main() -> None:
    args = parse_args()
    if args.detections:
        truth, found, num_classes = load(args)
        ours, ap = min(
            (clock(average_precision, truth, found, num_classes, _THRS)
             for _ in range(5)),
            key=lambda result: result[0])
        print(f'{len(found.labels)} real detections: {ours:.3f} s')
        try:
            import pandas
        except ImportError:
            print('pandas is not installed: nothing to compare with')
        else:
            theirs, other = clock(pandas_ap, truth, found, num_classes)
            print(f'pandas {pandas.__version__}: {theirs:.2f} s, '
                  f'{theirs / ours:.0f} times as long; largest difference '
                  f'of an AP {np.abs(np.nan_to_num(ap) - other).max():.1e}')
    for size in args.sizes:
        truth, found = make_up(size, args.num_classes)
        seconds, _ = clock(average_precision, truth, found, args.num_classes,
                           _THRS)
        print(f'{size} made-up detections, {len(truth.labels)} instances, '
              f'{args.num_classes} classes: {seconds:.2f} s')


if __name__ == '__main__':
    main()
