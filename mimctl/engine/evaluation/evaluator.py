"""Evaluator: several metrics over the same predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mimctl.engine.data.collate import pseudo_collate
from mimctl.engine.evaluation.metric import BaseMetric
from mimctl.engine.registry import EVALUATORS, METRICS
from mimctl.engine.structures import BaseDataElement
from mimctl.errors import ConfigError


@EVALUATORS.register_module()
class Evaluator:
    """Feed the predictions of each batch to every metric and join their figures.

    `metrics` is one metric or several, built or as configs.
    """

    def __init__(self, metrics: Mapping[str, Any] | BaseMetric | Sequence[Mapping[str, Any] | BaseMetric]) -> None:
        listed = [metrics] if isinstance(metrics, Mapping | BaseMetric) else list(metrics)
        self.metrics: list[BaseMetric] = [METRICS.build(each) for each in listed]
        self._dataset_meta: dict[str, Any] | None = None

    @property
    def dataset_meta(self) -> dict[str, Any] | None:
        """Return the metainfo of the dataset being evaluated."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: Mapping[str, Any] | None) -> None:
        self._dataset_meta = dict(dataset_meta) if dataset_meta is not None else None
        for metric in self.metrics:
            metric.dataset_meta = self._dataset_meta

    def process(self, data_samples: Sequence[BaseDataElement | dict[str, Any]], data_batch: Any = None) -> None:
        """Hand the predictions of one batch to every metric, as dicts."""
        plain = [each.to_dict() if isinstance(each, BaseDataElement) else each for each in data_samples]
        for metric in self.metrics:
            metric.process(data_batch, plain)

    def evaluate(self, size: int) -> dict[str, Any]:
        """Return all figures of a dataset of `size` samples. Raises ConfigError where two bear one name."""
        merged: dict[str, Any] = {}
        for metric in self.metrics:
            for name, value in metric.evaluate(size).items():
                if name in merged:
                    raise ConfigError(
                        f"two metrics are named `{name}`",
                        code="bad-argument",
                        hints=["give one of them another `prefix`"],
                    )
                merged[name] = value
        return merged

    def offline_evaluate(
        self,
        data_samples: Sequence[BaseDataElement | dict[str, Any]],
        data: Sequence[Any] | None = None,
        chunk_size: int = 1,
    ) -> dict[str, Any]:
        """Return the figures of stored predictions, `chunk_size` of them at a time.

        `data` are the matching samples of the dataset, where a metric reads them; it gets them joined to batches by
        `pseudo_collate`.
        """
        if data is not None and len(data) != len(data_samples):
            raise ValueError(f"{len(data_samples)} predictions but {len(data)} inputs")
        for start in _starts(len(data_samples), chunk_size):
            part = pseudo_collate(data[start : start + chunk_size]) if data is not None else None
            self.process(data_samples[start : start + chunk_size], part)
        return self.evaluate(len(data_samples))


def get_metric_value(indicator: str, metrics: Mapping[str, Any]) -> Any:
    """Return the figure of a name; without its prefix it is found where one figure alone ends so.

    ValueError where none or several do.
    """
    if "/" in indicator or indicator in metrics:
        if indicator in metrics:
            return metrics[indicator]
        raise ValueError(f"there is no figure `{indicator}` among {', '.join(metrics)}")
    found = [name for name in metrics if name.rpartition("/")[2] == indicator]
    if len(found) != 1:
        raise ValueError(f"`{indicator}` names {len(found)} of the figures {', '.join(metrics)}")
    return metrics[found[0]]


def _starts(size: int, chunk_size: int) -> Iterator[int]:
    yield from range(0, size, chunk_size)
