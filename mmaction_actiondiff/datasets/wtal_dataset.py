# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""WTALDataset: one annotation json and one feature file per video."""
from __future__ import annotations

import os
import os.path as osp
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmaction.registry import DATASETS, TRANSFORMS
from mmengine.dataset import BaseDataset

from mmaction_actiondiff.annotations import (Annotations, Video,
                                             canonical_subset, index_labels,
                                             quote, read_annotations)
from mmaction_actiondiff.files import check_file_name
from mmaction_actiondiff.safe_npy import open_feature
from mmaction_actiondiff.snippets import SnippetGrid, clock_problem

# Feature files opened at start, to compare lengths and channels.
_NUM_SAMPLES = 32
# The tool below tools/prepare for each data set that has a config.
_TOOLS = dict(
    thumos14='thumos14',
    activitynet12='activitynet',
    activitynet13='activitynet',
    shrec21='shrec21',
    hapt='hapt')


def data_hint(dataset_name: str | None, data_root: str) -> str:
    """Which command prepares the data, and where they are to lie."""
    tool = _TOOLS.get(dataset_name or '', 'custom')
    hint = (f'Expected layout: {data_root}/annotations.json (ActivityNet '
            f'schema) and {data_root}/features/NAME.npy, one (T, D) array per '
            'video. docs/data.md says where to get the data; tools/prepare/'
            f'{tool}.py --out {data_root} makes this of them. ')
    if dataset_name in _TOOLS:
        return hint + ('To keep them elsewhere set '
                       f'ACTIONDIFF_{dataset_name.upper()}')
    return hint + '--cfg-options data_root=DIR names another folder'


@DATASETS.register_module()
class WTALDataset(BaseDataset):
    """Videos with video-level labels; segments serve to evaluate only.

    ``data_root/ann_file`` follows the ActivityNet schema (``docs/data.md``),
    ``data_root/features/VIDEO.npy`` is a (T, D) float array. Video-level
    labels default to the labels of the segments.

    A record is a dict of ``video_name``, ``feature_path``, ``duration`` (s),
    ``seconds_per_snippet`` and ``snippet_offset`` (s, see
    :class:`SnippetGrid`), ``in_channels`` (D), ``labels`` (sorted class
    indices), ``segments`` (float64 (G, 2), s), ``segment_labels`` (int64
    (G,)) and ``ambiguous`` (float64 (A, 2), s); with a draw of
    :class:`WTALSampler` also ``draw``.

    ``metainfo`` says what a model and its checkpoint must agree with:
    ``classes``, ``dataset_name``, ``seconds_per_snippet`` and
    ``snippet_offset`` (None where videos differ), ``in_channels``, and
    ``stream_channels`` and ``recognizers`` (None where the annotations do not
    say it).

    Args:
        data_root (str): Folder of the data set.
        subset (str | Sequence[str]): Subset(s) of the json to read; train and
            training, val and validation, test and testing are the same.
        seconds_per_snippet (float, optional): Seconds from a snippet to the
            next. None: the annotations say it.
        ann_file (str): Annotation json, relative to ``data_root``.
        dataset_name (str, optional): For messages and reports.
            Defaults to the name of the folder ``data_root``.
        pipeline (Sequence[dict | callable]): Transforms.
        test_mode (bool): Whether videos without labels are accepted.
        odd_segments (str): ``'error'`` refuses segments of no length and
            those that end more than a snippet after the video; ``'keep'``
            keeps them as ground truth that cannot be found, which is how
            THUMOS14 and ActivityNet, which have some, are evaluated.
        exclude (Sequence[str]): Videos to leave out.
        hold_out (int, optional): N >= 2 leaves out one video of N, those
            whose names have the lowest CRC-32; in ``test_mode`` these are
            taken, and no other.
        rate_tolerance (float, optional): Permitted share by which feature
            lengths differ from what the durations say, see
            :func:`clock_problem`. None does not look.
        **kwargs: Other arguments of :class:`mmengine.dataset.BaseDataset`,
            such as ``indices``.

    Raises:
        FileNotFoundError: If the annotations or features are missing; the
            message says how to get them.
        ValueError: If the annotations contradict themselves, the class list,
            the subset or the features.
    """

    def __init__(self,
                 data_root: str,
                 subset: str | Sequence[str],
                 seconds_per_snippet: float | None = None,
                 ann_file: str = 'annotations.json',
                 dataset_name: str | None = None,
                 pipeline: Sequence = (),
                 test_mode: bool = False,
                 odd_segments: str = 'error',
                 exclude: Sequence[str] = (),
                 hold_out: int | None = None,
                 rate_tolerance: float | None = 0.03,
                 **kwargs: Any) -> None:
        if odd_segments not in ('error', 'keep'):
            raise ValueError("odd_segments must be 'error' or 'keep', got "
                             f'{odd_segments!r}')
        if hold_out is not None and hold_out < 2:
            raise ValueError('hold_out takes one video of N, N >= 2, got '
                             f'{hold_out}')
        self.subset = [subset] if isinstance(subset, str) else list(subset)
        self.grid = SnippetGrid.read(
            dict(seconds_per_snippet=seconds_per_snippet))
        self.dataset_name = dataset_name
        self.odd_segments = odd_segments
        self.exclude = set(exclude)
        self.hold_out = hold_out
        self.rate_tolerance = rate_tolerance
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix=dict(feature='features'),
            # built here: BaseDataset looks in MMEngine's root registry, which
            # finds them with default_scope='mmaction' only
            pipeline=[
                TRANSFORMS.build(step) if isinstance(step, dict) else step
                for step in pipeline
            ],
            test_mode=test_mode,
            **kwargs)

    def prepare_data(self, idx: int) -> Any:
        """Runs the pipeline on video ``idx``, with its draw if it has one."""
        results = self.get_data_info(int(idx))
        draw = getattr(idx, 'draw', None)
        if draw is not None:
            results['draw'] = draw
        return self.pipeline(results)

    def load_data_list(self) -> list[dict]:
        """Reads and checks the annotations of ``subset``."""
        if not osp.isfile(self.ann_file):
            hint = data_hint(self.dataset_name, self.data_root)
            raise FileNotFoundError(
                f'{self.ann_file}: no such annotation file.\n{hint}')
        annotations = read_annotations(self.ann_file)
        grid = annotations.grid
        if self.grid and grid and not self.grid.agrees(grid):
            raise ValueError(
                f'{self.ann_file} says {grid}, the config of the '
                f'data set {self.grid}; leave it out of the config')
        unknown = sorted(self.exclude - set(annotations.videos))
        if unknown:
            raise ValueError(f'{self.ann_file}: no such videos as exclude '
                             f'names: {quote(unknown)}')
        wanted = {canonical_subset(name) for name in self.subset}
        videos = [
            video for name, video in annotations.videos.items()
            if video.subset in wanted and name not in self.exclude
        ]
        if not videos:
            found = sorted({v.subset for v in annotations.videos.values()})
            raise ValueError(
                f'{self.ann_file}: no videos in subset '
                f'{self.subset}; the file has the subsets {found}')
        if self.hold_out:
            videos = self._divide(videos, self.hold_out)
        paths = self._feature_paths(videos)
        index = {name: i for i, name in enumerate(annotations.classes)}
        records = [
            self._record(video, path, index, grid or self.grid)
            for video, path in zip(videos, paths)
        ]
        if not self.test_mode:
            bare = [r['video_name'] for r in records if not r['labels']]
            if bare:
                raise ValueError(
                    f'{self.ann_file}: training videos without a label: '
                    f'{quote(bare)}. Give them "annotations" or "labels", '
                    'or leave them out with --cfg-options '
                    f'train_dataloader.dataset.exclude="[{bare[0]}]"')
        self._describe(annotations, records)
        return records

    def _divide(self, videos: Sequence[Video], part: int) -> list[Video]:
        number = len(videos) // part
        if not number:
            raise ValueError(f'{self.ann_file}: hold_out={part} leaves none '
                             f'of {len(videos)} videos to validate; take at '
                             f'most {len(videos)}')
        names = sorted((v.name for v in videos),
                       key=lambda name: zlib.crc32(name.encode()))
        held = set(names[:number])
        return [v for v in videos if (v.name in held) == self.test_mode]

    def _record(self, video: Video, path: str, index: dict[str, int],
                default: SnippetGrid | None) -> dict:
        where = f'{self.ann_file}: {video.name}'
        if video.duration is None:
            raise ValueError(
                f'{where}: expected "duration" in seconds, found none; '
                'tools/prepare/custom.py takes it from the features')
        grid = video.grid or default
        if grid is None:
            raise ValueError(
                f'{where}: neither the annotations nor the config say how many'
                ' seconds a snippet covers: tools/prepare/custom.py writes it '
                'into the annotations, seconds_per_snippet of each dataset of '
                'the config says it, too')
        start, end = video.segments.T
        if self.odd_segments == 'error':
            odd = (end <= start) | (end > video.duration + grid.seconds)
            if odd.any():
                raise ValueError(
                    f'{where}: a segment must end after its start and within '
                    f'the video of {video.duration:g} s, found '
                    f'{video.segments[odd.argmax()].tolist()} ({odd.sum()} '
                    "such in this video); correct it or set "
                    "odd_segments='keep'")
        return dict(
            video_name=video.name,
            feature_path=path,
            duration=video.duration,
            seconds_per_snippet=grid.seconds,
            snippet_offset=grid.offset,
            labels=sorted(index_labels(video.video_labels, index, where)),
            segments=video.segments,
            segment_labels=np.array(
                index_labels(video.segment_labels, index, where),
                dtype=np.int64),
            ambiguous=video.ambiguous)

    def _feature_paths(self, videos: Sequence[Video]) -> list[str]:
        folder = self.data_prefix['feature']
        # one listing instead of as many look-ups as there are videos
        present = set(os.listdir(folder)) if osp.isdir(folder) else set()
        missing = [v.name for v in videos if f'{v.name}.npy' not in present]
        for video in videos:
            check_file_name(video.name)
        if missing:
            hint = data_hint(self.dataset_name, self.data_root)
            raise FileNotFoundError(
                f'{folder}: of {len(videos)} videos, these have no feature '
                f'file NAME.npy: {quote(missing)}.\n{hint}')
        return [osp.join(folder, f'{video.name}.npy') for video in videos]

    def _describe(self, annotations: Annotations,
                  records: Sequence[dict]) -> None:
        """Compares some feature files, and fills ``metainfo``."""
        some = records[::-(-len(records) // _NUM_SAMPLES)]
        shapes = [open_feature(r['feature_path']).shape for r in some]
        channels = shapes[0][1]
        for record, shape in zip(some, shapes):
            if shape[1] != channels:
                raise ValueError(
                    f'{record["feature_path"]}: expected (T, {channels}) as '
                    f'in {some[0]["feature_path"]}, found {shape}')
        streams = annotations.stream_channels
        if streams and sum(streams) != channels:
            raise ValueError(
                f'{self.ann_file}: stream_channels {streams} are '
                f'{sum(streams)} channels, but {some[0]["feature_path"]} has '
                f'{channels}')
        if self.rate_tolerance is not None:
            problem = clock_problem(
                [(shape[0], r['duration'],
                  SnippetGrid(r['seconds_per_snippet'], r['snippet_offset']))
                 for r, shape in zip(some, shapes)], self.rate_tolerance)
            if problem:
                raise ValueError(f'{self.data_prefix["feature"]}: {problem}')
        for record in records:
            record['in_channels'] = channels
        self._metainfo.update(
            classes=annotations.classes,
            dataset_name=self.dataset_name
            or osp.basename(osp.normpath(self.data_root)),
            in_channels=channels,
            stream_channels=streams,
            recognizers=annotations.recognizers)
        for key in ('seconds_per_snippet', 'snippet_offset'):
            values = {record[key] for record in records}
            self._metainfo[key] = values.pop() if len(values) == 1 else None
