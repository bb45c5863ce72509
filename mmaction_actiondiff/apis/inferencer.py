# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""From features or videos to segments in seconds, with a trained localizer.

Dimension letters: C classes, D feature channels, T snippets.
"""
from __future__ import annotations

import hashlib
import os
import pickle
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Union

import numpy as np
import torch
from mmaction.registry import MODELS, TRANSFORMS
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.device import get_device
from mmengine.infer import BaseInferencer
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import _load_checkpoint
from mmengine.visualization import Visualizer
from rich.progress import track

from mmaction_actiondiff.cli import latest_checkpoint
from mmaction_actiondiff.features import (VIDEO_SUFFIXES, FeatureExtractor,
                                          list_files)
from mmaction_actiondiff.files import whole_file
from mmaction_actiondiff.hooks import check_content
from mmaction_actiondiff.safe_npy import open_feature
from mmaction_actiondiff.snippets import (Sidecar, SnippetGrid,
                                          recognizer_difference)
from mmaction_actiondiff.visualization import draw_video, file_name, to_image

from . import writers
from .checkpoint import config_from_text

Input = Union[str, os.PathLike, np.ndarray]
_ERRORS = (FileNotFoundError, TypeError, ValueError)


class ActionDiffInferencer(BaseInferencer):
    """Localise actions with a trained localizer.

    ``ActionDiffInferencer('work_dirs/actiondiff_demo')('features/x.npy')``

    Args:
        config_or_work_dir (str): A config; or, without one, what
            ``tools/train.py`` left: a folder, of which the last checkpoint is
            taken, or a checkpoint. The checkpoint itself holds the config.
        checkpoint (str, optional): Its weights, if the first is a config.
        device (str, optional): Defaults to a GPU where there is one.
        extractor (FeatureExtractor, optional): The recognizer with whose
            features the localizer was trained; needed for videos only.
        show_progress (bool): Whether to show a progress bar.

    Raises:
        FileNotFoundError: If config or checkpoint are missing.
        ValueError: If they do not fit each other, or the checkpoint does not
            say what its classes are.
    """

    preprocess_kwargs = {'seconds_per_snippet', 'snippet_offset'}
    visualize_kwargs = {'show', 'out_dir'}

    def __init__(self,
                 config_or_work_dir: str | os.PathLike,
                 checkpoint: str | os.PathLike | None = None,
                 device: str | None = None,
                 extractor: FeatureExtractor | None = None,
                 show_progress: bool = True) -> None:
        config, weights = _find(config_or_work_dir, checkpoint)
        try:
            content = _load_checkpoint(weights, map_location='cpu')
        except (EOFError, RuntimeError, pickle.UnpicklingError) as error:
            raise ValueError(f'{weights}: not a complete checkpoint '
                             f'({error})') from None
        check_content(content, weights)
        meta = content.get('meta', {})
        dataset = meta.get('dataset_meta') or {}
        if not dataset.get('classes'):
            raise ValueError(
                f'{weights} does not name the classes of its model: expected '
                "meta['dataset_meta']['classes'], as checkpoints of "
                'tools/train.py have it')
        if config is None and not meta.get('cfg'):
            raise ValueError(f'{weights} holds no config; name one before it')
        cfg = Config.fromfile(config) if config else config_from_text(
            meta['cfg'], weights)
        if 'model' not in cfg:
            raise ValueError(f'{config or weights}: the config has no model')
        if cfg.model.get('num_classes') != len(dataset['classes']):
            raise ValueError(
                f'{config or weights}: the model has '
                f'{cfg.model.get("num_classes")} classes, the data set on '
                f'which {weights} was trained {len(dataset["classes"])}')
        init_default_scope(cfg.get('default_scope', 'mmaction'))
        self.scope = 'mmaction'
        self.cfg = cfg
        self.classes = tuple(dataset['classes'])
        self.extractor = extractor
        self.show_progress = show_progress
        self.recognizers = dataset.get('recognizers') or []
        self.grid = SnippetGrid.read({
            key: dataset.get(key)
            for key in ('seconds_per_snippet', 'snippet_offset')
        })
        try:
            self.model = MODELS.build(cfg.model)
        except KeyError as error:
            imports = (cfg.get('custom_imports') or {}).get('imports') or []
            absent = [name for name in imports if name not in sys.modules]
            if not absent:
                raise
            # a checkpoint's config, which runs no code here
            raise ValueError(
                f'{weights}: its config imports {absent}, which would run '
                'code: name the config before the checkpoint, or import them '
                f'first ({error.args[0]})') from None
        if not hasattr(self.model, 'dump_snippets'):
            raise ValueError(
                f'{type(self.model).__name__} gives no labelled segments; '
                'only localizers of this package can be used here')
        try:
            self.model.load_state_dict(content['state_dict'])
        except (KeyError, RuntimeError) as error:
            raise ValueError(f'{weights} does not fit {config or "itself"}: '
                             f'{str(error)[:300]}') from None
        self.model.to(device or get_device()).eval()
        self.channels = sum(self.model.base_branch.stream_channels)
        self.pipeline = self._init_pipeline(cfg)
        self.collate_fn = pseudo_collate
        self.visualizer: Any = None

    def __call__(  # type: ignore[override]
            self,
            inputs: Input | Sequence[Input],
            return_datasamples: bool = False,
            batch_size: int = 1,
            skip_errors: bool = False,
            **kwargs: Any) -> dict[str, Any]:
        """Localise the actions of one or many videos.

        The result of a video depends neither on the batch nor on the order,
        but on the name of its file, which seeds the sampler.

        Args:
            inputs (str | PathLike | np.ndarray | Sequence): A feature file
                (``.npy``, (T, D)), an array (T, D), a video, a folder of
                feature files or else of videos, or a list of these. A sidecar
                ``NAME.json`` beside ``NAME.npy`` says when its snippets are.
            return_datasamples (bool): Return ``ActionDataSample``s instead of
                plain values.
            batch_size (int): Videos at once.
            skip_errors (bool): Leave out inputs that cannot be used, and say
                so under ``errors``, instead of raising.
            seconds_per_snippet (float, optional): For inputs without a
                sidecar. Defaults to that of the training data.
            snippet_offset (float): Start of the first snippet in seconds; used
                with ``seconds_per_snippet``. Defaults to 0.
            show (bool): Show a picture of each video in a window.
            out_dir (str, optional): Write a picture ``NAME.png`` of each video
                into this folder.

        Returns:
            dict: ``predictions``, for each video a dict of ``video_name``,
            ``duration`` (s), ``segments``, a list of dicts ``label``,
            ``score``, ``segment`` ([start, end] in seconds), best first, and
            ``video_scores`` by class name; ``visualization``, the paths of
            the pictures; ``errors``, messages by input.

        Raises:
            FileNotFoundError: If an input is missing.
            TypeError: If an input is of another type.
            ValueError: If an input is not as described above.
        """
        before, _, visualize, _ = self._dispatch_kwargs(**kwargs)
        if batch_size < 1:
            raise ValueError(f'batch_size must be >= 1, got {batch_size}')
        self.model.dump_snippets = bool(
            visualize.get('show') or visualize.get('out_dir'))
        inputs = self._inputs_to_list(inputs)
        errors: dict[str, str] = {}
        data: Iterable = self._prepare(inputs, errors if skip_errors else None,
                                       **before)
        if self.show_progress:
            data = track(data, 'Inference', total=len(inputs))
        predictions, pictures = [], []
        usable = (item for item in data if item is not None)
        for chunk in self._get_chunk_data(usable, batch_size):
            samples = self.forward(self.collate_fn(chunk))
            pictures += self.visualize(inputs, samples, **visualize)
            for sample in samples:
                sample.pop('pred_snippets', None)
            predictions += samples
        return self.postprocess(predictions, pictures, return_datasamples,
                                errors)

    def visualize(  # type: ignore[override]
            self,
            inputs: list,
            preds: list,
            show: bool = False,
            out_dir: str | os.PathLike | None = None) -> list[str]:
        """Draw data samples; returns the paths that were written."""
        paths = []
        for sample in preds if show or out_dir else ():
            figure = draw_video(sample.to_dict(), self.classes)
            if out_dir:
                path = Path(out_dir, f'{file_name(sample.video_name)}.png')
                with whole_file(path) as file:
                    figure.savefig(file)
                paths.append(str(path))
            if show:
                self.visualizer = self.visualizer or Visualizer()
                self.visualizer.show(
                    to_image(figure), win_name=sample.video_name)
        return paths

    def postprocess(  # type: ignore[override]
            self,
            preds: list,
            visualization: list[str],
            return_datasample: bool = False,
            errors: dict[str, str] | None = None) -> dict[str, Any]:
        """Name the classes; see :meth:`__call__`."""
        return dict(
            predictions=preds if return_datasample else [
                dict(
                    writers.from_sample(sample.to_dict(), self.classes),
                    duration=sample.duration,
                    video_scores=dict(
                        zip(self.classes, sample.pred_score.tolist())))
                for sample in preds
            ],
            visualization=visualization,
            errors=errors or {})

    def _inputs_to_list(self, inputs: Any) -> list:
        return list_inputs(inputs)

    def _init_pipeline(self, cfg: Any) -> Compose:
        """The test pipeline, without what reads a file."""
        dataset = cfg.test_dataloader.dataset
        return Compose([
            TRANSFORMS.build(step) for step in dataset.pipeline
            if step['type'] != 'LoadSnippetFeature'
        ])

    def _prepare(self, inputs: list, errors: dict[str, str] | None,
                 **grid: float) -> Iterator[dict | None]:
        """Pipeline of each input; None for one that cannot be used."""
        for item in inputs:
            try:
                yield self.pipeline(self._record(item, **grid))
            except _ERRORS as error:
                if errors is None:
                    raise
                name = item if isinstance(item, (str, os.PathLike)) else \
                    f'array of shape {getattr(item, "shape", "?")}'
                errors[os.fspath(name)] = str(error)
                yield None

    def _read(self, item: Input) -> tuple[str, str, np.ndarray, Sidecar]:
        """Path, name, features and sidecar of an input."""
        if isinstance(item, (torch.Tensor, np.ndarray)):
            feature = np.asarray(item)
            name = 'array_' + hashlib.sha256(
                np.ascontiguousarray(feature).tobytes()).hexdigest()[:8]
            return name, name, feature, Sidecar()
        if not isinstance(item, (str, os.PathLike)):
            raise TypeError(
                'expected the path of a feature file, of a video or of a '
                f'folder, or an array (T, D), got a {type(item).__name__}')
        path, name = os.fspath(item), Path(item).stem
        if Path(path).suffix.lower() in VIDEO_SUFFIXES:
            if self.extractor is None:
                raise ValueError(
                    f'{path} is a video: give '
                    'extractor=FeatureExtractor(CONFIG, CHECKPOINT) '
                    '(tools/infer.py: --recognizer CONFIG CHECKPOINT) of the '
                    'recognizer that made the training features, or extract '
                    'features with tools/extract_features.py')
            feature, info = self.extractor(path)
            return path, name, feature, Sidecar.of(info)
        if path.endswith('.npy'):
            return path, name, open_feature(path), Sidecar.read(path)
        if not os.path.exists(path):
            raise FileNotFoundError(f'{path}: no such file or folder')
        raise ValueError(
            f'{path}: expected a feature file NAME.npy or a video '
            f'({", ".join(VIDEO_SUFFIXES)}); tools/prepare/custom.py '
            'converts other feature files')

    def _record(self,
                item: Input,
                seconds_per_snippet: float | None = None,
                snippet_offset: float | None = None) -> dict[str, Any]:
        """What a data set would hand to the pipeline, without labels."""
        grid = SnippetGrid.read(
            dict(
                seconds_per_snippet=seconds_per_snippet,
                snippet_offset=snippet_offset))
        path, name, feature, sidecar = self._read(item)
        if feature.ndim != 2 or not feature.size or feature.dtype.kind != 'f':
            raise ValueError(f'{path}: expected floats (T, {self.channels}), '
                             f'found {feature.dtype} {feature.shape}')
        if feature.shape[1] != self.channels:
            advice = ('; this looks like (D, T): transpose it'
                      if feature.shape[0] == self.channels else
                      '; use the recognizer that made its training data')
            raise ValueError(
                f'{path}: the model takes features (T, {self.channels}), '
                f'found {feature.shape}{advice}')
        # a file of several streams has no one recognizer
        difference = sidecar.recognizer and len(
            self.recognizers) == 1 and recognizer_difference(
                sidecar.recognizer, self.recognizers[0])
        if difference:
            raise ValueError(
                f'{path}: these features are of another network than those '
                f'of the training: {difference}. Extract them with that one, '
                'or train a model on these')
        grid = sidecar.grid or grid or self.grid
        if grid is None:
            raise ValueError(
                f'{path}: nothing says how many seconds a snippet covers: '
                'give seconds_per_snippet, or a sidecar file '
                f'{Path(path).with_suffix(".json").name} with window, stride '
                'and fps')
        if self.grid and not np.isclose(
                grid.seconds, self.grid.seconds, rtol=.05):
            print_log(
                f'{path}: a snippet covers {grid.seconds:g} s, in the '
                f'training of the model {self.grid.seconds:g} s; expect worse '
                'results',
                logger='current',
                level=30)
        return dict(
            video_name=name,
            feature_path=path,
            feature=feature,
            in_channels=self.channels,
            seconds_per_snippet=grid.seconds,
            snippet_offset=grid.offset,
            duration=sidecar.duration
            or len(feature) * grid.seconds + 2 * grid.offset,
            labels=[],
            segments=np.zeros((0, 2)),
            segment_labels=np.zeros(0, dtype=np.int64),
            ambiguous=np.zeros((0, 2)))


def list_inputs(inputs: Any) -> list:
    """What an inferencer takes, one by one: folders become their files."""
    if not isinstance(inputs, (list, tuple)):
        inputs = [inputs]
    found: list = []
    for item in inputs:
        if isinstance(item, (str, os.PathLike)) and os.path.isdir(item):
            found += list_files(item, ('.npy', ), VIDEO_SUFFIXES)
        else:
            found.append(item)
    return found


def _find(config_or_work_dir: str | os.PathLike,
          checkpoint: str | os.PathLike | None) -> tuple[str | None, str]:
    """The config, None if the checkpoint's, and the checkpoint."""
    first = os.fspath(config_or_work_dir)
    if not os.path.exists(first):
        raise FileNotFoundError(
            f'{first}: expected a config, a checkpoint or the folder of a '
            'run, found nothing')
    config = first if first.endswith('.py') else None
    if checkpoint is None:
        if config:
            raise ValueError(f'{first} is a config: name a checkpoint, too')
        checkpoint = latest_checkpoint(first) if os.path.isdir(
            first) else first
        if checkpoint is None:
            raise FileNotFoundError(
                f'{first}: expected a checkpoint iter_N.pth in this folder, '
                'found none; train first')
    elif not os.path.isfile(checkpoint):
        raise FileNotFoundError(f'{checkpoint}: no such checkpoint')
    return config, os.fspath(checkpoint)
