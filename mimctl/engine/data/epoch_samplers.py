"""Orders of an epoch beside DefaultSampler's: each sample several times, neighbours on one rank, classes in turn."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence, Sized
from typing import Any, Literal

import torch
from torch.utils.data import Sampler

from mimctl.engine.data.randomness import SampleIndex
from mimctl.engine.data.samplers import DefaultSampler
from mimctl.engine.ranks.distributed import get_rank, get_world_size
from mimctl.engine.registry import DATA_SAMPLERS
from mimctl.errors import ConfigError


class EpochSampler(Sampler[int]):
    """What samplers by epoch share: this rank's part of an order that follows from (seed, epoch).

    A subclass defines `positions`.
    """

    def __init__(self, dataset: Sized, seed: int | None) -> None:
        self.dataset: Any = dataset
        self.seed = seed or 0
        self.epoch = 0
        self.rank, self.world_size = get_rank(), get_world_size()
        self.num_samples = math.ceil(len(dataset) / self.world_size)
        self._skipped = 0

    def positions(self) -> Iterator[tuple[int, int]]:
        """Yield (place in the order of all ranks, index into the dataset) of this rank's samples."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[int]:
        skipped, self._skipped = self._skipped, 0
        for number, (place, index) in enumerate(self.positions()):
            if number >= skipped:
                yield SampleIndex(index, self.seed, self.epoch, place)

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration has."""
        self.epoch = epoch

    def skip(self, samples: int) -> None:
        """Let the next iteration start after this many samples of the rank (resuming inside an epoch)."""
        self._skipped = samples

    def generator(self) -> torch.Generator:
        """Return the generator of this epoch's order."""
        return torch.Generator().manual_seed(self.seed + self.epoch)


@DATA_SAMPLERS.register_module()
class RepeatAugSampler(EpochSampler):
    """Each sample `num_repeats` times in a row, dealt to the ranks in turn, so that they see it augmented otherwise.

    An epoch is as long as without repeats: what comes later in the order is left out. Source: Touvron et al. 2021
    (DeiT), as in MMPretrain 1.2.0.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, num_repeats: int = 3, seed: int | None = None) -> None:
        super().__init__(dataset, seed)
        self.shuffle = shuffle
        self.num_repeats = num_repeats

    def positions(self) -> Iterator[tuple[int, int]]:
        """Yield every `world_size`-th of the repeated samples."""
        size = len(self.dataset)
        order = torch.randperm(size, generator=self.generator()).tolist() if self.shuffle else range(size)
        for number in range(self.num_samples):
            place = self.rank + number * self.world_size
            yield place, order[place % (size * self.num_repeats) // self.num_repeats]


@DATA_SAMPLERS.register_module()
class SequentialSampler(DefaultSampler):
    """Samples in order: dealt to the ranks in turn ("default"), or in one piece for each rank ("sequential").

    As in MMPretrain 1.2.0, but that pieces leave nothing out without `round_up`. Metrics put the records of ranks
    together as "default" deals them.
    """

    def __init__(
        self, subsample_type: Literal["default", "sequential"] = "default", *, dataset: Sized, **kwargs: Any
    ) -> None:
        super().__init__(dataset, shuffle=False, **kwargs)
        if subsample_type not in ("default", "sequential"):
            raise ConfigError(f"`subsample_type` is `default` or `sequential`, not `{subsample_type}`")
        self.subsample_type = subsample_type

    def __iter__(self) -> Iterator[int]:
        if self.subsample_type == "default":
            yield from super().__iter__()
            return
        skipped, self._skipped = self._skipped, 0
        first = sum(self._samples_of(rank) for rank in range(self.rank))
        for place in range(first + skipped, first + self.num_samples):
            yield SampleIndex(place % len(self.dataset), self.seed, self.epoch, place)

    def _samples_of(self, rank: int) -> int:
        if self.round_up:
            return self.num_samples
        return math.ceil((len(self.dataset) - rank) / self.world_size)


@DATA_SAMPLERS.register_module()
class ClassAwareSampler(EpochSampler):
    """Classes in shuffled rounds, `num_sample_class` samples of each in turn: rare ones as often as common ones.

    The dataset tells `metainfo['classes']` and `get_cat_ids`; classes without a sample are left out. A rank has one
    piece of the order. Source: Shen et al. 2016 (Relay Backpropagation), as in MMDetection 3.3.0.
    """

    def __init__(self, dataset: Sized, seed: int | None = None, num_sample_class: int = 1) -> None:
        super().__init__(dataset, seed)
        if num_sample_class < 1:
            raise ConfigError(f"`num_sample_class` must be 1 or more, got {num_sample_class}")
        self.num_sample_class = num_sample_class
        self.samples_of_class = self._samples_of_class()

    def positions(self) -> Iterator[tuple[int, int]]:
        """Yield this rank's piece of the order."""
        generator = self.generator()
        classes = _Rounds([number for number, found in enumerate(self.samples_of_class) if found], generator)
        samples = {number: _Rounds(self.samples_of_class[number], generator) for number in classes.items}
        first = self.rank * self.num_samples
        place = 0
        while place < first + self.num_samples:
            of_class = samples[next(classes)]
            for index in [next(of_class) for _ in range(self.num_sample_class)]:
                if first <= place < first + self.num_samples:
                    yield place, index
                place += 1

    def _samples_of_class(self) -> list[list[int]]:
        classes = self.dataset.metainfo.get("classes")
        if classes is None:
            raise ConfigError("`ClassAwareSampler` needs a dataset with `classes` in its metainfo")
        found: list[list[int]] = [[] for _ in classes]
        for index in range(len(self.dataset)):
            for each in set(self.dataset.get_cat_ids(index)):
                found[each].append(index)
        if not any(found):
            raise ConfigError("`ClassAwareSampler` found no class in any sample")
        return found


class _Rounds(Iterator[int]):
    """The items in shuffled rounds without end."""

    def __init__(self, items: Sequence[int], generator: torch.Generator) -> None:
        self.items = items
        self._generator = generator
        self._order = self._shuffled()

    def __next__(self) -> int:
        if not self._order:
            self._order = self._shuffled()
        return self.items[self._order.pop()]

    def _shuffled(self) -> list[int]:
        order: list[int] = torch.randperm(len(self.items), generator=self._generator).tolist()
        return order[::-1]
