"""BaseMetric: what a metric does with each batch and, at the end, with everything that all ranks collected."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from mimctl.engine.ranks.distributed import collect_results, from_first, is_main_process
from mimctl.engine.reporting.log import get_logger


class BaseMetric(ABC):
    """A metric. `process` appends one plain record a sample to `self.results`; `compute_metrics` reduces them all.

    Records hold numbers, strings, lists, dicts, tensors and numpy arrays only: they travel between ranks as data.
    Names of the figures get `prefix` (or the class's `default_prefix`) and a slash before them. `collect_device` is
    accepted for MMEngine's sake; records travel by the CPU.
    """

    default_prefix: str | None = None

    def __init__(self, collect_device: str = "cpu", prefix: str | None = None, collect_dir: str | None = None) -> None:
        self.collect_device = collect_device
        self.collect_dir = collect_dir
        self.prefix = prefix or self.default_prefix
        self.results: list[Any] = []
        self._dataset_meta: dict[str, Any] | None = None

    @property
    def dataset_meta(self) -> dict[str, Any] | None:
        """Return the metainfo of the dataset being evaluated."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: Mapping[str, Any] | None) -> None:
        self._dataset_meta = dict(dataset_meta) if dataset_meta is not None else None

    @abstractmethod
    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Append to `self.results` one record for each sample of the batch."""

    @abstractmethod
    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Return the figures from the records of the whole dataset, in its order; {} where there are none."""

    def evaluate(self, size: int) -> dict[str, Any]:
        """Return the figures of a dataset of `size` samples, the same on every rank, and forget the records."""
        if not self.results and is_main_process():
            get_logger().warning("%s got no results: was `process` called?", type(self).__name__)
        collected = collect_results(self.results, size)
        self.results = []
        metrics: dict[str, Any] = {}
        if collected is not None:
            metrics = self.compute_metrics(collected) or {}
            if self.prefix:
                metrics = {f"{self.prefix}/{name}": value for name, value in metrics.items()}
        shared: dict[str, Any] = from_first(metrics)
        return shared
