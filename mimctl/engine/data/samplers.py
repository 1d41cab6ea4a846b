"""The order in which samples are drawn: by epoch, without end, and in batches of like aspect ratio.

Each sampler gives every rank its share, and yields `SampleIndex` values (see `randomness`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sized
from typing import Any

import torch
from torch.utils.data import BatchSampler, Sampler

from mimctl.engine.data.randomness import SampleIndex
from mimctl.engine.ranks.distributed import get_rank, get_world_size
from mimctl.engine.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class DefaultSampler(Sampler[int]):
    """Every sample once an epoch, shuffled by (seed, epoch) or in order.

    Ranks take every `world_size`-th sample; with `round_up` the order is filled up from its start so that each rank
    has the same number.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: int | None = None, round_up: bool = True) -> None:
        self.dataset = dataset
        self.shuffle = shuffle
        self.seed = seed or 0
        self.round_up = round_up
        self.epoch = 0
        self.rank, self.world_size = get_rank(), get_world_size()
        self._skipped = 0

    @property
    def num_samples(self) -> int:
        """Return how many samples this rank has in an epoch."""
        size = len(self.dataset)
        if self.round_up:
            return math.ceil(size / self.world_size)
        return math.ceil((size - self.rank) / self.world_size)

    def __iter__(self) -> Iterator[int]:
        order = self._order()
        total = self.num_samples * self.world_size if self.round_up else len(order)
        first = self.rank + self._skipped * self.world_size
        self._skipped = 0
        for position in range(first, total, self.world_size):
            yield SampleIndex(order[position % len(order)], self.seed, self.epoch, position)

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration has."""
        self.epoch = epoch

    def skip(self, samples: int) -> None:
        """Let the next iteration start after this many samples of the rank (resuming inside an epoch)."""
        self._skipped = samples

    def _order(self) -> list[int]:
        if not self.shuffle:
            return list(range(len(self.dataset)))
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order: list[int] = torch.randperm(len(self.dataset), generator=generator).tolist()
        return order


@DATA_SAMPLERS.register_module()
class InfiniteSampler(Sampler[int]):
    """Samples without end, in shuffled rounds: for iteration-based training.

    Iterating again goes on where the last iteration stopped.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: int | None = None) -> None:
        self.dataset = dataset
        self.shuffle = shuffle
        self.seed = seed or 0
        self.rank, self.world_size = get_rank(), get_world_size()
        self._drawn = 0
        self._draws = self._draw()

    def __iter__(self) -> Iterator[int]:
        return self._draws

    def __len__(self) -> int:
        return len(self.dataset)

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: there are no epochs here."""

    def skip(self, samples: int) -> None:
        """Pass over this many samples of the rank (resuming); whole rounds are not walked through."""
        self._drawn += samples

    def _draw(self) -> Iterator[int]:
        size = len(self.dataset)
        generator = torch.Generator().manual_seed(self.seed)
        order, rounds = list(range(size)), 0
        while size > 0:
            position = self.rank + self._drawn * self.world_size
            behind, place = divmod(position, size)
            if self.shuffle and rounds <= behind:
                # Each order follows from the ones before, which are drawn, but not made into indices.
                for _ in range(behind - rounds):
                    torch.randperm(size, generator=generator)
                order, rounds = torch.randperm(size, generator=generator).tolist(), behind + 1
            self._drawn += 1
            yield SampleIndex(order[place], self.seed, 0, position)


@DATA_SAMPLERS.register_module()
class AspectRatioBatchSampler(BatchSampler):
    """Batches whose images are all wide (width ≥ height) or all tall, so that little padding is needed.

    What is left at the end of an epoch forms mixed batches; with `drop_last` an incomplete one is left out.
    The dataset's `get_data_info` tells `width` and `height`.
    """

    def __init__(self, sampler: Sampler[int], batch_size: int, drop_last: bool = False) -> None:
        super().__init__(sampler, batch_size, drop_last)
        self.sampler: Any = sampler
        self._skipped = 0
        self._tall: dict[int, bool] = {}

    def __iter__(self) -> Iterator[list[int]]:
        # A dataloader with workers asks for two iterators and uses the second: nothing happens before the first batch.
        skipped, self._skipped = self._skipped, 0
        yield from itertools.islice(self._batches(), skipped, None)

    def __len__(self) -> int:
        if self.drop_last:
            return len(self.sampler) // self.batch_size
        return math.ceil(len(self.sampler) / self.batch_size)

    def skip_batches(self, batches: int) -> None:
        """Let the next iteration start after this many batches (resuming inside an epoch)."""
        self._skipped = batches

    def _batches(self) -> Iterator[list[int]]:
        buckets: tuple[list[int], list[int]] = ([], [])
        for index in self.sampler:
            bucket = buckets[0 if self._is_tall(index) else 1]
            bucket.append(index)
            if len(bucket) == self.batch_size:
                yield bucket[:]
                bucket.clear()
        left = buckets[0] + buckets[1]
        for start in range(0, len(left), self.batch_size):
            batch = left[start : start + self.batch_size]
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def _is_tall(self, index: int) -> bool:
        known = self._tall.get(int(index))
        if known is None:
            info = self.sampler.dataset.get_data_info(index)
            known = self._tall[int(index)] = info["width"] < info["height"]
        return known
