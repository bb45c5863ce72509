# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""From a record of WTALDataset to what the localizers take."""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmaction.registry import TRANSFORMS
from mmaction.structures import ActionDataSample
from mmengine.structures import InstanceData

from mmaction_actiondiff.safe_npy import open_feature

_META = ('video_name', 'duration', 'seconds_per_snippet', 'snippet_offset',
         'ambiguous')


@TRANSFORMS.register_module()
@dataclass
class LoadSnippetFeature:
    """Opens ``results['feature_path']`` as ``results['feature']`` (T, D),
    memory-mapped: only the snippets that the next transforms take are read.

    Args:
        in_channels (int, optional): D. Defaults to ``in_channels`` of the
            record: the one of the data set's other files.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: See :func:`open_feature`, or if D is another. Pickled
            objects are refused: loading them can run code.
    """

    in_channels: int | None = None

    def __post_init__(self) -> None:
        if self.in_channels is not None and self.in_channels < 1:
            raise ValueError(
                f'in_channels must be >= 1, got {self.in_channels}')

    def __call__(self, results: dict) -> dict:
        path = results['feature_path']
        feature = open_feature(path)
        channels = self.in_channels or results['in_channels']
        if feature.shape[1] != channels:
            advice = ('this looks like (D, T): save its transpose' if
                      feature.shape[0] == channels else 'these features need '
                      f'in_channels={feature.shape[1]} (of the model, too)')
            raise ValueError(f'{path}: expected (T, {channels}), found '
                             f'{feature.shape}; {advice}')
        results['feature'] = feature
        return results


@TRANSFORMS.register_module()
@dataclass
class SampleSnippets:
    """Limits the number of snippets.

    - ``'crop'``: a window of ``num_snippets`` of a longer video; a shorter
      one stays as it is (it is padded when batched). Ground truth is moved
      and clipped to the window; the video-level labels stay.
    - ``'uniform'``: ``num_snippets`` of a longer video, one from each of as
      many equal parts; a shorter one stays as it is.
    - ``'stretch'``: the same for every video; those of a shorter video are
      repeated. It is how CO2-Net, CoLA and ACRNet train.

    ``seconds_per_snippet`` follows, so that times stay right. Random numbers
    come from ``results['draw']`` where the sampler gives one, else from
    numpy's global state.

    Args:
        num_snippets (int): >= 1.
        mode (str): ``'crop'``, ``'uniform'`` or ``'stretch'``.
        random (bool): Whether the window, or the snippet of each part, is
            random (training) or the central one (test).
    """

    num_snippets: int
    mode: str = 'crop'
    random: bool = True

    def __post_init__(self) -> None:
        if self.num_snippets < 1:
            raise ValueError(
                f'num_snippets must be >= 1, got {self.num_snippets}')
        if self.mode not in ('crop', 'uniform', 'stretch'):
            raise ValueError("mode must be 'crop', 'uniform' or 'stretch', "
                             f'got {self.mode!r}')

    def __call__(self, results: dict) -> dict:
        length, num = len(results['feature']), self.num_snippets
        if length == num or (length < num and self.mode != 'stretch'):
            return results
        if self.mode == 'crop':
            # uniform over the length - num + 1 windows
            start = int(self._uniform(results) * (length - num + 1))
            return self._crop(results, start)
        offset = self._uniform(results, num)
        index = ((np.arange(num) + offset) * length / num).astype(np.int64)
        # rounding in the product can reach `length` if offset is almost 1
        results['feature'] = results['feature'][np.minimum(index, length - 1)]
        results['seconds_per_snippet'] *= length / num
        return results

    def _uniform(self, results: dict, size: int | None = None) -> Any:
        if not self.random:
            return np.full(size, 0.5) if size else 0.5
        if 'draw' in results:
            return np.random.default_rng((0, results['draw'])).random(size)
        return np.random.random_sample(size)

    def _crop(self, results: dict, start: int) -> dict:
        num, unit = self.num_snippets, results['seconds_per_snippet']
        offset = results['snippet_offset']
        results['feature'] = results['feature'][start:start + num]
        results['duration'] = offset + num * unit
        for key in ('segments', 'ambiguous'):
            moved = np.clip(results[key] - start * unit, offset,
                            offset + num * unit)
            kept = moved[:, 1] > moved[:, 0]
            results[key] = moved[kept]
            if key == 'segments':
                results['segment_labels'] = results['segment_labels'][kept]
        return results


@TRANSFORMS.register_module()
@dataclass
class PackWTALInputs:
    """Packs a record into ``dict(inputs, data_samples)``.

    ``inputs`` is a tensor (D, T), float16 or float32 as the file is; float64
    becomes float32. The ``ActionDataSample`` has the metainfo ``video_name``,
    ``duration`` (s), ``seconds_per_snippet``, ``snippet_offset`` (s),
    ``num_snippets`` (T), ``ambiguous`` ((A, 2), s), the class indices
    ``gt_label`` (long) and ``gt_instances`` with ``segments`` (float64
    (G, 2), s) and ``labels`` (int64 (G,)).

    Raises:
        ValueError: If a feature value is not finite.
    """

    def __call__(self, results: dict) -> dict:
        feature = np.array(results['feature'])  # reads the mapped file
        if feature.dtype == np.float64:
            with np.errstate(over='ignore'):  # found below
                feature = feature.astype(np.float32)
        check_finite(feature, results['feature_path'])
        sample = ActionDataSample(
            metainfo={key: results[key]
                      for key in _META} | dict(num_snippets=len(feature)))
        sample.set_gt_label(results['labels'])
        sample.gt_instances = InstanceData(
            segments=results['segments'], labels=results['segment_labels'])
        # a view: copying to (D, T) order is left to the device
        return dict(inputs=torch.from_numpy(feature).t(), data_samples=sample)


def check_finite(feature: np.ndarray, path: str) -> None:
    """Refuses features (T, D) that hold what is not finite.

    Raises:
        ValueError: It names the file, and the first such value.
    """
    # as quick as a check can be: NaN spreads to both
    extremes = torch.from_numpy(feature).aminmax()
    if not all(math.isfinite(x) for x in extremes):
        bad = ~np.isfinite(feature)
        snippet, channel = np.argwhere(bad)[0].tolist()
        raise ValueError(
            f'{path}: {bad.sum()} of {bad.size} values are not finite as '
            f'{feature.dtype}, the first is {feature[snippet, channel]} at '
            f'snippet {snippet} of those sampled, channel {channel}; extract '
            'the features of this video again')
