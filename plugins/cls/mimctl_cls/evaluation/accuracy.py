"""Accuracy: the share of samples whose true class is among the k that were scored highest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from mimctl.engine.evaluation import BaseMetric
from mimctl.engine.registry import METRICS
from mimctl.errors import ConfigError
from mimctl_cls.evaluation.records import Values, checked, ranks, several, single_record, single_targets, to_tensor

Threshold = float | None


@METRICS.register_module()
class Accuracy(BaseMetric):
    """`accuracy/top<k>` in percent, for each of `topk`.

    A score must also be greater than the threshold (`thrs`; None: any counts); with several thresholds each has a
    figure of its own, `top1_thr-0.50` or `top1_no-thr`. Predictions without scores have a `top1` alone.
    """

    default_prefix = "accuracy"

    def __init__(
        self,
        topk: int | Sequence[int] = (1,),
        thrs: Threshold | Sequence[Threshold] = 0.0,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.topk: tuple[int, ...] = several(topk)
        self.thrs: tuple[Threshold, ...] = several(thrs)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep scores (or labels) and truth of each sample."""
        self.results.extend(single_record(each) for each in data_samples)

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Return the figures of all samples."""
        if not results:
            return {}
        found = self.calculate(*single_targets(results), self.topk, self.thrs)
        if isinstance(found, Tensor):
            return {"top1": found.item()}
        names = [threshold_suffix(each) if len(self.thrs) > 1 else "" for each in self.thrs]
        return {
            f"top{k}{name}": value.item()
            for k, row in zip(self.topk, found, strict=True)
            for name, value in zip(names, row, strict=True)
        }

    @staticmethod
    def calculate(
        pred: Values, target: Values, topk: Sequence[int] = (1,), thrs: Sequence[Threshold] = (0.0,)
    ) -> Tensor | list[list[Tensor]]:
        """Return the accuracy for each k and threshold, as tensors (1,) in percent; for labels (N,) one tensor.

        Of equal scores the lower class number counts as the higher score. Raises ConfigError[bad-argument] where there
        are fewer than k classes, [class-mismatch] for a label outside of them.
        """
        scores = to_tensor(pred)
        if scores.ndim == 1:
            hits = scores.eq(to_tensor(target))
            return hits.float().mean(0, keepdim=True) * 100
        scores, truth, num_classes = checked(scores, target)
        if max(topk) > num_classes:
            raise ConfigError(
                f"the top {max(topk)} of {num_classes} classes cannot be told",
                code="bad-argument",
                hints=[f"give the evaluator (`val_evaluator`, `test_evaluator`) a `topk` of {num_classes} at most"],
            )
        rank = ranks(scores.float(), truth)
        own = scores.float().gather(1, truth[:, None]).squeeze(1)
        table = []
        for k in topk:
            hits = [(rank < k) if thr is None else (rank < k) & (own > thr) for thr in thrs]
            table.append([each.float().mean(0, keepdim=True) * 100 for each in hits])
        return table


def threshold_suffix(threshold: Threshold) -> str:
    """Return what tells the figures of several thresholds apart."""
    return "_no-thr" if threshold is None else f"_thr-{threshold:.2f}"
