# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Ground truth and detections from files."""
from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence

import numpy as np

from mmaction_actiondiff.annotations import (canonical_subset, index_labels,
                                             read_annotations)
from mmaction_actiondiff.files import load_json, require_object, write_text
from mmaction_actiondiff.snippets import SnippetGrid

from .protocols import (Detections, EvaluationResult, GroundTruth, Protocol,
                        evaluate)

# In this order; the first with instances is the one that is evaluated.
_SUBSETS = ('test', 'validation')


def read_ground_truth(
    path: str | os.PathLike,
    subset: str | None = None,
    seconds_per_snippet: float = 16 / 25
) -> tuple[tuple[str, ...], dict[str, GroundTruth]]:
    """Reads the annotations of one subset.

    Args:
        path (str | PathLike): See
            :func:`~mmaction_actiondiff.annotations.read_annotations`, also
            for what is raised.
        subset (str, optional): Name of the subset; by default the first of
            test and validation that has instances.
        seconds_per_snippet (float): Length of a snippet, for protocols that
            count in snippets, where the annotations do not say it.

    Returns:
        tuple: Class names, and the ground truth by the name of the video.

    Raises:
        ValueError: If the subset has no instance.
    """
    if not seconds_per_snippet > 0:
        raise ValueError('seconds_per_snippet must be > 0, got '
                         f'{seconds_per_snippet}')
    annotations = read_annotations(path)
    default = annotations.grid or SnippetGrid(seconds_per_snippet)
    videos = annotations.videos
    annotated = {v.subset for v in videos.values() if len(v.segments)}
    wanted = next((s for s in _SUBSETS if s in annotated), None) \
        if subset is None else canonical_subset(subset)
    if wanted not in annotated:
        raise ValueError(
            f'{path}: no annotated segment in the subset '
            f'{subset or "test or validation"!r}; the subsets with segments '
            f'are {sorted(annotated)}')
    index = {name: i for i, name in enumerate(annotations.classes)}
    return annotations.classes, {
        name:
        GroundTruth(
            video.segments,
            np.array(
                index_labels(video.segment_labels, index, f'{path}: {name}'),
                dtype=np.int64), video.ambiguous, (video.grid
                                                   or default).seconds)
        for name, video in videos.items() if video.subset == wanted
    }


def read_detections(path: str | os.PathLike,
                    classes: Iterable[str]) -> dict[str, Detections]:
    """Reads detections in ActivityNet's schema: ``{"results": {NAME:
    [{"label": str, "segment": [start, end], "score": number}]}}``.

    Returns:
        dict[str, Detections]: By the name of the video.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is malformed, a number is not finite, a segment
            ends before its start or a label is not among ``classes``.
    """
    index = {name: i for i, name in enumerate(classes)}
    results = require_object(path, load_json(path), 'results')
    return {
        name: _detections(items, index, f'{path}: {name}')
        for name, items in results.items()
    }


def _detections(items: Sequence[dict], index: dict[str, int],
                where: str) -> Detections:
    try:
        # one by one: reshaping would accept segments of four numbers
        rows = [(*map(float, item['segment']), float(item['score']))
                for item in items]
        labels = [item['label'] for item in items]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f'{where}: expected a list of {{"label", "segment": [start, end],'
            f' "score"}}, found {type(error).__name__}: {error}') from None
    for row in rows:
        if len(row) != 3 or not np.isfinite(row).all() or row[1] < row[0]:
            raise ValueError(
                f'{where}: expected a segment [start, end] in seconds with '
                f'start <= end, and a score, all finite; found segment '
                f'{list(row[:-1])} and score {row[-1]}')
    array = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return Detections(array[:, :2],
                      np.array(index_labels(labels, index, where), np.int64),
                      array[:, 2])


def evaluate_files(
        detections: str | os.PathLike,
        annotations: str | os.PathLike,
        protocol: Protocol,
        subset: str | None = None,
        seconds_per_snippet: float = 16 / 25,
        json_file: str | os.PathLike | None = None) -> EvaluationResult:
    """Evaluates what :func:`read_detections` reads against what
    :func:`read_ground_truth` does; the numbers also go to ``json_file``.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is malformed, or the files have no video in
            common.
    """
    classes, truth = read_ground_truth(annotations, subset,
                                       seconds_per_snippet)
    predicted = read_detections(detections, classes)
    if predicted and not set(predicted) & set(truth):
        raise ValueError(
            f'{detections}: none of its {len(predicted)} videos (such as '
            f'{next(iter(predicted))}) is among the {len(truth)} to evaluate '
            f'in {annotations} (such as {next(iter(truth))})')
    result = evaluate(truth, predicted, len(classes), protocol)
    if json_file is not None:
        write_text(json_file, json.dumps(result.to_dict(), indent=2) + '\n')
    return result
