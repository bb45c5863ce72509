"""Metrics for MMEngine's evaluator.

Everything that is needed, ground truth included, goes through
``self.results``, which MMEngine gathers from all ranks; samples that a
sampler repeated to make the ranks equal are counted once.
"""
from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

import numpy as np
from mmaction.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from .protocols import VideoDetections, VideoTruth, judge, make_protocol
from .recall import average_recall


def _numpy(value: Any, *shape: int, dtype: type = np.float64) -> np.ndarray:
    """An array from an array, a list or a tensor on any device."""
    if hasattr(value, 'cpu'):
        value = value.detach().cpu()
    return np.asarray(value, dtype=dtype).reshape(shape)


def _truth(sample: Dict[str, Any]) -> VideoTruth:
    truth = sample['gt_instances']
    return VideoTruth(
        _numpy(truth['segments'], -1, 2),
        _numpy(truth['labels'], -1, dtype=np.int64),
        _numpy(sample['ambiguous'], -1, 2),
        float(sample['seconds_per_snippet']))


def _by_name(results: Sequence[Dict[str, Any]]) -> Dict[str, Dict[str, Any]]:
    """One result per video, in an order that no sampler decides."""
    unique = {result['video_name']: result for result in results}
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
        collect_device (str): See ``BaseMetric``.
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
                 collect_device: str = 'cpu',
                 prefix: Optional[str] = None,
                 **parts: Any) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.protocol = make_protocol(protocol, **parts)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps the ground truth and the detections of a batch.

        Args:
            data_batch (Any): Not used.
            data_samples (Sequence[dict]): The model's samples, as dicts.
        """
        for sample in data_samples:
            found = sample['pred_instances']
            labels = _numpy(sample['gt_label'], -1, dtype=np.int64)
            correct = None
            if 'pred_score' in sample and len(labels):
                score = _numpy(sample['pred_score'], -1)
                correct = bool(score.argmax() in labels)
            self.results.append(
                dict(
                    video_name=sample['video_name'],
                    truth=_truth(sample),
                    found=VideoDetections(
                        _numpy(found['segments'], -1, 2),
                        _numpy(found['labels'], -1, dtype=np.int64),
                        _numpy(found['scores'], -1)),
                    correct=correct))

    def compute_metrics(self, results: List[dict]) -> Dict[str, float]:
        """Judges the videos of all ranks and logs one table.

        Args:
            results (list[dict]): What ``process`` kept.

        Returns:
            dict[str, float]: Percentages.
        """
        videos = _by_name(results)
        # MMEngine gathers named tuples as plain ones
        truths = {n: VideoTruth(*item['truth']) for n, item in videos.items()}
        found = {
            n: VideoDetections(*item['found'])
            for n, item in videos.items()
        }
        labels = [item.labels for item in truths.values()]
        labels += [item.labels for item in found.values()]
        num_classes = 1 + int(np.concatenate([[0], *labels]).max())
        judgement = judge(truths, found, num_classes, self.protocol)
        metrics = {
            f'mAP@{key}': value
            for key, value in (*judgement.by_threshold().items(),
                               *judgement.averages().items())
        }
        table = judgement.table()
        correct = [
            item['correct'] for item in videos.values()
            if item['correct'] is not None
        ]
        if correct:
            metrics['video_acc'] = 100 * float(np.mean(correct))
            table += f'; video accuracy {metrics["video_acc"]:.2f} %'
        logger = MMLogger.get_current_instance()
        if judgement.num_gt:
            logger.info('\n' + table)
        else:
            logger.warning(
                f'none of the {judgement.num_videos} videos has an annotated '
                'segment: there is no mAP to compute')
        return metrics


@METRICS.register_module()
class AverageRecall(BaseMetric):
    """Average recall of proposals, whatever their class (AR@AN).

    Needs ``gt_instances``, ``pred_instances`` and the metainfo
    ``video_name`` of each sample. Videos without instances are left out.
    Keys, in percent: ``AR@1``, ``AR@5``, ``AR@10``, ``AR@100`` (recall with
    so many proposals per video on average) and ``AUC``; see
    :func:`average_recall`.

    Args:
        tiou_thrs (Sequence[float]): Overlap thresholds, by default those of
            ActivityNet.
        collect_device (str): See ``BaseMetric``.
        prefix (str, optional): Of the keys. Defaults to ``'proposal'``.
    """
    default_prefix = 'proposal'

    def __init__(self,
                 tiou_thrs: Sequence[float] = tuple(
                     np.arange(50, 100, 5) / 100),
                 collect_device: str = 'cpu',
                 prefix: Optional[str] = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.tiou_thrs = tiou_thrs

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps the ground truth and the proposals of a batch.

        Args:
            data_batch (Any): Not used.
            data_samples (Sequence[dict]): The model's samples, as dicts.
        """
        for sample in data_samples:
            found = sample['pred_instances']
            self.results.append(
                dict(
                    video_name=sample['video_name'],
                    truth=_numpy(sample['gt_instances']['segments'], -1, 2),
                    segments=_numpy(found['segments'], -1, 2),
                    scores=_numpy(found['scores'], -1)))

    def compute_metrics(self, results: List[dict]) -> Dict[str, float]:
        """Recall over the videos of all ranks.

        Args:
            results (list[dict]): What ``process`` kept.

        Returns:
            dict[str, float]: Percentages; NaN without any instance.
        """
        videos = [
            item for item in _by_name(results).values() if len(item['truth'])
        ]
        if not videos:
            return {key: np.nan for key in self._keys()}
        curve = average_recall([item['truth'] for item in videos],
                               [item['segments'] for item in videos],
                               [item['scores']
                                for item in videos], self.tiou_thrs)
        values = [*curve.average[[0, 4, 9, 99]], curve.auc]
        metrics = {
            key: 100 * float(value)
            for key, value in zip(self._keys(), values)
        }
        num_gt = sum(len(item['truth']) for item in videos)
        MMLogger.get_current_instance().info(
            '\n' + '  '.join(f'{k} {v:.2f}' for k, v in metrics.items()) +
            f'; {len(videos)} videos, {num_gt} instances, tIoU '
            f'{min(self.tiou_thrs):.2f} to {max(self.tiou_thrs):.2f}')
        return metrics

    @staticmethod
    def _keys() -> List[str]:
        return ['AR@1', 'AR@5', 'AR@10', 'AR@100', 'AUC']


@METRICS.register_module()
class PseudoMaskQuality(BaseMetric):
    """How well the pseudo masks cover the annotated actions.

    It tells why the mAP moved; the masks themselves never see the ground
    truth. A snippet belongs to a class if its centre lies in one of the
    class's instances. Counts are summed over all snippets, classes and videos
    before dividing. Needs ``gt_instances``, ``pred_snippets`` with ``mask``
    (T, C) in {0, 1}, and the metainfo ``video_name``,
    ``seconds_per_snippet``. Keys, in percent: ``precision``, ``recall`` and
    ``tiou`` (intersection over union).

    Args:
        collect_device (str): See ``BaseMetric``.
        prefix (str, optional): Of the keys. Defaults to ``'mask'``.
    """
    default_prefix = 'mask'

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Counts the snippets of a batch.

        Args:
            data_batch (Any): Not used.
            data_samples (Sequence[dict]): The model's samples, as dicts.
        """
        for sample in data_samples:
            mask = sample['pred_snippets']['mask']
            mask = _numpy(mask, *mask.shape) > 0.5
            truth = np.zeros_like(mask)
            centre = np.arange(len(mask)) + 0.5
            centre *= sample['seconds_per_snippet']
            instances = sample['gt_instances']
            for (start, end), label in zip(
                    _numpy(instances['segments'], -1, 2),
                    _numpy(instances['labels'], -1, dtype=np.int64)):
                truth[(centre >= start) & (centre < end), label] = True
            self.results.append(
                dict(
                    video_name=sample['video_name'],
                    counts=np.array([(mask & truth).sum(),
                                     mask.sum(),
                                     truth.sum()])))

    def compute_metrics(self, results: List[dict]) -> Dict[str, float]:
        """Quality over the videos of all ranks.

        Args:
            results (list[dict]): What ``process`` kept.

        Returns:
            dict[str, float]: Percentages; NaN where nothing was masked or
            annotated.
        """
        counts = [item['counts'] for item in _by_name(results).values()]
        both, masked, annotated = np.sum(counts, axis=0)
        return {
            key: 100 * float(both / total) if total else np.nan
            for key, total in (('precision', masked), ('recall', annotated),
                               ('tiou', masked + annotated - both))
        }
