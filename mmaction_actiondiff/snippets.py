# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""When the snippets of a video are, and which network made their features.

Both stand in the annotations or in a sidecar, ``NAME.json`` beside
``NAME.npy``.
"""
from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .files import load_json

_GRID_KEYS = ('seconds_per_snippet', 'snippet_offset', 'stride', 'fps',
              'window')
# Two names, then what makes the features what they are.
_RECOGNIZER_KEYS = ('recognizer', 'checkpoint', 'checkpoint_sha256',
                    'modality', 'clip_len', 'frame_interval')


def finite_number(value: Any, what: str, positive: bool = False) -> float:
    """``value`` as a finite number.

    Raises:
        ValueError: If it is none, or to be ``positive`` and is not.
    """
    try:
        result = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        result = math.nan
    if not math.isfinite(result) or (positive and result <= 0):
        raise ValueError(f'{what} must be a number' +
                         (' > 0' if positive else '') +
                         f', found {value!r:.200}')
    return result


@dataclass(frozen=True)
class SnippetGrid:
    """When the snippets of a video are.

    Snippet ``i`` stands for the cell ``[offset + i * seconds, offset +
    (i + 1) * seconds)``, whose middle is the middle of its window of frames.

    Attributes:
        seconds (float): From a snippet to the next, stride / fps.
        offset (float): Start of the first cell in seconds,
            (window - stride) / 2 / fps.
    """
    seconds: float
    offset: float = 0.

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> SnippetGrid | None:
        """The grid that ``seconds_per_snippet`` and ``snippet_offset``, or
        ``stride``, ``fps`` and ``window`` (frames), describe; None where they
        are absent. ``fps`` alone says nothing: it is that of the video file.

        Raises:
            ValueError: If a value is no number, out of range, lacks a
                companion or contradicts another.
        """
        known = {
            key: finite_number(values[key], key, key != 'snippet_offset')
            for key in _GRID_KEYS if values.get(key) is not None
        }
        seconds = known.get('seconds_per_snippet')
        offset = known.get('snippet_offset')
        if 'stride' in known or 'window' in known:
            if not {'stride', 'fps'} <= set(known):
                raise ValueError('a grid of snippets needs "stride" (frames) '
                                 f'and "fps" together, found {sorted(known)}')
            stride, fps = known['stride'], known['fps']
            window = known.get('window', stride)
            grid = cls(stride / fps, (window - stride) / 2 / fps)
            given = cls(grid.seconds if seconds is None else seconds,
                        grid.offset if offset is None else offset)
            if not grid.agrees(given):
                raise ValueError(f'stride, window and fps make {grid}, but '
                                 f'there is also {given}')
            return grid
        if seconds is not None:
            return cls(seconds, offset or 0.)
        if offset is not None:
            raise ValueError('snippet_offset needs seconds_per_snippet')
        return None

    def agrees(self, other: SnippetGrid) -> bool:
        """Whether both are the same but for rounding."""
        return all(
            math.isclose(mine, its, rel_tol=1e-4, abs_tol=1e-6)
            for mine, its in zip(astuple(self), astuple(other)))

    def num_snippets(self, duration: float) -> int:
        """T of a video of ``duration`` seconds: its whole windows."""
        # 1e-6 because 12.8 / 0.64 must be 20
        return max(0, int((duration - 2 * self.offset) / self.seconds + 1e-6))

    def record(self) -> dict[str, float]:
        """The keys of a json that describe it."""
        record = dict(seconds_per_snippet=self.seconds)
        if self.offset:
            record['snippet_offset'] = self.offset
        return record


def length_problem(num_snippets: int,
                   duration: float,
                   grid: SnippetGrid,
                   tolerance: float = 0.02) -> str:
    """How T of a feature file contradicts the duration of the video (s), in
    words, or ''.

    ``tolerance`` is the permitted share of the expected length; 2 snippets
    are always permitted, since extractors end differently.
    """
    expected = grid.num_snippets(duration)
    if abs(num_snippets - expected) <= max(2, tolerance * expected):
        return ''
    return (f'{num_snippets} snippets, expected {expected} for '
            f'{duration:.2f} s at {grid.seconds:g} s per snippet (ratio '
            f'{num_snippets * grid.seconds / duration:.3f})')


def clock_problem(items: Sequence[tuple[int, float, SnippetGrid]],
                  tolerance: float = 0.02) -> str:
    """How the features of most videos contradict the durations, and the
    likely reason, or ''; see :func:`length_problem`.

    Features taken at 24 instead of 25 fps are 4 % off, which goes unnoticed
    in training and ruins every boundary. ``items`` are T, duration (s) and
    grid of each video.
    """
    wrong = sum(bool(length_problem(*item, tolerance)) for item in items)
    if not wrong or 2 * wrong < len(items):
        return ''
    length = np.array([item[0] for item in items])
    expected = np.array([grid.num_snippets(d) for _, d, grid in items])
    seconds = items[0][2].seconds
    text = (f'{wrong} of {len(items)} videos have other lengths than their '
            f'durations say at {seconds:g} s per snippet: ')
    if np.ptp(length) == 0 < np.ptp(expected):
        return text + (
            f'all have {length[0]}. If they were resized to that, give each '
            'record its own "seconds_per_snippet", duration / T')
    lacking = expected - length
    if np.ptp(lacking) <= 1 and np.ptp(expected) > 0.1 * expected.max():
        return text + (
            f'each lacks about {np.median(lacking):g} snippets. Windows longer'
            ' than the stride do that; then state window, stride and fps')
    ratio = float(np.median(length / np.maximum(expected, 1)))
    return text + (
        f'they last {ratio:.3f} times (median) as long. They fit '
        f'seconds_per_snippet={seconds / ratio:.4g}; if the stride is 16 '
        f'frames they were taken at {16 * ratio / seconds:.2f} fps, not '
        f'{16 / seconds:g}. Were they taken at another rate or stride, or is '
        'the array (D, T)?')


class Sidecar(NamedTuple):
    """What the json beside a feature file says, None where it says nothing:
    when the snippets are, the duration of the video in seconds, and which
    network made the features from what (those of ``_RECOGNIZER_KEYS``)."""
    grid: SnippetGrid | None = None
    duration: float | None = None
    recognizer: dict[str, Any] | None = None

    @classmethod
    def read(cls, feature_path: str | os.PathLike) -> Sidecar:
        """Read ``NAME.json`` beside a feature file, if there is one.

        Raises:
            ValueError: If it is no json object, or contradicts itself.
        """
        path = sidecar_path(feature_path)
        if not path.is_file():
            return cls()
        try:
            return cls.of(load_json(path))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f'{path}: expected what tools/extract_features.py writes, '
                'such as {"window": 16, "stride": 16, "fps": 25} (frames), '
                f'but {error}') from None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Sidecar:
        """The content of a sidecar; raises ValueError if it contradicts
        itself."""
        duration = values.get('duration')
        if duration is not None and not (isinstance(duration, (int, float))
                                         and 0 < duration < math.inf):
            raise ValueError(f'duration must be > 0 s, got {duration!r}')
        recognizer = {
            key: values[key]
            for key in _RECOGNIZER_KEYS if values.get(key) is not None
        }
        return cls(SnippetGrid.read(values), duration, recognizer or None)


def sidecar_path(feature_path: str | os.PathLike) -> Path:
    """The json beside a feature file that says how it was made."""
    return Path(feature_path).with_suffix('.json')


def recognizer_difference(found: Mapping[str, Any],
                          expected: Mapping[str, Any]) -> str:
    """In what two recognizers differ, '' if in nothing that both name.

    The names of files do not count: the check sum of the weights does.
    """
    other = [
        key for key in _RECOGNIZER_KEYS[2:]
        if key in found and key in expected and found[key] != expected[key]
    ]
    if not other:
        return ''
    keys = [*_RECOGNIZER_KEYS[:2], *other]
    mine, its = (', '.join(f'{key} {values[key]!s:.16}' for key in keys
                           if key in values) for values in (found, expected))
    return f'{mine} instead of {its}'
