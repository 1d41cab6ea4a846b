"""Evaluation: metrics that collect results batch by batch, and the evaluator that runs several of them."""

from mimctl.engine.evaluation.dump import DumpResults
from mimctl.engine.evaluation.evaluator import Evaluator, get_metric_value
from mimctl.engine.evaluation.metric import BaseMetric

__all__ = ["BaseMetric", "DumpResults", "Evaluator", "get_metric_value"]
