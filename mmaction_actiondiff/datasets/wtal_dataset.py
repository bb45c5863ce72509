"""WTALDataset: one annotation json and one feature file per video.

Dimension legend: T snippets, D feature channels, G ground-truth segments,
A ambiguous spans.
"""
from __future__ import annotations

import difflib
import json
import os.path as osp
from typing import Any, Sequence

import numpy as np
from mmaction.registry import DATASETS, TRANSFORMS
from mmengine import fileio
from mmengine.dataset import BaseDataset

from .class_names import CLASS_NAMES, data_hint
from .transforms import read_npy_header

# Feature files opened to compare the snippet rate with the durations.
_NUM_RATE_SAMPLES = 32
_NUM_NAMES_SHOWN = 5


def _quote(names: Sequence[str]) -> str:
    """The first few of ``names``, and how many there are."""
    shown = ', '.join(list(names)[:_NUM_NAMES_SHOWN])
    more = '' if len(names) <= _NUM_NAMES_SHOWN else ', …'
    return f'{shown}{more} ({len(names)} in total)'


def _closest(word: str, candidates: Sequence[str]) -> str:
    lower = {name.lower(): name for name in candidates}
    found = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0)
    return lower[found[0]] if found else 'none'


@DATASETS.register_module()
class WTALDataset(BaseDataset):
    """Videos with video-level labels; segments serve to judge only.

    ``data_root/ann_file`` follows the ActivityNet schema::

        {"classes": [NAME, …],                                   # optional
         "database": {VIDEO: {"subset": str, "duration": seconds,
             "annotations": [{"label": NAME, "segment": [start, end]}],
             "labels": [NAME, …],           # optional: video-level labels
             "ambiguous": [[start, end]]}}}                      # optional

    ``data_root/feature_dir/VIDEO.npy`` is a (T, D) float array; snippet ``i``
    covers ``[i, i + 1) * seconds_per_snippet``. Video-level labels default to
    the labels of the segments.

    A record is a dict of ``video_name``, ``feature_path``, ``duration`` (s),
    ``seconds_per_snippet``, ``labels`` (sorted class indices), ``segments``
    (float64 (G, 2), s), ``segment_labels`` (int64 (G,)) and ``ambiguous``
    (float64 (A, 2), s).

    ``dataset[(index, draw)]`` puts the integer ``draw`` into the record, from
    which random transforms seed themselves; see :class:`WTALSampler`.

    Args:
        data_root (str): Folder of the data set.
        subset (str | Sequence[str]): Subset(s) of the json to read.
        seconds_per_snippet (float): Seconds a snippet covers.
        ann_file (str): Annotation json, relative to ``data_root``.
        feature_dir (str): Feature folder, relative to ``data_root``.
        dataset_name (str, optional): For class names, messages and reports.
            Defaults to the name of the folder ``data_root``.
        classes (Sequence[str], optional): Class names in the order of their
            indices. Defaults to those known for ``dataset_name``, else to
            ``classes`` of the json, else to its labels, sorted.
        pipeline (Sequence[dict | callable]): Transforms.
        test_mode (bool): Whether videos without labels are accepted.
        odd_segments (str): ``'error'`` refuses segments of no length and
            those that end more than a snippet after the video; ``'keep'``
            keeps them as ground truth that cannot be found, which is how
            THUMOS14 and ActivityNet, which have some, are judged.
        exclude (Sequence[str]): Videos to leave out.
        rate_tolerance (float, optional): Largest relative difference of the
            median feature length from the duration; catches features of
            another frame rate or stride. None does not look.
        backend_args (dict, optional): MMEngine file backend of annotations
            and features. None: local files.
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
                 seconds_per_snippet: float,
                 ann_file: str = 'annotations.json',
                 feature_dir: str = 'features',
                 dataset_name: str | None = None,
                 classes: Sequence[str] | None = None,
                 pipeline: Sequence = (),
                 test_mode: bool = False,
                 odd_segments: str = 'error',
                 exclude: Sequence[str] = (),
                 rate_tolerance: float | None = 0.03,
                 backend_args: dict | None = None,
                 **kwargs: Any) -> None:
        if not seconds_per_snippet > 0:
            raise ValueError('seconds_per_snippet must be > 0, got '
                             f'{seconds_per_snippet}')
        if odd_segments not in ('error', 'keep'):
            raise ValueError("odd_segments must be 'error' or 'keep', got "
                             f'{odd_segments!r}')
        self.subset = [subset] if isinstance(subset, str) else list(subset)
        self.seconds_per_snippet = float(seconds_per_snippet)
        self.dataset_name = dataset_name
        self._class_names = classes
        self.odd_segments = odd_segments
        self.exclude = set(exclude)
        self.rate_tolerance = rate_tolerance
        self.backend_args = backend_args
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix=dict(feature=feature_dir),
            # built here: BaseDataset looks in MMEngine's root registry, which
            # finds them with default_scope='mmaction' only
            pipeline=[
                TRANSFORMS.build(step) if isinstance(step, dict) else step
                for step in pipeline
            ],
            test_mode=test_mode,
            **kwargs)

    def get_cat_ids(self, idx: int) -> list[int]:
        """Sorted class indices of video ``idx``."""
        return self.get_data_info(idx)['labels']

    def prepare_data(self, idx: int | tuple[int, int]) -> Any:
        """Runs the pipeline on video ``idx`` or ``(index, draw)``."""
        index, draw = idx if isinstance(idx, tuple) else (idx, None)
        results = self.get_data_info(index)
        if draw is not None:
            results['draw'] = draw
        return self.pipeline(results)

    def load_data_list(self) -> list[dict]:
        """Reads and checks the annotations of ``subset``."""
        content = self._read_annotations()
        database = content['database']
        unknown = sorted(self.exclude - set(database))
        if unknown:
            raise ValueError(f'{self.ann_file}: no such videos as exclude '
                             f'names: {_quote(unknown)}')
        strange = [n for n, v in database.items() if not isinstance(v, dict)]
        if strange:
            raise ValueError(f'{self.ann_file}: the records of these videos '
                             f'are no json objects: {_quote(strange)}')
        videos = {
            name: video
            for name, video in database.items()
            if video.get('subset') in self.subset and name not in self.exclude
        }
        if not videos:
            found = sorted({str(v.get('subset')) for v in database.values()})
            raise ValueError(
                f'{self.ann_file}: no videos in subset {self.subset}; the '
                f'file has {len(database)} videos in the subsets {found}')
        self.classes = tuple(self._class_list(content))
        self._metainfo.update(
            classes=self.classes,
            dataset_name=self.dataset_name
            or osp.basename(osp.normpath(self.data_root)),
            seconds_per_snippet=self.seconds_per_snippet)

        records = self._parse(videos)
        self._check_features(records)
        if self.rate_tolerance is not None and self.backend_args is None:
            self._check_rate(records, self.rate_tolerance)
        return records

    def _read_annotations(self) -> dict:
        try:
            text = fileio.get_text(
                self.ann_file, backend_args=self.backend_args)
        except (FileNotFoundError, NotADirectoryError):
            hint = data_hint(self.dataset_name, self.data_root)
            raise FileNotFoundError(
                f'{self.ann_file}: no such annotation file.\n{hint}') from None
        try:
            content = json.loads(text)
        except ValueError as error:
            raise ValueError(
                f'{self.ann_file}: not a complete json file ({error}); '
                'prepare it again') from None
        if not isinstance(content, dict) or not isinstance(
                content.get('database'), dict):
            found = list(content) if isinstance(content, dict) else content
            raise ValueError(
                f'{self.ann_file}: expected a json object with the key '
                f'"database" (ActivityNet schema), found {found!r:.200}')
        return content

    def _class_list(self, content: dict) -> Sequence[str]:
        classes = self._class_names or CLASS_NAMES.get(
            self.dataset_name or '') or content.get('classes')
        if not classes:
            return sorted({
                label
                for video in content['database'].values()
                for label in self._label_names(video)
            })
        if len(set(classes)) < len(classes):
            twice = sorted({c for c in classes if list(classes).count(c) > 1})
            raise ValueError(f'classes named twice: {_quote(twice)}')
        return classes

    @staticmethod
    def _label_names(video: dict) -> list[str]:
        if 'labels' in video:
            return video['labels']
        return [item['label'] for item in video.get('annotations', ())]

    def _parse(self, videos: dict[str, dict]) -> list[dict]:
        """One record per video; times are checked for all at once."""
        names = list(videos)
        durations = self._times(
            names, [video.get('duration') for video in videos.values()], ())
        self._refuse(~(durations > 0), names, durations,
                     'the duration must be > 0 s')

        index_of = {name: index for index, name in enumerate(self.classes)}
        labels, segment_labels = [], []
        counts, segments = np.zeros(len(names), dtype=np.int64), []
        num_spans, spans = np.zeros(len(names), dtype=np.int64), []
        for i, (name, video) in enumerate(videos.items()):
            try:
                items = video.get('annotations', ())
                segments += [item['segment'] for item in items]
                segment_labels += [index_of[item['label']] for item in items]
                labels.append(
                    sorted({index_of[c]
                            for c in self._label_names(video)}))
                counts[i] = len(items)
                spans += video.get('ambiguous', ())
                num_spans[i] = len(video.get('ambiguous', ()))
            except (KeyError, TypeError) as error:
                self._explain(name, video)
                raise ValueError(
                    f'{self.ann_file}: the record of {name} is malformed '
                    f'({type(error).__name__}: {error})') from None
        if not self.test_mode:
            bare = [name for name, label in zip(names, labels) if not label]
            if bare:
                raise ValueError(
                    f'{self.ann_file}: training videos without a label: '
                    f'{_quote(bare)}. Give them "annotations" or "labels", '
                    'or exclude them')

        owner = np.repeat(np.arange(len(names)), counts)
        times = self._check_segments([names[i] for i in owner], segments,
                                     durations[owner])
        ambiguous = self._times(
            [names[i] for i in np.repeat(np.arange(len(names)), num_spans)],
            spans, (2, ))
        first = np.cumsum(counts) - counts
        first_span = np.cumsum(num_spans) - num_spans
        class_of = np.array(segment_labels, dtype=np.int64)
        folder = self.data_prefix['feature']
        return [
            dict(
                video_name=name,
                feature_path=fileio.join_path(
                    folder, f'{name}.npy', backend_args=self.backend_args)
                if self.backend_args else osp.join(folder, f'{name}.npy'),
                duration=float(durations[i]),
                seconds_per_snippet=self.seconds_per_snippet,
                labels=labels[i],
                segments=times[first[i]:first[i] + counts[i]],
                segment_labels=class_of[first[i]:first[i] + counts[i]],
                ambiguous=ambiguous[first_span[i]:first_span[i] +
                                    num_spans[i]])
            for i, name in enumerate(names)
        ]

    def _explain(self, name: str, video: dict) -> None:
        """Raises what is wrong with the labels or keys of one video."""
        if not isinstance(video.get('annotations', []), list) or any(
                not isinstance(item, dict)
                or not {'label', 'segment'} <= set(item)
                for item in video.get('annotations', [])):
            raise ValueError(
                f'{self.ann_file}: "annotations" of {name} must be a list of '
                f'{{"label", "segment"}}, found {video["annotations"]!r:.200}')
        used = [item['label'] for item in video.get('annotations', [])]
        for label in [*used, *self._label_names(video)]:
            if label not in self.classes:
                raise ValueError(
                    f'{self.ann_file}: {name} has the label {label!r}, which '
                    f'is none of the {len(self.classes)} classes of '
                    f'{self._metainfo["dataset_name"]}; the closest is '
                    f'{_closest(str(label), self.classes)!r}')

    def _times(self, names: Sequence[str], values: Sequence,
               shape: tuple) -> np.ndarray:
        """``values`` as finite seconds, each of ``shape``."""
        try:
            times = np.array(values, dtype=np.float64).reshape(-1, *shape)
            if len(times) == len(names) and np.isfinite(times).all():
                return times
        except (TypeError, ValueError):
            pass
        what = '[start, end] in seconds' if shape else '"duration" in seconds'
        for name, value in zip(names, values):
            self._times_of_one(name, value, shape, what)
        raise AssertionError('every single time is good')

    def _times_of_one(self, name: str, value: Any, shape: tuple,
                      what: str) -> None:
        try:
            good = np.array(value, dtype=np.float64)
            if good.shape == shape and np.isfinite(good).all():
                return
        except (TypeError, ValueError):
            pass
        raise ValueError(f'{self.ann_file}: {name}: expected {what}, found '
                         f'{value!r}')

    def _refuse(self, bad: np.ndarray, names: Sequence[str],
                values: np.ndarray, rule: str) -> None:
        """Raises ``rule`` with the first of the bad values, if any."""
        if bad.any():
            at = int(bad.argmax())
            raise ValueError(
                f'{self.ann_file}: {names[at]}: {rule}, found '
                f'{values[at].tolist()} ({bad.sum()} such entries in the '
                'file)')

    def _check_segments(self, names: Sequence[str], segments: Sequence,
                        durations: np.ndarray) -> np.ndarray:
        times = self._times(names, segments, (2, ))
        start, end = times.T
        self._refuse(start < 0, names, times, 'a segment must start at >= 0 s')
        self._refuse(end < start, names, times,
                     'a segment must end after its start')
        if self.odd_segments == 'error':
            advice = "; correct it or set odd_segments='keep'"
            self._refuse(end <= start, names, times,
                         'a segment must end after its start' + advice)
            beyond = end > durations + self.seconds_per_snippet
            self._refuse(
                beyond, names, np.column_stack([times, durations]),
                'a segment must end within the video ([start, end, duration])'
                + advice)
        return times

    def _check_features(self, records: Sequence[dict]) -> None:
        folder = self.data_prefix['feature']
        try:
            # one listing instead of as many look-ups as there are videos
            present = set(
                fileio.list_dir_or_file(
                    folder,
                    list_dir=False,
                    suffix='.npy',
                    backend_args=self.backend_args))
        except FileNotFoundError:
            present = set()
        missing = [
            record['video_name'] for record in records
            if f'{record["video_name"]}.npy' not in present
        ]
        if missing:
            hint = data_hint(self.dataset_name, self.data_root)
            raise FileNotFoundError(
                f'{folder}: of {len(records)} videos, these have no feature '
                f'file NAME.npy: {_quote(missing)}.\n{hint}')

    def _check_rate(self, records: Sequence[dict], tolerance: float) -> None:
        """Compares feature lengths with durations (median of a few videos).

        Features taken at 24 instead of 25 fps are 4 % off, which goes
        unnoticed in training and ruins the boundaries.
        """
        step = -(-len(records) // _NUM_RATE_SAMPLES)
        ratios = []
        for record in records[::step]:
            shape = read_npy_header(record['feature_path'])
            # + 0.5: the number of snippets is rounded down
            ratios.append((shape[0] + 0.5) * self.seconds_per_snippet /
                          record['duration'])
        ratio = float(np.median(ratios))
        if abs(ratio - 1) > tolerance:
            raise ValueError(
                f'{self.data_prefix["feature"]}: the features of '
                f'{len(ratios)} videos last {ratio:.3f} times (median) as '
                f'long as the videos if a snippet covers '
                f'{self.seconds_per_snippet:g} s; expected 1 ± '
                f'{tolerance:g}. The features fit '
                f'seconds_per_snippet={self.seconds_per_snippet / ratio:.4g}: '
                'were they taken at another frame rate or stride, or is the '
                'array (D, T)?')
