"""Batches that hold a fixed share of each of several datasets (semi-supervised training)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Sampler

from mimctl.engine.data.randomness import SampleIndex
from mimctl.engine.ranks.distributed import get_rank, get_world_size
from mimctl.engine.registry import DATA_SAMPLERS
from mimctl.errors import ConfigError


@DATA_SAMPLERS.register_module()
class MultiSourceSampler(Sampler[int]):
    """Samples without end: in each `batch_size` of them so many of each dataset as `source_ratio` says.

    The dataset is a ConcatDataset. Of each of its datasets the samples come in shuffled rounds, dealt to the ranks in
    turn. As in MMDetection 3.3.0.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        source_ratio: Sequence[float],
        shuffle: bool = True,
        seed: int | None = None,
    ) -> None:
        if not hasattr(dataset, "cumulative_sizes"):
            raise ConfigError(f"`{type(self).__name__}` needs a ConcatDataset, not a {type(dataset).__name__}")
        if len(source_ratio) != len(dataset.datasets):
            raise ConfigError(f"`source_ratio` names {len(source_ratio)} of {len(dataset.datasets)} datasets")
        self.dataset = dataset
        self.batch_size = batch_size
        self.source_ratio = list(source_ratio)
        self.shuffle = shuffle
        self.seed = seed or 0
        self.rank, self.world_size = get_rank(), get_world_size()
        share = [int(batch_size * each / sum(source_ratio)) for each in source_ratio]
        # What rounding leaves over is the first dataset's.
        self.num_per_source = [batch_size - sum(share[1:]), *share[1:]]
        self._draws = self._draw()

    def __iter__(self) -> Iterator[int]:
        return self._draws

    def __len__(self) -> int:
        return len(self.dataset)

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: there are no epochs here."""

    def skip(self, samples: int) -> None:
        """Pass over this many samples of the rank (resuming)."""
        next(itertools.islice(self._draws, samples, samples), None)

    def _draw(self) -> Iterator[int]:
        batches = self._batches()
        for number, index in enumerate(itertools.chain.from_iterable(batches)):
            yield SampleIndex(index, self.seed, 0, self.rank + number * self.world_size)

    def _batches(self) -> Iterator[list[int]]:
        first = [0, *self.dataset.cumulative_sizes]
        sources = [self._endless(len(each)) for each in self.dataset.datasets]
        while True:
            yield [
                first[source] + index
                for source, num in enumerate(self.num_per_source)
                for index in itertools.islice(sources[source], num)
            ]

    def _endless(self, size: int) -> Iterator[int]:
        """Yield this rank's part of shuffled rounds over `size` samples."""
        return itertools.islice(self._rounds(size), self.rank, None, self.world_size)

    def _rounds(self, size: int) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed)
        while size:
            yield from torch.randperm(size, generator=generator).tolist() if self.shuffle else range(size)


@DATA_SAMPLERS.register_module()
class GroupMultiSourceSampler(MultiSourceSampler):
    """A MultiSourceSampler whose batches are all wide (width ≥ height) or all tall.

    Which of both a batch is is drawn by how many samples there are of each, and the same on all ranks. The datasets'
    `get_data_info` tells `width` and `height`.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        source_ratio: Sequence[float],
        shuffle: bool = True,
        seed: int | None = None,
    ) -> None:
        super().__init__(dataset, batch_size, source_ratio, shuffle, seed)
        self.groups = [_by_aspect(each) for each in dataset.datasets]
        sizes = np.array([sum(len(each[group]) for each in self.groups) for group in range(2)])
        self.group_ratio = sizes / sizes.sum()
        for group, source in itertools.product(range(2), range(len(self.groups))):
            if sizes[group] and self.num_per_source[source] and not self.groups[source][group]:
                kind = "wide" if group else "tall"
                raise ConfigError(
                    f"dataset {source} has no {kind} sample for the {kind} batches of a `GroupMultiSourceSampler`",
                    hints=["take `MultiSourceSampler`, which mixes them"],
                )

    def _batches(self) -> Iterator[list[int]]:
        first = [0, *self.dataset.cumulative_sizes]
        draws = [[self._endless(len(each[group])) for each in self.groups] for group in range(2)]
        generator = np.random.default_rng(self.seed)
        while True:
            group = int(generator.choice(2, p=self.group_ratio))
            yield [
                first[source] + self.groups[source][group][place]
                for source, num in enumerate(self.num_per_source)
                for place in itertools.islice(draws[group][source], num)
            ]


def _by_aspect(dataset: Any) -> tuple[list[int], list[int]]:
    """Return the indices of the tall and of the wide samples."""
    groups: tuple[list[int], list[int]] = ([], [])
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        groups[0 if info["width"] < info["height"] else 1].append(index)
    return groups
