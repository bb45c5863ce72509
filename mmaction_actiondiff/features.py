# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""From a video to snippet features, with any recognizer of MMAction2.

A window of frames slides over the video; the recognizer's backbone, averaged
over space and time, turns each into one row of a (T, D) array.
"""
from __future__ import annotations

import contextlib
import copy
import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmaction.registry import MODELS, TRANSFORMS
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.device import get_device
from mmengine.hub import get_config
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from torch import Tensor

from .files import load_json, whole_file, write_text
from .snippets import sidecar_path

VIDEO_SUFFIXES = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg',
                  '.webm', '.wmv')
_SAMPLERS = ('SampleFrames', 'UniformSample')
# Pixels of motion that become 0 and 255, as in the published flow.
_FLOW_BOUND = 20.
# The share of damaged frames for which decord takes others.
_UNREADABLE = 0.05
# TV-L1 takes a second per megapixel; backbones see 256 pixels at most.
_FLOW_SIDE = 256


class Frames:
    """The frames of a video, RGB or optical flow, at a constant rate.

    Args:
        path (str | PathLike): The video.
        fps (float, optional): Frames per second to which the video is
            resampled (nearest frame). Defaults to its own, the average one
            where it varies.
        modality (str): ``'RGB'``, or ``'Flow'``: TV-L1 between a frame and
            the next, clipped to 20 pixels, as two channels in 0 ... 255.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be decoded, or its end is missing.
    """

    def __init__(self,
                 path: str | os.PathLike,
                 fps: float | None = None,
                 modality: str = 'RGB') -> None:
        import decord  # comes with MMAction2 where there is a wheel of it
        if not os.path.isfile(path):
            raise FileNotFoundError(f'{path}: no such video')
        self.path = path
        with self._explained():
            self.reader = decord.VideoReader(
                os.fspath(path), fault_tol=_UNREADABLE)
            rate = float(self.reader.get_avg_fps())
            if not len(self.reader) or not rate > 0:
                raise ValueError('it has no frames')
            seconds = self._seconds(rate)
        self.fps = fps or rate
        self.duration = len(self.reader) / rate
        # From the middle between two frames on, the later is the nearest.
        self._middles = (seconds[1:] + seconds[:-1]) / 2
        self.modality = modality
        self.number = max(1, int(self.duration * self.fps + 1e-6))
        self._kept: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return self.number

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Says which video a decoder has failed at."""
        import decord
        try:
            yield
        except (decord.DECORDError, decord.DECORDLimitReachedError,
                RuntimeError, ValueError) as error:
            # without the place in the decoder's source
            reason = re.sub(r'\[[\d:]+\] \S+ ', '',
                            str(error).strip().splitlines()[-1])
            raise ValueError(
                f'{self.path}: cannot be decoded as a video ({reason}); '
                'convert it to mp4 with ffmpeg -i VIDEO -shortest NEW.mp4'
            ) from None

    def _seconds(self, rate: float) -> np.ndarray:
        """When each frame is shown, from the first on."""
        number = len(self.reader)
        even = np.arange(number) / rate
        shown = self.reader.get_frame_timestamp(range(number))[:, 0]
        shown = shown - shown[0]
        header = cv2.VideoCapture(os.fspath(self.path))
        said = header.get(cv2.CAP_PROP_FRAME_COUNT) / (
            header.get(cv2.CAP_PROP_FPS) or np.inf)
        found = max(shown[-1], number / rate)
        if said > 1.05 * found + 1:
            raise ValueError(
                f'its end is missing: it has pictures for {found:.1f} s, and '
                f'says that it lasts {said:.1f} s')
        # Containers round times, and some have none.
        varies = np.abs(shown - even).max() > .1 and np.diff(shown).min() > 0
        return shown if varies else even

    def get(self, indices: Sequence[int]) -> list[np.ndarray]:
        """Decode frames, each (H, W, 3), or (H, W, 2) of flow, uint8.

        Frames before the first of ``indices`` are forgotten, so that
        overlapping windows decode each frame once.
        """
        wanted = [min(int(i), len(self) - 1) for i in indices]
        self._kept = {
            i: frame
            for i, frame in self._kept.items() if i >= min(wanted)
        }
        missing = sorted(set(wanted) - set(self._kept))
        if self.modality == 'Flow':
            for i in missing:
                self._kept[i] = _flow(*self._decode([i, i + 1]))
        elif missing:
            self._kept.update(zip(missing, self._decode(missing)))
        return [self._kept[i] for i in wanted]

    def _decode(self, indices: Sequence[int]) -> np.ndarray:
        nearest = np.searchsorted(
            self._middles, np.asarray(indices) / self.fps, side='right')
        with self._explained():
            return self.reader.get_batch(nearest.tolist()).asnumpy()


def _flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """TV-L1 from one frame to the next, (H, W, 2) uint8."""
    scale = min(1., _FLOW_SIDE / min(first.shape[:2]))
    gray = [
        cv2.resize(
            cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY),
            None,
            fx=scale,
            fy=scale,
            interpolation=cv2.INTER_AREA) for frame in (first, second)
    ]
    method = getattr(cv2, 'optflow').DualTVL1OpticalFlow_create()
    flow = method.calc(*gray, None)
    return np.uint8(  # type: ignore[return-value]
        np.clip(flow / _FLOW_BOUND * 127.5 + 127.5, 0, 255).round())


class FeatureExtractor:
    """A recognizer that slides over videos.

    Args:
        config (str): Config of an MMAction2 recognizer, a path or
            ``mmaction::recognition/...``. Its validation pipeline (one crop)
            says how frames are resized, cropped and normalised, and how many
            make a clip.
        checkpoint (str): Its weights, a path or a URL.
        stride (int): Frames from a window to the next. Defaults to 16.
        window (int, optional): Frames that a window spans. Defaults to the
            span of a clip, ``clip_len * frame_interval``, and for networks
            that take single frames to the stride.
        fps (float, optional): Videos are resampled to this rate. Defaults to
            their own.
        batch_size (int): Windows at once.
        device (str, optional): Defaults to a GPU where there is one.

    Raises:
        FileNotFoundError: If config or checkpoint are missing.
        ValueError: If the config is of no recognizer, or a number is out of
            range.
    """

    def __init__(self,
                 config: str,
                 checkpoint: str,
                 stride: int = 16,
                 window: int | None = None,
                 fps: float | None = None,
                 batch_size: int = 8,
                 device: str | None = None) -> None:
        for name, value in dict(
                stride=stride, window=window, fps=fps,
                batch_size=batch_size).items():
            if value is not None and not 0 < value < 10_000:
                raise ValueError(
                    f'{name} must be > 0 and < 10000, got {value}')
        cfg = _read_config(config)
        if '://' not in checkpoint and not os.path.isfile(checkpoint):
            raise FileNotFoundError(f'{checkpoint}: no such checkpoint')
        self.device = device or get_device()
        self.batch_size = batch_size
        dataset = (cfg.get('val_dataloader') or cfg.test_dataloader).dataset
        self.modality = dataset.get('modality', 'RGB')
        sampler, steps = _split_pipeline(dataset.pipeline, config)
        clip_len = sampler['clip_len']
        if clip_len > 1:
            sampler['num_clips'] = 1  # a window is a clip
        even = sampler['type'] == 'SampleFrames'
        if even:
            sampler['out_of_bound_opt'] = 'repeat_last'
            sampler.setdefault('frame_interval', 1)
        span = clip_len * sampler.get('frame_interval', 1)
        if window is None:
            window = span if clip_len > 1 else stride
        elif window < span and clip_len > 1 and even:
            raise ValueError(
                f'{config}: a clip spans {span} frames, more than the window '
                f'of {window}: choose a longer one')
        self.sampler = TRANSFORMS.build(dict(sampler, test_mode=True))
        self.steps = Compose([TRANSFORMS.build(step) for step in steps])
        self.model = _load_recognizer(cfg, config, checkpoint, self.device)
        self.fps = fps
        self.settings = dict(
            window=window,
            stride=stride,
            clip_len=clip_len,
            frame_interval=sampler.get('frame_interval'),
            modality=self.modality,
            recognizer=os.path.basename(config),
            checkpoint=os.path.basename(checkpoint),
            checkpoint_sha256=None if '://' in checkpoint else hashlib.sha256(
                Path(checkpoint).read_bytes()).hexdigest())

    def __call__(self,
                 path: str | os.PathLike) -> tuple[np.ndarray, dict[str, Any]]:
        """Extract the features of one video.

        Returns:
            tuple[np.ndarray, dict]: Features (T, D) float32, T the whole
            windows in the video and at least one (the last frame is repeated
            in a video shorter than a window); and how they were made, the
            content of the sidecar file.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it cannot be decoded.
        """
        frames = Frames(path, self.fps, self.modality)
        clips = self._clips(frames)
        rows = []
        while batch := list(itertools.islice(clips, self.batch_size)):
            rows.append(self._forward(batch))
        info = dict(
            self.settings,
            fps=frames.fps,
            duration=frames.duration,
            video=os.path.basename(path))
        return np.concatenate(rows), info

    def write(self, path: str | os.PathLike,
              folder: str | os.PathLike) -> bool:
        """Write ``folder/NAME.npy`` and its sidecar ``folder/NAME.json``.

        Both are written whole or not at all, the sidecar first.

        Returns:
            bool: False if they were there already, made in the same way.

        Raises:
            ValueError: If one of them was there, made in another way, or they
                cannot be written.
        """
        target = Path(folder, Path(path).stem + '.npy')
        sidecar = sidecar_path(target)
        if sidecar.is_file():
            self._compare(sidecar, Path(path).name)
            if target.is_file():
                return False
        elif target.is_file():
            raise ValueError(
                f'{target} is there, and no {sidecar.name} that says how it '
                'was made: delete it or name another folder')
        feature, info = self(path)
        write_text(sidecar, json.dumps(info, indent=1))
        with whole_file(target) as file:
            np.save(file, feature)
        return True

    def _compare(self, sidecar: Path, video: str) -> None:
        found = load_json(sidecar)
        wanted = dict(self.settings, video=video)
        if self.fps:
            wanted['fps'] = self.fps
        other = {k: found.get(k) for k in wanted if found.get(k) != wanted[k]}
        if other:
            raise ValueError(
                f'{sidecar}: these features were made with {other}, now '
                f'{ {k: wanted[k] for k in other} } is asked for; delete them '
                'or name another folder')

    def _clips(self, frames: Frames) -> Iterator[dict]:
        """The packed input of each window."""
        window, stride = self.settings['window'], self.settings['stride']
        number = max(1, (len(frames) - window) // stride + 1)
        for start in range(0, number * stride, stride):
            results = self.sampler(
                dict(
                    total_frames=window,
                    start_index=start,
                    modality=self.modality))
            images = frames.get(results['frame_inds'])
            shape = images[0].shape[:2]
            yield self.steps(
                dict(
                    results,
                    imgs=images,
                    original_shape=shape,
                    img_shape=shape))

    @torch.no_grad()
    def _forward(self, batch: list[dict]) -> np.ndarray:
        """Backbone, averaged over space, time and views: (N, D)."""
        data = self.model.data_preprocessor(pseudo_collate(batch))
        maps, _ = self.model.extract_feat(data['inputs'], stage='backbone')
        rows = torch.cat(list(_pooled(maps)), 1)
        rows = rows.view(len(batch), -1, rows.shape[1]).mean(1)
        return rows.float().cpu().numpy()


def list_files(folder: str | os.PathLike, *kinds: tuple[str,
                                                        ...]) -> list[str]:
    """The files of a folder, by name: those of the first of several kinds of
    suffixes that there are.

    Raises:
        FileNotFoundError: If there are none.
    """
    names = sorted(os.listdir(folder))
    for suffixes in kinds:
        found = [name for name in names if name.lower().endswith(suffixes)]
        if found:
            other = {Path(name).suffix for name in set(names) - set(found)}
            if other - {'', '.json'}:
                print_log(
                    f'{folder}: the {len(found)} files {"/".join(suffixes)} '
                    f'are taken, {sorted(other)} are not',
                    logger='current',
                    level=30)
            return [os.path.join(folder, name) for name in found]
    wanted = ', '.join(suffix for suffixes in kinds for suffix in suffixes)
    raise FileNotFoundError(f'{folder}: expected files ({wanted}) in this '
                            f'folder, found {names[:5]}')


def _pooled(maps: Any) -> Iterator[Tensor]:
    """Each map (N, D, ...) averaged over what follows the channels."""
    if isinstance(maps, Tensor):
        yield maps.flatten(2).mean(2) if maps.ndim > 2 else maps
    else:
        for item in maps:
            yield from _pooled(item)


def _read_config(config: str) -> Config:
    if '::' not in config and not os.path.isfile(config):
        raise FileNotFoundError(
            f'{config}: no such config; give a path, or '
            'mmaction::recognition/... for one that MMAction2 brings')
    try:
        cfg = get_config(config) if '::' in config else Config.fromfile(config)
    except Exception as error:  # a config is a program
        raise ValueError(f'the config {config} cannot be read: '
                         f'{type(error).__name__}: {error}') from error
    if 'backbone' not in cfg.get('model', {}):
        raise ValueError(f'{config}: this is not the config of a recognizer')
    return cfg


def _split_pipeline(pipeline: Sequence[dict],
                    config: str) -> tuple[dict, list[dict]]:
    """The sampler of frames and what comes after decoding."""
    kinds = [step['type'] for step in pipeline]
    sampler = [i for i, kind in enumerate(kinds) if kind in _SAMPLERS]
    decoder = [i for i, kind in enumerate(kinds) if kind.endswith('Decode')]
    if not sampler or not decoder:
        raise ValueError(
            f'{config}: expected a pipeline with {" or ".join(_SAMPLERS)} and '
            f'a decoder of frames, found {kinds}')
    return (copy.deepcopy(dict(pipeline[sampler[0]])),
            list(pipeline[decoder[-1] + 1:]))


def _load_recognizer(cfg: Config, config: str, checkpoint: str,
                     device: str) -> Any:
    init_default_scope(cfg.get('default_scope', 'mmaction'))
    cfg.model.backbone.pop('pretrained', None)
    model = MODELS.build(cfg.model)
    try:
        load_checkpoint(model, checkpoint, map_location='cpu', strict=True)
    except RuntimeError as error:
        raise ValueError(f'{checkpoint} does not fit {config}: '
                         f'{str(error)[:300]}') from None
    return model.to(device).eval()
