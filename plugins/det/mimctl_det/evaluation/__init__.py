"""Metrics of detection: COCO's average precision and recall, Pascal VOC's mean average precision."""

from mimctl_det.evaluation.coco_metric import CocoMetric
from mimctl_det.evaluation.voc_metric import VOCMetric

__all__ = ["CocoMetric", "VOCMetric"]
