"""The order of the videos: endless for training, by length for testing."""
from __future__ import annotations

import itertools
from typing import Any, Iterator

import numpy as np
from mmaction.registry import DATA_SAMPLERS
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

# Draw numbers of different seeds do not meet before this many draws.
_DRAWS_PER_SEED = 2**32


@DATA_SAMPLERS.register_module()
class WTALSampler(Sampler):
    """Shuffled epochs without end, shared out over the ranks.

    Yields ``(index, draw)``. ``draw`` is a number of its own for each sample
    that any rank ever takes; :class:`WTALDataset` hands it to the random
    transforms. Order and draws are a function of (seed, rank, number of
    ranks, position) alone: neither the number of workers nor a resume
    changes the training data. Every iteration starts at position 0.

    With ``num_pairs``, each ``batch_size`` consecutive samples of a rank
    start with that many pairs of different videos that have a class in
    common, of different classes where there are enough; the shuffled epochs
    fill the rest. The co-activity loss of W-TALC (ECCV 2018) needs such
    pairs; CO2-Net takes 3 pairs in batches of 10.

    Args:
        dataset (sized): With ``get_cat_ids(index)`` if ``num_pairs > 0``.
        seed (int, optional): Defaults to a random one, the same on all ranks.
        num_pairs (int): Pairs per batch.
        batch_size (int, optional): Batch size of the data loader on this
            rank; needed if ``num_pairs > 0``.

    Raises:
        ValueError: If the pairs do not fit the batch, or no two videos have a
            class in common.
    """

    def __init__(self,
                 dataset: Any,
                 seed: int | None = None,
                 num_pairs: int = 0,
                 batch_size: int | None = None) -> None:
        self.rank, self.world_size = get_dist_info()
        self.size = len(dataset)
        self.seed = sync_random_seed() if seed is None else seed
        self.num_pairs = num_pairs
        if num_pairs < 0:
            raise ValueError(f'num_pairs must be >= 0, got {num_pairs}')
        if num_pairs:
            if batch_size is None or batch_size < 2 * num_pairs:
                raise ValueError(
                    f'{num_pairs} pairs need a batch_size >= {2 * num_pairs}, '
                    f'got {batch_size}')
            self.num_rest = batch_size - 2 * num_pairs
            self.videos_of_class = self._group(dataset)

    @staticmethod
    def _group(dataset: Any) -> list[np.ndarray]:
        """Videos of each class that has two or more."""
        labels = [dataset.get_cat_ids(i) for i in range(len(dataset))]
        video = np.repeat(np.arange(len(labels)), [len(x) for x in labels])
        label = np.fromiter(
            itertools.chain.from_iterable(labels), np.int64, len(video))
        order = np.argsort(label, kind='stable')
        _, first = np.unique(label[order], return_index=True)
        groups = [g for g in np.split(video[order], first[1:]) if len(g) > 1]
        if not groups:
            raise ValueError(
                f'num_pairs needs a class with two videos; the '
                f'{len(labels)} videos have {len(first)} classes, each in '
                'one video only')
        return groups

    def __iter__(self) -> Iterator[tuple[int, int]]:
        indices = self._paired() if self.num_pairs else self._shuffled()
        first = self.seed * _DRAWS_PER_SEED + self.rank
        for position, index in enumerate(indices):
            yield int(index), first + position * self.world_size

    def _shuffled(self) -> Iterator[int]:
        """This rank's share of the concatenated shuffled epochs."""
        epochs = (
            np.random.default_rng((self.seed, 0, epoch)).permutation(self.size)
            for epoch in itertools.count())
        return itertools.islice(
            itertools.chain.from_iterable(epochs), self.rank, None,
            self.world_size)

    def _paired(self) -> Iterator[int]:
        rest = self._shuffled()
        for batch in itertools.count(self.rank, self.world_size):
            rng = np.random.default_rng((self.seed, 1, batch))
            num_groups = len(self.videos_of_class)
            for group in rng.choice(
                    num_groups,
                    self.num_pairs,
                    replace=num_groups < self.num_pairs):
                yield from rng.choice(
                    self.videos_of_class[group], 2, replace=False)
            yield from itertools.islice(rest, self.num_rest)

    def __len__(self) -> int:
        """Number of videos (an epoch), as MMEngine's InfiniteSampler."""
        return self.size

    def set_epoch(self, epoch: int) -> None:
        """Nothing to do: the order goes on over the epochs."""


@DATA_SAMPLERS.register_module()
class LengthSampler(Sampler):
    """Every video once, the longest first, shared out over the ranks.

    For testing: consecutive videos, which make a batch, are of similar
    length, so that little of a batch is padding; all ranks work on similar
    lengths at a time; and a machine that is too small for the longest video
    says so at once. Ties keep the order of the data set.

    Where the ranks do not divide the videos, the shortest are repeated at the
    end, the place where MMEngine's evaluator cuts surplus results off.

    Args:
        dataset (sized): With ``get_data_info(index)['duration']``.
        seed (int, optional): MMEngine hands every sampler one; nothing is
            drawn here.
    """

    def __init__(self, dataset: Any, seed: int | None = None) -> None:
        self.rank, self.world_size = get_dist_info()
        durations = np.array([
            dataset.get_data_info(i)['duration'] for i in range(len(dataset))
        ])
        order = np.argsort(-durations, kind='stable')
        surplus = np.resize(order[::-1], -len(order) % self.world_size)
        shared = np.concatenate([order, surplus])
        self.indices = shared[self.rank::self.world_size].tolist()

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        """Number of videos of this rank."""
        return len(self.indices)
