"""ConfusionMatrix: how often each class was taken for each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mimctl.engine.evaluation import BaseMetric
from mimctl.engine.registry import METRICS
from mimctl_cls.evaluation.records import Values, checked, single_record, single_targets


@METRICS.register_module()
class ConfusionMatrix(BaseMetric):
    """`confusion_matrix/result`: a list of rows, one for each true class, of how often each class was predicted.

    Predictions without scores need `num_classes`.
    """

    default_prefix = "confusion_matrix"

    def __init__(self, num_classes: int | None = None, collect_device: str = "cpu", prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.num_classes = num_classes

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep scores (or labels) and truth of each sample."""
        self.results.extend(single_record(each) for each in data_samples)

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Return the matrix of all samples, as lists of integers."""
        if not results:
            return {}
        return {"result": self.calculate(*single_targets(results), num_classes=self.num_classes).tolist()}

    @staticmethod
    def calculate(pred: Values, target: Values, num_classes: int | None = None) -> Tensor:
        """Return the matrix (true classes, predicted classes), int64, of scores (N, classes) or labels (N,)."""
        pred, target, classes = checked(pred, target, num_classes)
        labels = pred.argmax(1) if pred.ndim == 2 else pred.long()
        return torch.bincount(classes * target + labels, minlength=classes**2).reshape(classes, classes)
