# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Predicted segments as json, csv or subtitles."""
from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmaction_actiondiff.files import load_json, write_text

Predictions = Sequence[dict[str, Any]]


def from_sample(sample: Mapping[str, Any],
                classes: Sequence[str]) -> dict[str, Any]:
    """A sample of a localizer in plain values.

    Args:
        sample (Mapping): ``video_name``, and ``pred_instances`` with
            ``segments`` (P, 2) in seconds, ``labels`` and ``scores`` (P).
        classes (Sequence[str]): Names of the classes.

    Returns:
        dict: ``video_name``, and ``segments``, a list of dicts ``label``,
        ``score``, ``segment`` ([start, end]), in the order of the sample.
    """
    fields = (
        sample['pred_instances'][key].tolist()
        for key in ('labels', 'scores', 'segments'))
    return dict(
        video_name=sample['video_name'],
        segments=[
            dict(label=classes[label], score=score, segment=segment)
            for label, score, segment in zip(*fields)
        ])


def select(prediction: dict[str, Any],
           min_score: float = 0.,
           max_segments: int | None = None) -> dict[str, Any]:
    """A prediction with its best segments only."""
    segments = [s for s in prediction['segments'] if s['score'] >= min_score]
    return dict(prediction, segments=segments[:max_segments])


def to_json(predictions: Predictions) -> str:
    """ActivityNet's schema of submissions."""
    return json.dumps(
        dict(
            version='VERSION 1.3',
            results={p['video_name']: p['segments']
                     for p in predictions},
            external_data=dict()),
        indent=1,
        ensure_ascii=False)


def to_csv(predictions: Predictions) -> str:
    """A line per segment: video, start and end in seconds, label, score."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(['video', 'start', 'end', 'label', 'score'])
    for p in predictions:
        for s in p['segments']:
            start, end = s['segment']
            writer.writerow([
                p['video_name'], f'{start:.3f}', f'{end:.3f}', s['label'],
                f'{s["score"]:.4f}'
            ])
    return text.getvalue()


def to_srt(predictions: Predictions) -> str:
    """SubRip subtitles of one video, by time."""
    return '\n'.join(f'{i}\n{cue}\n'
                     for i, cue in enumerate(_cues(predictions, ','), start=1))


def to_vtt(predictions: Predictions) -> str:
    """WebVTT subtitles of one video, by time."""
    return '\n'.join(f'{text}\n'
                     for text in ('WEBVTT', *_cues(predictions, '.')))


def _cues(predictions: Predictions, point: str) -> list[str]:
    segments = [s for p in predictions for s in p['segments']]
    cues = []
    for s in sorted(segments, key=lambda s: s['segment']):
        start, end = (_clock(t, point) for t in s['segment'])
        # An arrow in a label would end the line of times, < starts markup.
        label = s['label'].replace('-->', '→').replace('<', '‹')
        cues.append(f'{start} --> {end}\n{label} ({s["score"]:.2f})')
    return cues


def _clock(seconds: float, point: str) -> str:
    millis = round(seconds * 1000)
    minutes, millis = divmod(millis, 60_000)
    return (f'{minutes // 60:02}:{minutes % 60:02}:{millis // 1000:02}{point}'
            f'{millis % 1000:03}')


_WRITERS: dict[str, Callable[[Predictions], str]] = {
    '.json': to_json,
    '.csv': to_csv,
    '.srt': to_srt,
    '.vtt': to_vtt
}
SUBTITLES = ('.srt', '.vtt')


def check_output(path: str, num_videos: int) -> None:
    """Refuse a name that cannot take the results, before they are made.

    Raises:
        ValueError: If the ending is unknown, or one file of subtitles is to
            hold several videos.
    """
    suffix = Path(path).suffix
    if suffix not in _WRITERS:
        raise ValueError(f'{path}: expected a name that ends in '
                         f'{", ".join(_WRITERS)}')
    if suffix in SUBTITLES and num_videos > 1 and '{video}' not in path:
        raise ValueError(
            f'{path}: a file of subtitles holds one video, there are '
            f'{num_videos}: put {{video}} into the name, as in '
            f'subtitles/{{video}}{suffix}')


def refuse_other_json(paths: Iterable[str]) -> None:
    """Refuse to replace a json file that holds something else than results,
    such as the sidecar of a feature file.

    Raises:
        ValueError: It names the file.
    """
    for path in paths:
        if path.endswith('.json') and os.path.exists(
                path) and 'results' not in load_json(path):
            raise ValueError(f'{path} is there and holds no results of '
                             'tools/infer.py: name another file')


def write_predictions(path: str, predictions: Predictions) -> list[str]:
    """Write the results of ``ActionDiffInferencer``.

    Args:
        path (str): Ends in ``.json``, ``.csv``, ``.srt`` or ``.vtt``;
            ``{video}`` in it stands for the name of the video and makes one
            file of each.
        predictions (Sequence[dict]): ``predictions`` of the inferencer.

    Returns:
        list[str]: The files.

    Raises:
        ValueError: See :func:`check_output`, or if one cannot be written.
    """
    check_output(path, len(predictions))
    if '{video}' in path:
        parts = [(path.replace('{video}', p['video_name']), [p])
                 for p in predictions]
    else:
        parts = [(path, list(predictions))]
    for name, part in parts:
        write_text(name, _WRITERS[Path(path).suffix](part))
    return [name for name, _ in parts]


def write_samples(path: str, samples: Sequence[Mapping[str, Any]],
                  classes: Sequence[str]) -> None:
    """Write the samples of a test, see :func:`write_predictions`."""
    write_predictions(path, [from_sample(s, classes) for s in samples])
