# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""The order of the videos, and the training loop that resumes in it.

A training sample is a video and a number of its own, the draw, from which the
random transforms seed themselves. Order and draws are a function of (seed,
rank, number of ranks, position) alone: neither the number of workers nor a
resume changes the training data.
"""
from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
from mmaction.registry import DATA_SAMPLERS, LOOPS
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.runner import IterBasedTrainLoop
from torch.utils.data import Sampler

# Draw numbers of different seeds do not meet before this many draws.
_DRAWS_PER_SEED = 2**32


class SampleIndex(int):
    """The index of a video that also carries a draw.

    It keeps the draw through the arithmetic of ``ConcatDataset`` (``-``) and
    ``RepeatDataset`` (``%``), on the way to :class:`WTALDataset`.
    """
    draw: int

    def __new__(cls, index: int, draw: int) -> SampleIndex:
        self = super().__new__(cls, index)
        self.draw = draw
        return self

    def __sub__(self, other: int) -> SampleIndex:
        return SampleIndex(int(self) - other, self.draw)

    def __mod__(self, other: int) -> SampleIndex:
        return SampleIndex(int(self) % other, self.draw)

    def __reduce__(self) -> tuple:
        return SampleIndex, (int(self), self.draw)


@DATA_SAMPLERS.register_module()
class WTALSampler(Sampler):
    """Shuffled epochs, one after the other, shared out over the ranks.

    An iteration yields one epoch (:meth:`set_epoch` tells which), so that it
    ends in an ``EpochBasedTrainLoop``; with ``endless``, which
    :class:`ResumableTrainLoop` sets, all that follow, too. ``position`` counts
    the samples of this rank before the next iteration.

    Args:
        dataset (sized): Any data set.
        seed (int, optional): Defaults to a random one, the same on all ranks.
    """

    def __init__(self, dataset: Any, seed: int | None = None) -> None:
        self.dataset = dataset
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        self.size = len(dataset)
        self.epoch_length = -(-self.size // self.world_size)
        self.position = 0
        self.endless = False

    def __iter__(self) -> Iterator[SampleIndex]:
        videos = self.shuffled(self.position)
        for position in self.positions():
            yield self.sample(next(videos), position)

    def positions(self) -> Iterator[int]:
        """Positions of this rank's samples in an iteration."""
        start = self.position
        end = None if self.endless else self.epoch_length
        return itertools.islice(itertools.count(start), end)

    def sample(self, video: int, position: int) -> SampleIndex:
        """``video`` with the draw that no other position or rank has."""
        draw = self.seed * _DRAWS_PER_SEED + self.rank
        return SampleIndex(video, draw + position * self.world_size)

    def shuffled(self, start: int) -> Iterator[int]:
        """This rank's share of the shuffled epochs, from item ``start``."""
        epoch, order = -1, np.zeros(0, np.int64)
        for item in itertools.count(self.rank + start * self.world_size,
                                    self.world_size):
            if item // self.size != epoch:
                epoch = item // self.size
                order = np.random.default_rng(
                    (self.seed, 0, epoch)).permutation(self.size)
            yield int(order[item % self.size])

    def __len__(self) -> int:
        """Samples of this rank in an epoch."""
        return self.epoch_length

    def set_epoch(self, epoch: int) -> None:
        """Lets the next iteration be that epoch; MMEngine's loops call it."""
        if not self.endless:
            self.position = epoch * self.epoch_length


@DATA_SAMPLERS.register_module()
class PairBatchSampler(Sampler):
    """Batches that start with pairs of videos of a common class.

    Each batch starts with ``num_pairs`` pairs of different videos that have a
    class in common, of different classes where there are enough; the shuffled
    epochs fill the rest. The co-activity loss of W-TALC (ECCV 2018) needs
    such pairs; CO2-Net takes 3 pairs in batches of 10. An epoch has as many
    batches as it takes to see as many samples as there are videos.

    It goes into the slot ``batch_sampler`` of a data loader's config, where
    MMEngine adds ``sampler`` and ``batch_size``.

    Args:
        sampler (WTALSampler): Gives the order; its data set, or the one that
            ``ConcatDataset`` or ``RepeatDataset`` wrap, has records with
            ``labels``.
        batch_size (int): Samples in a batch of this rank.
        num_pairs (int): 0: batches without pairs.

    Raises:
        TypeError: If ``sampler`` is no ``WTALSampler``.
        ValueError: If the pairs do not fit the batch, or no two videos have a
            class in common.
    """

    def __init__(self,
                 sampler: WTALSampler,
                 batch_size: int,
                 num_pairs: int = 0) -> None:
        if not isinstance(sampler, WTALSampler):
            raise TypeError('PairBatchSampler needs the sampler WTALSampler, '
                            f'got {type(sampler).__name__}')
        if num_pairs < 0:
            raise ValueError(f'num_pairs must be >= 0, got {num_pairs}')
        if batch_size < max(1, 2 * num_pairs):
            raise ValueError(f'{num_pairs} pairs need a batch_size >= '
                             f'{2 * num_pairs}, got {batch_size}')
        self.sampler = sampler
        self.batch_size = batch_size
        self.num_pairs = num_pairs
        self.num_batches = -(-sampler.epoch_length // batch_size)
        sampler.epoch_length = self.num_batches * batch_size
        self.videos_of_class = self._group(
            sampler.dataset) if num_pairs else []

    @staticmethod
    def _group(dataset: Any) -> list[np.ndarray]:
        """Videos of each class that has two or more."""
        videos: dict[int, list[int]] = defaultdict(list)
        for video in range(len(dataset)):
            for label in dataset.get_data_info(video)['labels']:
                videos[label].append(video)
        groups = [np.array(v) for _, v in sorted(videos.items()) if len(v) > 1]
        if not groups:
            raise ValueError(
                f'num_pairs needs a class with two videos; the {len(dataset)} '
                f'videos have {len(videos)} classes, each in one video only')
        return groups

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        batch = self.sampler.position // self.batch_size
        rest = self.sampler.shuffled(batch *
                                     (self.batch_size - 2 * self.num_pairs))
        positions = self.sampler.positions()
        while own := list(itertools.islice(positions, self.batch_size)):
            paired = self._pairs(own[0] // self.batch_size)
            yield [
                self.sampler.sample(video, position) for position, video in
                # own first: what zip takes last, it may lose
                zip(own, itertools.chain(paired, rest))
            ]

    def _pairs(self, batch: int) -> list[int]:
        if not self.num_pairs:
            return []
        sampler = self.sampler
        rng = np.random.default_rng(
            (sampler.seed, 1, sampler.rank + batch * sampler.world_size))
        groups = rng.choice(
            len(self.videos_of_class),
            self.num_pairs,
            replace=len(self.videos_of_class) < self.num_pairs)
        return [
            int(video) for group in groups for video in rng.choice(
                self.videos_of_class[group], 2, replace=False)
        ]

    def __len__(self) -> int:
        """Batches of this rank in an epoch."""
        return self.num_batches


@LOOPS.register_module()
class ResumableTrainLoop(IterBasedTrainLoop):
    """MMEngine's iteration-based loop, resumed without reading past data.

    MMEngine reads and drops all batches before the iteration that it resumes
    from. Here :class:`WTALSampler` starts there, and goes on without a pause
    after each epoch. With any other sampler it is MMEngine's loop.
    """

    def run(self) -> Any:
        """Trains from ``self.iter`` on."""
        sampler = getattr(self.dataloader.batch_sampler, 'sampler', None)
        if isinstance(sampler, WTALSampler):
            sampler.position = self.iter * self.dataloader.batch_sampler \
                .batch_size
            sampler.endless = True
            # MMEngine drops as many batches as there were iterations.
            self.dataloader_iterator = itertools.chain(
                itertools.repeat(None, self.iter), self.dataloader)
        return super().run()
