"""Metrics of classification: accuracy, precision and recall, confusion, average precision. All are in percent."""

from mimctl_cls.evaluation.accuracy import Accuracy
from mimctl_cls.evaluation.confusion import ConfusionMatrix
from mimctl_cls.evaluation.multi_label import AveragePrecision, MultiLabelMetric
from mimctl_cls.evaluation.single_label import SingleLabelMetric

__all__ = ["Accuracy", "AveragePrecision", "ConfusionMatrix", "MultiLabelMetric", "SingleLabelMetric"]
