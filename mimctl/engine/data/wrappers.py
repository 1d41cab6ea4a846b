"""Datasets made of datasets: concatenated, repeated, or with rare classes drawn more often."""

from __future__ import annotations

import bisect
import copy
import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from torch.utils.data import Dataset

from mimctl.engine.data.dataset import BaseDataset
from mimctl.engine.data.failures import FetchTogether
from mimctl.engine.data.randomness import seeded
from mimctl.engine.data.transform import Sample
from mimctl.engine.registry import DATASETS
from mimctl.errors import ConfigError


class DatasetWrapper(FetchTogether, Dataset[Any]):
    """What the wrappers share: an index that stands for an index of an inner dataset."""

    _metainfo: dict[str, Any]
    _fully_initialized = False

    @property
    def metainfo(self) -> dict[str, Any]:
        """Return a copy of what is known of the whole set."""
        return copy.deepcopy(self._metainfo)

    def full_init(self) -> None:
        """Initialise the inner datasets; nothing happens the second time."""
        raise NotImplementedError

    def locate(self, idx: int) -> tuple[Any, int]:
        """Return the inner dataset and the index there that `idx` stands for."""
        raise NotImplementedError

    def get_data_info(self, idx: int) -> Sample:
        """Return the annotations of one sample."""
        self.full_init()
        dataset, inner = self.locate(int(idx))
        info: Sample = dataset.get_data_info(inner)
        return info

    def get_subset(self, indices: int | Sequence[int]) -> Any:
        """Raise NotImplementedError: which part is meant is clear of the datasets inside alone."""
        raise NotImplementedError(f"a {type(self).__name__} has no subset: take one of the datasets inside (`indices`)")

    get_subset_ = get_subset

    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the class index of every object in a sample."""
        self.full_init()
        dataset, inner = self.locate(int(idx))
        found: list[int] = dataset.get_cat_ids(inner)
        return found

    def __getitem__(self, idx: int) -> Any:
        self.full_init()
        with seeded(idx):
            dataset, inner = self.locate(int(idx))
            return dataset[inner]


@DATASETS.register_module()
class ConcatDataset(DatasetWrapper):
    """Several datasets one after the other. Their metainfo must agree, but for `ignore_keys`."""

    def __init__(
        self,
        datasets: Sequence[Mapping[str, Any] | BaseDataset | DatasetWrapper],
        lazy_init: bool = False,
        ignore_keys: str | Sequence[str] | None = None,
    ) -> None:
        self.datasets: list[Any] = [DATASETS.build(each) for each in datasets]
        if not self.datasets:
            raise ConfigError("ConcatDataset needs at least one dataset", code="bad-argument")
        self.ignore_keys = [ignore_keys] if isinstance(ignore_keys, str) else list(ignore_keys or ())
        self._metainfo = self.datasets[0].metainfo
        for number, dataset in enumerate(self.datasets[1:], start=1):
            self._require_same(number, dataset.metainfo)
        self.cumulative_sizes: list[int] = []
        if not lazy_init:
            self.full_init()

    def full_init(self) -> None:
        """Initialise the inner datasets; nothing happens the second time."""
        if self._fully_initialized:
            return
        for dataset in self.datasets:
            dataset.full_init()
        self.cumulative_sizes = list(itertools.accumulate(len(each) for each in self.datasets))
        self._fully_initialized = True

    def locate(self, idx: int) -> tuple[Any, int]:
        """Return the inner dataset and the index there that `idx` stands for."""
        if idx < 0:
            idx += len(self)
        if not 0 <= idx < len(self):
            raise IndexError(f"sample {idx} of {len(self)}")
        which = bisect.bisect_right(self.cumulative_sizes, idx)
        return self.datasets[which], idx - (self.cumulative_sizes[which - 1] if which else 0)

    def __len__(self) -> int:
        self.full_init()
        return self.cumulative_sizes[-1]

    def _require_same(self, number: int, metainfo: Mapping[str, Any]) -> None:
        for key in self._metainfo.keys() | metainfo.keys():
            if key in self.ignore_keys or self._metainfo.get(key) == metainfo.get(key):
                continue
            raise ConfigError(
                f"dataset {number} of a ConcatDataset differs from the first in `{key}`",
                code="bad-argument",
                causes=[f"first: {self._metainfo.get(key)!r:.150}", f"dataset {number}: {metainfo.get(key)!r:.150}"],
                hints=[f"give both the same metainfo, or `ignore_keys=['{key}']` if it does not matter"],
            )


@DATASETS.register_module()
class RepeatDataset(DatasetWrapper):
    """A dataset seen `times` times in one epoch, which makes epochs of a small set longer."""

    def __init__(
        self, dataset: Mapping[str, Any] | BaseDataset | DatasetWrapper, times: int, lazy_init: bool = False
    ) -> None:
        self.dataset: Any = DATASETS.build(dataset)
        self._metainfo = self.dataset.metainfo
        self.times = times
        if not lazy_init:
            self.full_init()

    def full_init(self) -> None:
        """Initialise the inner dataset; nothing happens the second time."""
        if not self._fully_initialized:
            self.dataset.full_init()
            self._fully_initialized = True

    def locate(self, idx: int) -> tuple[Any, int]:
        """Return the inner dataset and the index there that `idx` stands for."""
        return self.dataset, idx % len(self.dataset)

    def __len__(self) -> int:
        self.full_init()
        return self.times * len(self.dataset)


@DATASETS.register_module()
class ClassBalancedDataset(DatasetWrapper):
    """A dataset whose samples with rare classes are repeated.

    A class c in the fraction f(c) of the samples has the factor max(1, sqrt(oversample_thr / f(c))); a sample is
    repeated as often as the ceiling of its greatest factor. Source: Gupta et al., LVIS, appendix B.2.
    """

    def __init__(
        self,
        dataset: Mapping[str, Any] | BaseDataset | DatasetWrapper,
        oversample_thr: float,
        lazy_init: bool = False,
    ) -> None:
        self.dataset: Any = DATASETS.build(dataset)
        self._metainfo = self.dataset.metainfo
        self.oversample_thr = oversample_thr
        self.repeat_indices: list[int] = []
        if not lazy_init:
            self.full_init()

    def full_init(self) -> None:
        """Initialise the inner dataset and count its classes; nothing happens the second time."""
        if self._fully_initialized:
            return
        self.dataset.full_init()
        factors = self._repeat_factors()
        self.repeat_indices = [index for index, factor in enumerate(factors) for _ in range(math.ceil(factor))]
        self._fully_initialized = True

    def locate(self, idx: int) -> tuple[Any, int]:
        """Return the inner dataset and the index there that `idx` stands for."""
        return self.dataset, self.repeat_indices[idx]

    def __len__(self) -> int:
        self.full_init()
        return len(self.repeat_indices)

    def _repeat_factors(self) -> list[float]:
        classes = [set(self.dataset.get_cat_ids(index)) for index in range(len(self.dataset))]
        seen = Counter(itertools.chain.from_iterable(classes))
        factor = {each: max(1.0, math.sqrt(self.oversample_thr * len(classes) / count)) for each, count in seen.items()}
        return [max((factor[each] for each in found), default=1.0) for found in classes]
