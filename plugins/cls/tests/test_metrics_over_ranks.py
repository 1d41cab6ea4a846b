"""Metrics over two ranks equal those of one process, padding of the last batch included."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mimctl.engine.evaluation import Evaluator
from mimctl.engine.ranks import distributed
from mimctl_cls.evaluation import Accuracy, AveragePrecision, ConfusionMatrix, MultiLabelMetric, SingleLabelMetric
from mimctl_cls.structures import DataSample
from tests.engine.ranks import on_ranks

SIZE, CLASSES = 7, 4


def figures() -> dict[str, Any]:
    """Evaluate this rank's share of seven samples."""
    scores = torch.rand(SIZE, CLASSES, generator=torch.Generator().manual_seed(2))
    labels = torch.arange(SIZE) % 3  # the last class is in no sample
    evaluator = Evaluator(
        [
            Accuracy(topk=(1, 2)),
            SingleLabelMetric(average=None),
            ConfusionMatrix(),
            MultiLabelMetric(),
            AveragePrecision(),
        ]
    )
    rank, ranks = distributed.get_rank(), distributed.get_world_size()
    share = range(rank, -(-SIZE // ranks) * ranks, ranks)  # as DefaultSampler deals them, filled up from the start
    for number in (each % SIZE for each in share):
        evaluator.process([DataSample().set_pred_score(scores[number]).set_gt_label(labels[number])])
    return evaluator.evaluate(SIZE)


def figures_of_a_rank(rank: int) -> dict[str, Any]:
    return figures()


def test_two_ranks_give_the_figures_of_one() -> None:
    alone = figures()
    assert sum(map(sum, alone["confusion_matrix/result"])) == SIZE
    for found in on_ranks(figures_of_a_rank):
        assert found.keys() == alone.keys()
        for name, value in alone.items():
            assert found[name] == (value if name == "confusion_matrix/result" else pytest.approx(value))
