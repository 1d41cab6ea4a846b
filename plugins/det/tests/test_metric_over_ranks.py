"""CocoMetric over two ranks equals CocoMetric in one process, padding of the last batch included."""

from __future__ import annotations

import pytest
import torch

from mimctl.engine.ranks import distributed
from mimctl_det.evaluation import CocoMetric
from tests.engine.ranks import on_ranks

SIZE = 5


def figures() -> dict[str, float]:
    """Evaluate this rank's share of five images; every object but that of image 0 is found."""
    metric = CocoMetric(metric=["bbox", "segm"])
    metric.dataset_meta = {"classes": ("a",)}
    rank, ranks = distributed.get_rank(), distributed.get_world_size()
    share = range(rank, -(-SIZE // ranks) * ranks, ranks)  # as DefaultSampler deals them, filled up from the start
    for number in (each % SIZE for each in share):
        edge = 20 + 8 * number
        shift = 300 if number == 0 else 0
        mask = torch.zeros(1, 400, 400, dtype=torch.bool)
        mask[:, shift : shift + edge, shift : shift + edge] = True
        sample = {
            "img_id": f"picture {number}",
            "ori_shape": (400, 400),
            "raw_instances": [
                {"bbox": [0, 0, edge, edge], "bbox_label": 0, "mask": [[0, 0, edge, 0, edge, edge, 0, edge]]}
            ],
            "pred_instances": {
                "bboxes": torch.tensor([[0.0, 0, edge, edge]]) + shift,
                "scores": torch.tensor([0.5]),
                "labels": torch.tensor([0]),
                "masks": mask,
            },
        }
        metric.process(None, [sample])
    return metric.evaluate(SIZE)


def figures_of_a_rank(rank: int) -> dict[str, float]:
    return figures()


def test_two_ranks_give_the_figures_of_one() -> None:
    alone = figures()
    assert 0 < alone["coco/bbox_mAP"] < 1
    assert on_ranks(figures_of_a_rank) == [pytest.approx(alone)] * 2
