# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""``NAME.json`` beside ``NAME.npy``: how the features of a video were made."""
from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .annotations import SnippetGrid, load_json

# Two names, then what makes the features what they are.
_RECOGNIZER_KEYS = ('recognizer', 'checkpoint', 'checkpoint_sha256',
                    'modality', 'clip_len', 'frame_interval')


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
