"""SingleLabelMetric: precision, recall and F1 where each sample has one label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from mimctl.engine.evaluation import BaseMetric
from mimctl.engine.registry import METRICS
from mimctl_cls.evaluation.accuracy import Threshold, threshold_suffix
from mimctl_cls.evaluation.counts import (
    AVERAGES,
    Figures,
    named,
    precision_recall_f1_support,
    require_average,
    require_items,
)
from mimctl_cls.evaluation.records import Values, checked, several, single_record, single_targets


@METRICS.register_module()
class SingleLabelMetric(BaseMetric):
    """`single-label/precision`, `recall`, `f1-score` and `support`, as `items` asks, in percent (support: samples).

    The class with the highest score is positive if the score is greater than the threshold (`thrs`; None: always).
    `average` is "macro", "micro" (`precision_micro`) or None (`precision_classwise`, a list). Predictions without
    scores need `num_classes`, here or as metainfo.
    """

    default_prefix = "single-label"

    def __init__(
        self,
        thrs: Threshold | Sequence[Threshold] = 0.0,
        items: Sequence[str] = ("precision", "recall", "f1-score"),
        average: str | None = "macro",
        num_classes: int | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        require_average(average, AVERAGES)
        self.thrs: tuple[Threshold, ...] = several(thrs)
        self.items = require_items(items)
        self.average = average
        self.num_classes = num_classes

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep scores (or labels) and truth of each sample."""
        for each in data_samples:
            self.results.append({**single_record(each), "num_classes": self.num_classes or each.get("num_classes")})

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Return the figures of all samples."""
        if not results:
            return {}
        pred, target = single_targets(results)
        if pred.ndim == 1:
            one = self.calculate(pred, target, average=self.average, num_classes=results[0]["num_classes"])
            return named(one, self.items, self.average, "")  # type: ignore[arg-type]
        metrics: dict[str, Any] = {}
        each = self.calculate(pred, target, thrs=self.thrs, average=self.average)
        for threshold, figures in zip(self.thrs, each, strict=True):
            suffix = threshold_suffix(threshold) if len(self.thrs) > 1 else ""
            metrics.update(named(figures, self.items, self.average, suffix))  # type: ignore[arg-type]
        return metrics

    @staticmethod
    def calculate(
        pred: Values,
        target: Values,
        thrs: Sequence[Threshold] = (0.0,),
        average: str | None = "macro",
        num_classes: int | None = None,
    ) -> Figures | list[Figures]:
        """Return (precision, recall, f1-score, support), for scores (N, classes) a list with one for each threshold."""
        pred, target, classes = checked(pred, target, num_classes)
        truth = F.one_hot(target, classes)
        if pred.ndim == 1:
            return precision_recall_f1_support(F.one_hot(pred.long(), classes), truth, average)
        best, chosen = pred.max(1)
        return [precision_recall_f1_support(_positive(chosen, best, each, classes), truth, average) for each in thrs]


def _positive(chosen: Tensor, best: Tensor, threshold: Threshold, classes: int) -> Tensor:
    positive = F.one_hot(chosen, classes)
    return positive if threshold is None else positive * (best > threshold)[:, None]
