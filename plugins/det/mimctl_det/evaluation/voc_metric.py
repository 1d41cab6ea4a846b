"""VOCMetric: Pascal VOC's mean average precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mimctl.engine.evaluation import BaseMetric
from mimctl.engine.registry import METRICS
from mimctl.engine.reporting.log import get_logger
from mimctl.errors import ConfigError
from mimctl_det.evaluation.records import prediction_record, truth_record

EvalMode = Literal["area", "11points"]


@METRICS.register_module()
class VOCMetric(BaseMetric):
    """`mAP` (mean over classes with objects, and over `iou_thrs`) and `AP50`, … one for each threshold.

    `eval_mode` is `area` (under the precision envelope, VOC 2010 on) or `11points` (VOC 2007). A prediction takes the
    object it overlaps most; a second one on it is wrong; one on an ignored (difficult) object does not count. Widths
    count both end pixels, as VOC does. Source: VOC development kit, section 3.4.1.
    """

    default_prefix = "pascal_voc"

    def __init__(
        self,
        iou_thrs: float | Sequence[float] = 0.5,
        metric: str | Sequence[str] = "mAP",
        eval_mode: EvalMode = "11points",
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if metric not in ("mAP", ["mAP"], ("mAP",)):
            raise ConfigError(f"unknown metric `{metric}`", code="bad-argument", causes=["known: mAP"])
        if eval_mode not in ("area", "11points"):
            raise ConfigError(f"unknown eval_mode `{eval_mode}`", code="bad-argument", causes=["known: area, 11points"])
        self.iou_thrs = [iou_thrs] if isinstance(iou_thrs, int | float) else list(iou_thrs)
        self.eval_mode: EvalMode = eval_mode

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep predictions and truth."""
        for sample in data_samples:
            record = prediction_record(sample)
            objects = truth_record(sample)
            record["truth_boxes"] = np.array([each["bbox"] for each in objects], np.float64).reshape(-1, 4)
            record["truth_labels"] = np.array([each["bbox_label"] for each in objects], np.int64)
            record["truth_ignored"] = np.array([each.get("ignore_flag", 0) for each in objects], bool)
            self.results.append(record)

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Return `mAP` and the figure of each threshold."""
        classes = tuple((self.dataset_meta or {}).get("classes", ()))
        found: dict[str, float] = {}
        for iou_thr in self.iou_thrs:
            precisions = [self._class_precision(results, label, iou_thr) for label in range(len(classes))]
            known = [each for each in precisions if each is not None]
            for name, value in zip(classes, precisions, strict=True):
                get_logger().info("AP@%.2f %-20s %s", iou_thr, name, "-" if value is None else f"{value:.3f}")
            found[f"AP{round(iou_thr * 100):02d}"] = float(np.mean(known)) if known else 0.0
        return {"mAP": float(np.mean(list(found.values()))), **found}

    def _class_precision(self, results: Sequence[dict[str, Any]], label: int, iou_thr: float) -> float | None:
        """Return the average precision of a class, or None where it has no object."""
        scores: list[NDArray[np.float64]] = []
        hits: list[NDArray[np.int8]] = []
        count = 0
        for record in results:
            is_own = record["truth_labels"] == label
            ignored = record["truth_ignored"][is_own]
            count += int((~ignored).sum())
            chosen = record["labels"] == label
            order = np.argsort(-record["scores"][chosen], kind="stable")
            scores.append(record["scores"][chosen][order])
            hits.append(match(record["boxes"][chosen][order], record["truth_boxes"][is_own], ignored, iou_thr))
        if count == 0:
            return None
        ranked = np.concatenate(hits)[np.argsort(-np.concatenate(scores), kind="stable")]
        right, wrong = np.cumsum(ranked == 1), np.cumsum(ranked == -1)
        precision = right / np.maximum(right + wrong, np.finfo(np.float64).eps)
        return average_precision(right / count, precision, self.eval_mode)


def match(
    boxes: NDArray[np.float64], truth: NDArray[np.float64], ignored: NDArray[np.bool_], iou_thr: float
) -> NDArray[np.int8]:
    """Return for each box, best score first, 1 (right), -1 (wrong) or 0 (on an ignored object)."""
    hits = np.full(len(boxes), -1, np.int8)
    if not len(boxes) or not len(truth):
        return hits
    overlaps = _overlaps(boxes, truth)
    taken = np.zeros(len(truth), bool)
    for number, best in enumerate(overlaps.argmax(1)):
        if overlaps[number, best] < iou_thr:
            continue
        if ignored[best]:
            hits[number] = 0
        elif not taken[best]:
            taken[best] = True
            hits[number] = 1
    return hits


def average_precision(recall: NDArray[Any], precision: NDArray[Any], mode: EvalMode) -> float:
    """Return the area under the precision's envelope, or the mean of its values at recall 0, 0.1, …, 1."""
    if mode == "11points":
        points = [precision[recall >= point] for point in np.arange(0, 1.01, 0.1)]
        return float(sum(each.max() if each.size else 0.0 for each in points) / 11)
    recall = np.concatenate([[0.0], recall, [1.0]])
    envelope = np.maximum.accumulate(np.concatenate([[0.0], precision, [0.0]])[::-1])[::-1]
    steps = np.flatnonzero(recall[1:] != recall[:-1])
    return float(np.sum((recall[steps + 1] - recall[steps]) * envelope[steps + 1]))


def _overlaps(boxes: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    corner = np.maximum(boxes[:, None, :2], truth[None, :, :2])
    edges = np.clip(np.minimum(boxes[:, None, 2:], truth[None, :, 2:]) - corner + 1, 0, None)
    shared = edges.prod(2)
    area = (boxes[:, 2:] - boxes[:, :2] + 1).prod(1)[:, None] + (truth[:, 2:] - truth[:, :2] + 1).prod(1)[None]
    overlap: NDArray[np.float64] = shared / (area - shared)
    return overlap
