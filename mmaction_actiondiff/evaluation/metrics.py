# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Metrics for MMEngine's evaluator.

Everything that is needed, ground truth included, goes through
``self.results``, which MMEngine gathers from all ranks; samples that a
sampler repeated to make the ranks equal are counted once.

They take the samples of our localizers, and the results of MMAction2's
proposal localizers (BMN, BSN's PEM, TCANet): one video per batch,
``dict(video_name, proposal_list)`` with scored segments (s) of no class, and
the ground truth in the metainfo of the batch's data sample, where
``PackLocalizationInputs`` puts the ``meta_keys`` ``segments``,
``segment_labels``, ``labels``, ``ambiguous`` and ``seconds_per_snippet``.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from mmaction.evaluation.functional import average_recall_at_avg_proposals
from mmaction.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from mmaction_actiondiff.dumps import read_dump

from .protocols import Detections, GroundTruth, evaluate, make_protocol

_GROUND_TRUTH = 'ground_truth'


def to_numpy(value: Any, *shape: int, dtype: type = np.float64) -> np.ndarray:
    """An array from an array, a list or a tensor on any device."""
    if hasattr(value, 'cpu'):
        value = value.detach().cpu()
    return np.asarray(value, dtype=dtype).reshape(shape)


def _samples(data_batch: Any, results: Sequence[dict]) -> Iterator[dict]:
    """Samples of our localizers, or results of MMAction2's in their form."""
    if not any('proposal_list' in result for result in results):
        yield from results
        return
    samples = data_batch['data_samples']
    if len(samples) != len(results):
        raise ValueError(
            f'{len(results)} results for {len(samples)} videos: the '
            "localizers of MMAction2 predict a batch's first video only; set "
            'batch_size=1')
    for sample, result in zip(samples, results):
        info = sample.metainfo
        proposals = result['proposal_list']
        yield dict(
            video_name=info['video_name'],
            gt_instances=dict(
                segments=info['segments'], labels=info['segment_labels']),
            gt_label=info['labels'],
            ambiguous=info['ambiguous'],
            seconds_per_snippet=info['seconds_per_snippet'],
            pred_instances=dict(
                # they count from the first snippet on
                segments=to_numpy([item['segment']
                                   for item in proposals], -1, 2) +
                info.get('snippet_offset', 0.),
                scores=to_numpy([item['score'] for item in proposals], -1)))


def _by_name(results: Sequence[dict]) -> dict[str, dict]:
    """One result per video, in an order that no sampler decides.

    Raises:
        ValueError: If two videos have one name.
    """
    unique: dict[str, dict] = {}
    for result in results:
        name = result['video_name']
        other = unique.setdefault(name, result)
        mine, its = (
            truth[0] if isinstance(truth, tuple) else truth
            for truth in (result['truth'], other['truth']))
        if not np.array_equal(mine, its):
            raise ValueError(
                f'two videos are called {name}, and have other segments: '
                'evaluate data sets with the same names one by one')
    return {name: unique[name] for name in sorted(unique)}


@METRICS.register_module()
class DetectionMAP(BaseMetric):
    """Mean average precision of temporal action localization.

    Needs ``gt_instances``, ``gt_label``, ``pred_instances`` and the metainfo
    ``video_name``, ``seconds_per_snippet``, ``ambiguous`` of each sample;
    with ``pred_score`` also the video-level accuracy. Keys, in percent:

    - ``mAP@0.50``: mAP at a threshold, over the classes that have instances;
    - ``mAP@0.10:0.70``: its mean over a range of thresholds;
    - ``video_acc``: share of the labelled videos whose class with the highest
      ``pred_score`` is one of their labels.

    Without any instance (a data set with video-level labels only) the mAPs
    are NaN, and a warning says so.

    Args:
        protocol (str): Name of a protocol, see :class:`Protocol`.
        prefix (str, optional): Of the keys. Defaults to ``'det'``.
        **parts: Parts of the protocol to replace: ``gt_unit``, ``exclude``,
            ``ambiguous``, ``interpolated``, ``tiou_thrs``, ``averages``,
            ``outside``.

    Raises:
        ValueError: If the protocol or a part of it is unknown.
    """
    default_prefix = 'det'

    def __init__(self,
                 protocol: str = 'seconds212',
                 prefix: str | None = None,
                 **parts: Any) -> None:
        super().__init__(prefix=prefix)
        self.protocol = make_protocol(protocol, **parts)

    def names(self) -> list[str]:
        """Keys that the evaluator will give, prefix included."""
        result = evaluate({}, {}, 1, replace(self.protocol, exclude=()))
        keys = [f'mAP@{key}' for key in result.values()] + ['video_acc']
        return [f'{self.prefix}/{key}' for key in keys]

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps the ground truth and the detections of a batch."""
        for sample in _samples(data_batch, data_samples):
            truth, predicted = sample['gt_instances'], self._predicted(sample)
            labels = to_numpy(sample['gt_label'], -1, dtype=np.int64)
            correct = None
            if 'pred_score' in sample and len(labels):
                score = to_numpy(sample['pred_score'], -1)
                correct = bool(score.argmax() in labels)
            self.results.append(
                dict(
                    video_name=sample['video_name'],
                    truth=GroundTruth(
                        to_numpy(truth['segments'], -1, 2),
                        to_numpy(truth['labels'], -1, dtype=np.int64),
                        to_numpy(sample['ambiguous'], -1, 2),
                        float(sample['seconds_per_snippet'])),
                    predicted=Detections(
                        to_numpy(predicted['segments'], -1, 2),
                        to_numpy(predicted['labels'], -1, dtype=np.int64),
                        to_numpy(predicted['scores'], -1)),
                    correct=correct))

    def _predicted(self, sample: dict) -> Mapping[str, Any]:
        if 'labels' not in sample['pred_instances']:
            raise ValueError('DetectionMAP needs the class of each segment, '
                             'but proposals have none: use PairedDetectionMAP')
        return sample['pred_instances']

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Percentages over the videos of all ranks, and a table of them."""
        videos = _by_name(results)
        # MMEngine gathers named tuples as plain ones
        truth = {n: GroundTruth(*item['truth']) for n, item in videos.items()}
        predicted = {
            n: Detections(*item['predicted'])
            for n, item in videos.items()
        }
        labels = [item.labels for item in truth.values()]
        labels += [item.labels for item in predicted.values()]
        num_classes = 1 + int(np.concatenate([[0], *labels]).max())
        result = evaluate(truth, predicted, num_classes, self.protocol)
        metrics = {f'mAP@{key}': v for key, v in result.values().items()}
        table = result.table()
        correct = [
            item['correct'] for item in videos.values()
            if item['correct'] is not None
        ]
        if correct:
            metrics['video_acc'] = 100 * float(np.mean(correct))
            table += f'; video accuracy {metrics["video_acc"]:.2f} %'
        logger = MMLogger.get_current_instance()
        if result.num_gt:
            logger.info('\n' + table)
        else:
            logger.warning(
                f'none of the {len(truth)} videos has an annotated segment: '
                'there is no mAP to compute')
        return metrics


@METRICS.register_module()
class PairedDetectionMAP(DetectionMAP):
    """:class:`DetectionMAP` of proposals paired with video-level scores.

    Proposals have no class. Each is paired with the best classes of its
    video, and a pair scores the product of the proposal's and the class's
    score, as BSN and BMN do on ActivityNet with another network's classes.
    ``video_acc`` is that of the classifier.

    Args:
        video_scores (str): The predictions that ``tools/test.py --dump`` wrote
            for a weakly supervised localizer, or ``'ground_truth'``, an oracle
            that no method has: all annotated classes, with score 1.
        top_classes (int): Classes paired with the proposals of a video, but
            for the oracle.
        prefix (str, optional): Of the keys. Defaults to ``'det'``, or to
            ``'oracle'``.
        **kwargs: Other arguments of :class:`DetectionMAP`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If ``top_classes < 1``, a batch holds more than one
            video, or the file is no dump or lacks a video.
    """

    def __init__(self,
                 video_scores: str,
                 top_classes: int = 2,
                 prefix: str | None = None,
                 **kwargs: Any) -> None:
        if top_classes < 1:
            raise ValueError(f'top_classes must be >= 1, got {top_classes}')
        self.video_scores = video_scores
        self.top_classes = top_classes
        self.score_of: dict[str, np.ndarray] | None = None
        if video_scores == _GROUND_TRUTH:
            prefix = prefix or 'oracle'
        else:
            self.score_of = {
                sample['video_name']: to_numpy(sample['pred_score'], -1)
                for sample in read_dump(video_scores)[0]
            }
        super().__init__(prefix=prefix, **kwargs)

    def _predicted(self, sample: dict) -> Mapping[str, Any]:
        if self.score_of is None:
            labels = to_numpy(sample['gt_label'], -1, dtype=np.int64)
            class_scores = np.ones(len(labels))
        else:
            name = sample['video_name']
            if name not in self.score_of:
                raise ValueError(f'{self.video_scores}: no scores of {name}; '
                                 f'it has {len(self.score_of)} videos')
            score = sample['pred_score'] = self.score_of[name]
            labels = np.argsort(-score, kind='stable')[:self.top_classes]
            class_scores = score[labels]
        proposals = sample['pred_instances']
        return dict(
            segments=np.repeat(proposals['segments'], len(labels), axis=0),
            labels=np.tile(labels, len(proposals['scores'])),
            scores=np.outer(proposals['scores'], class_scores).ravel())


@METRICS.register_module()
class ProposalRecall(BaseMetric):
    """Average recall of proposals, whatever their class (AR@AN).

    Needs ``gt_instances``, ``pred_instances`` and the metainfo
    ``video_name`` of each sample. Videos without instances are left out.
    Keys, in percent: ``AR@1``, ``AR@5``, ``AR@10``, ``AR@100`` (recall with
    so many proposals per video on average) and ``AUC``, all as MMAction2's
    function of ActivityNet's proposal task computes them.
    """
    default_prefix = 'proposal'
    tiou_thrs = np.arange(50, 100, 5) / 100  # ActivityNet's

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps the ground truth and the proposals of a batch."""
        for sample in _samples(data_batch, data_samples):
            predicted = sample['pred_instances']
            segments = to_numpy(predicted['segments'], -1, 2)
            self.results.append(
                dict(
                    video_name=sample['video_name'],
                    truth=to_numpy(sample['gt_instances']['segments'], -1, 2),
                    proposals=np.column_stack(
                        [segments, to_numpy(predicted['scores'], -1)])))

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Percentages over the videos of all ranks; NaN without any
        instance."""
        keys = ('AR@1', 'AR@5', 'AR@10', 'AR@100', 'AUC')
        videos = {
            name: item
            for name, item in _by_name(results).items() if len(item['truth'])
        }
        truth = {name: item['truth'] for name, item in videos.items()}
        proposals = {name: item['proposals'] for name, item in videos.items()}
        total = sum(map(len, proposals.values()))
        if not total:
            return dict.fromkeys(keys, 0. if videos else np.nan)
        _, recall, _, auc = average_recall_at_avg_proposals(
            truth, proposals, total, 100, self.tiou_thrs)
        values = [*(100 * recall[[0, 4, 9, 99]]), auc]
        metrics = {k: float(value) for k, value in zip(keys, values)}
        MMLogger.get_current_instance().info(
            '\n' + '  '.join(f'{k} {v:.2f}' for k, v in metrics.items()) +
            f'; {len(videos)} videos, {sum(map(len, truth.values()))} '
            f'instances, tIoU {min(self.tiou_thrs):.2f} to '
            f'{max(self.tiou_thrs):.2f}')
        return metrics
