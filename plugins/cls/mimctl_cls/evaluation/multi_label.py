"""MultiLabelMetric and AveragePrecision: figures where a sample may have any number of labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mimctl.engine.evaluation import BaseMetric
from mimctl.engine.registry import METRICS
from mimctl.engine.structures import LabelData
from mimctl_cls.evaluation.counts import (
    AVERAGES,
    Figures,
    named,
    precision_recall_f1_support,
    require_average,
    require_items,
)
from mimctl_cls.evaluation.records import Values, to_tensor


@METRICS.register_module()
class MultiLabelMetric(BaseMetric):
    """`multi-label/precision`, `recall`, `f1-score` and `support`, as `items` asks, in percent (support: labels).

    Positive are scores of `thr` or more (0.5 where neither is given), else, by `topk`, the k highest of a sample. The
    names end in `_thr-0.70` or `_top3`, but not for 0.5; `average` as in SingleLabelMetric.
    """

    default_prefix = "multi-label"

    def __init__(
        self,
        thr: float | None = None,
        topk: int | None = None,
        items: Sequence[str] = ("precision", "recall", "f1-score"),
        average: str | None = "macro",
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        require_average(average, AVERAGES)
        self.thr = 0.5 if thr is None and topk is None else thr
        self.topk = topk
        self.items = require_items(items)
        self.average = average

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep scores and truth of each sample."""
        self.results.extend(_record(each) for each in data_samples)

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Return the figures of all samples."""
        if not results:
            return {}
        figures = self.calculate(*_targets(results), average=self.average, thr=self.thr, topk=self.topk)
        suffix = f"_top{self.topk}" if self.thr is None else "" if self.thr == 0.5 else f"_thr-{self.thr:.2f}"
        return dict(named(figures, self.items, self.average, suffix))

    @staticmethod
    def calculate(
        pred: Values,
        target: Values,
        pred_indices: bool = False,
        target_indices: bool = False,
        average: str | None = "macro",
        thr: float | None = None,
        topk: int | None = None,
        num_classes: int | None = None,
    ) -> Figures:
        """Return (precision, recall, f1-score, support).

        `pred` and `target` are (N, classes): scores, or ones and zeros (-1 in `target`: does not count). Where they are
        lists of class indices instead (`pred_indices`, `target_indices`), `num_classes` is needed (ValueError).
        """
        scores = _matrix(pred, pred_indices, num_classes)
        truth = _matrix(target, target_indices, num_classes).long()
        _require_same(scores, truth)
        if thr is None and topk is not None:
            positive = torch.zeros_like(scores).scatter_(1, scores.topk(topk, dim=1).indices, 1)
        else:
            positive = scores >= (0.5 if thr is None else thr)
        return precision_recall_f1_support(positive.long(), truth, average)


@METRICS.register_module()
class AveragePrecision(BaseMetric):
    """`multi-label/mAP`, or with `average=None` `multi-label/AP_classwise`: the area below precision over recall.

    A class of which no sample is positive has 0. Samples of equal score count together, whatever their order.
    """

    default_prefix = "multi-label"

    def __init__(self, average: str | None = "macro", collect_device: str = "cpu", prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        require_average(average, ("macro", None))
        self.average = average

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep scores and truth of each sample."""
        self.results.extend(_record(each) for each in data_samples)

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Return the figure, or one for each class."""
        if not results:
            return {}
        found = self.calculate(*_targets(results), self.average)
        return {"AP_classwise" if self.average is None else "mAP": found.tolist()}

    @staticmethod
    def calculate(pred: Values, target: Values, average: str | None = "macro") -> Tensor:
        """Return the mean over classes, or the values of all classes (`average=None`), in percent.

        `pred` are scores (N, classes), `target` ones and zeros of that shape; -1 does not count.
        """
        require_average(average, ("macro", None))
        scores, truth = to_tensor(pred), to_tensor(target)
        _require_same(scores, truth)
        values = torch.stack([_average_precision(scores[:, k], truth[:, k]) for k in range(scores.shape[1])])
        return values.mean() * 100 if average == "macro" else values * 100


def _average_precision(scores: Tensor, truth: Tensor) -> Tensor:
    """Return the sum over distinct scores of (rise of recall) * precision, for one class; both are (N,)."""
    known = truth > -1
    order = torch.argsort(scores[known], descending=True, stable=True)
    positive = (truth[known][order] > 0).float()
    if not positive.any():
        return torch.zeros(())
    counts = torch.unique_consecutive(scores[known][order], return_counts=True)[1]
    ends = counts.cumsum(0)
    hits = positive.cumsum(0)[ends - 1]
    rises = torch.diff(hits, prepend=hits.new_zeros(1))
    return (rises * hits / ends).sum() / positive.sum()


def _record(sample: dict[str, Any]) -> dict[str, Tensor]:
    score = sample["pred_score"].detach().cpu()
    truth = sample.get("gt_score")
    if truth is None:
        truth = LabelData.label_to_onehot(sample["gt_label"].cpu(), len(score))
    return {"pred_score": score, "gt_score": truth.cpu()}


def _targets(results: Sequence[dict[str, Tensor]]) -> tuple[Tensor, Tensor]:
    return torch.stack([each["pred_score"] for each in results]), torch.stack([each["gt_score"] for each in results])


def _matrix(values: Values, is_indices: bool, num_classes: int | None) -> Tensor:
    if not is_indices:
        return to_tensor(values) if not isinstance(values, list) else torch.stack([to_tensor(each) for each in values])
    if num_classes is None:
        raise ValueError("labels as class indices need `num_classes`")
    return torch.stack([LabelData.label_to_onehot(torch.as_tensor(each).long(), num_classes) for each in values])


def _require_same(scores: Tensor, truth: Tensor) -> None:
    if scores.ndim != 2 or scores.shape != truth.shape:
        raise ValueError(f"scores {tuple(scores.shape)} and truth {tuple(truth.shape)} must both be (N, classes)")
