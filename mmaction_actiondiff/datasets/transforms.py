"""From a record of WTALDataset to what the localizers take.

Dimension legend: T snippets, D feature channels, G ground-truth segments.
"""
from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from mmaction.registry import TRANSFORMS
from mmaction.structures import ActionDataSample
from mmengine import fileio
from mmengine.structures import InstanceData

_PREPARE = 'expected a (T, D) float array saved with numpy.save'


def read_npy_header(path: str) -> tuple[int, ...]:
    """Shape of the array in the npy file ``path``, without its data.

    Raises:
        ValueError: If the file is not an npy file.
    """
    with open(path, 'rb') as file:
        try:
            version = np.lib.format.read_magic(file)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0) else np.lib.format.read_array_header_2_0)
            return read(file)[0]
        except ValueError as error:
            raise ValueError(
                f'{path}: not an npy file ({error}); {_PREPARE}') from None


@TRANSFORMS.register_module()
class LoadSnippetFeature:
    """Opens ``results['feature_path']`` as ``results['feature']`` (T, D).

    A local file is memory-mapped: only the snippets that the next transforms
    take are read.

    Args:
        in_channels (int): D.
        backend_args (dict, optional): MMEngine file backend. None: local.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a complete npy file of float values of shape
            (T, D) with T > 0. Pickled objects are refused: loading them can
            run code.
    """

    def __init__(self,
                 in_channels: int,
                 backend_args: dict | None = None) -> None:
        if in_channels < 1:
            raise ValueError(f'in_channels must be >= 1, got {in_channels}')
        self.in_channels = in_channels
        self.backend_args = backend_args

    def __call__(self, results: dict) -> dict:
        path = results['feature_path']
        feature = self._load(path)
        shape, channels = feature.shape, self.in_channels
        if feature.dtype not in (np.float16, np.float32, np.float64):
            raise ValueError(f'{path}: expected float16, float32 or float64 '
                             f'values, found {feature.dtype}')
        if len(shape) != 2 or shape[1] != channels or shape[0] == 0:
            problem = f'expected (T, {channels}) with T >= 1, found {shape}'
            if len(shape) == 2 and shape[0] == channels:
                problem += '; this looks like (D, T): save its transpose'
            elif len(shape) == 2 and shape[0] > 0:
                problem += (f'; these features need in_channels={shape[1]} '
                            '(of the model, too)')
            raise ValueError(f'{path}: {problem}')
        results['feature'] = feature
        return results

    def _load(self, path: str) -> np.ndarray:
        try:
            if self.backend_args is None:
                feature = np.load(path, mmap_mode='r')
            else:
                data = fileio.get(path, backend_args=self.backend_args)
                feature = np.load(io.BytesIO(data))
        except FileNotFoundError:
            raise FileNotFoundError(
                f'{path}: no such feature file; was it removed after the '
                'data set was opened?') from None
        except (ValueError, EOFError, OSError) as error:
            if 'object' in str(error).lower():
                error = ValueError('it holds pickled Python objects')
            raise ValueError(
                f'{path}: cannot be read ({error}); {_PREPARE}. Copy or '
                'prepare the file again') from None
        if not isinstance(feature, np.ndarray):
            raise ValueError(f'{path}: found an npz archive; {_PREPARE}')
        return feature

    def __repr__(self) -> str:
        return f'{type(self).__name__}(in_channels={self.in_channels})'


@TRANSFORMS.register_module()
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
    come from ``(seed, results['draw'])`` where the sampler gives a draw, else
    from numpy's global state.

    Args:
        num_snippets (int): >= 1.
        mode (str): ``'crop'``, ``'uniform'`` or ``'stretch'``.
        random (bool): Whether the window, or the snippet of each part, is
            random (training) or the central one (test).
        seed (int): Another seed, other random numbers.
    """

    def __init__(self,
                 num_snippets: int,
                 mode: str = 'crop',
                 random: bool = True,
                 seed: int = 0) -> None:
        if num_snippets < 1:
            raise ValueError(f'num_snippets must be >= 1, got {num_snippets}')
        if mode not in ('crop', 'uniform', 'stretch'):
            raise ValueError("mode must be 'crop', 'uniform' or 'stretch', "
                             f'got {mode!r}')
        self.num_snippets = num_snippets
        self.mode = mode
        self.random = random
        self.seed = seed

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
            rng = np.random.default_rng((self.seed, results['draw']))
            return rng.random(size)
        return np.random.random_sample(size)

    def _crop(self, results: dict, start: int) -> dict:
        num, unit = self.num_snippets, results['seconds_per_snippet']
        results['feature'] = results['feature'][start:start + num]
        results['duration'] = num * unit
        for key in ('segments', 'ambiguous'):
            moved = np.clip(results[key] - start * unit, 0, num * unit)
            kept = moved[:, 1] > moved[:, 0]
            results[key] = moved[kept]
            if key == 'segments':
                results['segment_labels'] = results['segment_labels'][kept]
        return results

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(num_snippets={self.num_snippets}, '
                f'mode={self.mode!r}, random={self.random}, seed={self.seed})')


@TRANSFORMS.register_module()
class PackWTALInputs:
    """Packs a record into ``dict(inputs, data_samples)``.

    ``inputs`` is a tensor (D, T) in the type of the file. The
    ``ActionDataSample`` has the metainfo ``video_name``, ``duration`` (s),
    ``seconds_per_snippet``, ``num_snippets`` (T), ``ambiguous`` ((A, 2), s),
    the class indices ``gt_label`` (long) and ``gt_instances`` with
    ``segments`` (float64 (G, 2), s) and ``labels`` (int64 (G,)).

    Raises:
        ValueError: If a feature value is not finite.
    """

    def __call__(self, results: dict) -> dict:
        feature = np.array(results['feature'])  # reads the mapped file
        self._check_finite(feature, results['feature_path'])
        sample = ActionDataSample(
            metainfo=dict(
                video_name=results['video_name'],
                duration=results['duration'],
                seconds_per_snippet=results['seconds_per_snippet'],
                num_snippets=len(feature),
                ambiguous=results['ambiguous']))
        sample.set_gt_label(results['labels'])
        sample.gt_instances = InstanceData(
            segments=results['segments'], labels=results['segment_labels'])
        # a view: copying to (D, T) order is left to the device
        return dict(inputs=torch.from_numpy(feature).t(), data_samples=sample)

    @staticmethod
    def _check_finite(feature: np.ndarray, path: str) -> None:
        # The quick way first: it runs on every sample.
        if feature.dtype == np.float16:
            # all exponent bits set; numpy converts float16 one by one
            if (feature.view(np.uint16) & 0x7C00).max() < 0x7C00:
                return
        else:
            with np.errstate(over='ignore', invalid='ignore'):
                # Inf and NaN survive a sum
                if np.isfinite(feature.sum()):
                    return
        bad = ~np.isfinite(feature)
        if bad.any():
            snippet, channel = np.argwhere(bad)[0].tolist()
            raise ValueError(
                f'{path}: {bad.sum()} of {bad.size} values are not finite, '
                f'the first is {feature[snippet, channel]} at snippet '
                f'{snippet} of those sampled, channel {channel}; extract the '
                'features of this video again')

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'
