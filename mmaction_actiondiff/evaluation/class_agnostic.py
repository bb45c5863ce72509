"""Judging MMAction2's proposal localizers (BMN, BSN's PEM, TCANet).

They return, one video per batch, ``dict(video_name, proposal_list)`` with
scored segments (s) of no class, and hand on no ground truth: it is taken from
the metainfo of the data sample, where ``PackLocalizationInputs`` puts the
``meta_keys`` ``segments``, ``segment_labels``, ``labels``, ``ambiguous`` and
``seconds_per_snippet`` of the record.
"""
from __future__ import annotations

import json
import os
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence

import numpy as np
from mmaction.registry import METRICS

from ..dumps import load_dump
from .metrics import AverageRecall, DetectionMAP, _numpy

_TRUTH = 'ground_truth'


def _samples(data_batch: Mapping[str, Any],
             predictions: Sequence[Mapping]) -> Iterator[Dict[str, Any]]:
    """Samples in the form in which our localizers return them, unlabelled."""
    samples = data_batch['data_samples']
    if len(samples) != len(predictions):
        raise ValueError(
            f'{len(predictions)} results for {len(samples)} videos: the '
            "localizers of MMAction2 predict a batch's first video only; set "
            'batch_size=1')
    for sample, prediction in zip(samples, predictions):
        info = sample.metainfo
        if info['video_name'] != prediction['video_name']:
            raise ValueError(f"expected proposals of {info['video_name']}, "
                             f"got those of {prediction['video_name']}")
        proposals = prediction['proposal_list']
        yield dict(
            video_name=info['video_name'],
            gt_instances=dict(
                segments=info['segments'], labels=info['segment_labels']),
            gt_label=info['labels'],
            ambiguous=info['ambiguous'],
            seconds_per_snippet=info['seconds_per_snippet'],
            pred_instances=dict(
                segments=_numpy([item['segment']
                                 for item in proposals], -1, 2) +
                info.get('snippet_offset', 0.),
                scores=_numpy([item['score'] for item in proposals], -1)))


@METRICS.register_module()
class ProposalRecall(AverageRecall):
    """:class:`AverageRecall` (AR@AN) of MMAction2's proposal localizers.

    Raises:
        ValueError: If a batch holds more than one video.
    """

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps the ground truth and the proposals of a batch.

        Args:
            data_batch (Any): The collated batch with its ``data_samples``.
            data_samples (Sequence[dict]): The localizer's results.
        """
        super().process(None, list(_samples(data_batch, data_samples)))


@METRICS.register_module()
class PairedDetectionMAP(DetectionMAP):
    """:class:`DetectionMAP` of proposals paired with video-level scores.

    Proposals have no class. Each is paired with the best classes of its
    video, and a pair scores the product of the proposal's and the class's
    score, as BSN and BMN do on ActivityNet with another network's classes.
    ``video_acc`` is that of the classifier.

    Args:
        video_scores (str): Where the video-level scores are from: a file
            that ``tools/test.py --dump`` wrote for a weakly supervised
            localizer, a json file ``{video: [score of each class]}``, or
            ``'ground_truth'``: the annotated classes of each video, all with
            score 1. The last is an oracle that no method has; its keys are
            therefore prefixed ``'oracle'`` by default.
        top_classes (int): Classes paired with the proposals of a video;
            the oracle pairs all annotated ones.
        prefix (str, optional): Of the keys. Defaults to ``'det'``, or to
            ``'oracle'``.
        **kwargs: Other arguments of :class:`DetectionMAP`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If ``top_classes < 1``, a batch holds more than one
            video, or the file lacks one.
    """

    def __init__(self,
                 video_scores: str,
                 top_classes: int = 2,
                 prefix: Optional[str] = None,
                 **kwargs: Any) -> None:
        if top_classes < 1:
            raise ValueError(f'top_classes must be >= 1, got {top_classes}')
        self.video_scores = video_scores
        self.top_classes = top_classes
        self.score_of: Optional[Dict[str, np.ndarray]] = None
        if video_scores == _TRUTH:
            prefix = prefix or 'oracle'
        else:
            self.score_of = self._load(video_scores)
        super().__init__(prefix=prefix, **kwargs)

    @staticmethod
    def _load(path: str) -> Dict[str, np.ndarray]:
        if path.endswith('.json'):
            if not os.path.isfile(path):
                raise FileNotFoundError(f'{path}: no such video-level scores')
            with open(path, encoding='utf-8') as file:
                content = json.load(file)
        else:
            content = {
                sample['video_name']: sample['pred_score']
                for sample in load_dump(path)
            }
        return {name: _numpy(score, -1) for name, score in content.items()}

    def _classes(self, sample: Dict[str, Any]) -> Dict[str, np.ndarray]:
        """Labels and scores to pair with the proposals of a video."""
        if self.score_of is None:
            labels = _numpy(sample['gt_label'], -1, dtype=np.int64)
            return dict(labels=labels, scores=np.ones(len(labels)))
        name = sample['video_name']
        if name not in self.score_of:
            raise ValueError(f'{self.video_scores}: no scores of {name}; it '
                             f'has {len(self.score_of)} videos')
        score = self.score_of[name]
        sample['pred_score'] = score
        best = np.argsort(-score, kind='stable')[:self.top_classes]
        return dict(labels=best, scores=score[best])

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Pairs the proposals of a batch with classes and keeps them.

        Args:
            data_batch (Any): The collated batch with its ``data_samples``.
            data_samples (Sequence[dict]): The localizer's results.
        """
        samples: List[Dict[str, Any]] = []
        for sample in _samples(data_batch, data_samples):
            classes = self._classes(sample)
            found = sample['pred_instances']
            num = len(classes['labels'])
            sample['pred_instances'] = dict(
                segments=np.repeat(found['segments'], num, axis=0),
                labels=np.tile(classes['labels'], len(found['scores'])),
                scores=np.outer(found['scores'], classes['scores']).ravel())
            samples.append(sample)
        super().process(None, samples)
