"""Published figures beside measured ones."""

from __future__ import annotations

import pytest

from mimctl.zoo.catalogue.compare import compare, told


@pytest.mark.parametrize(
    ("published", "measured", "is_same"),
    [
        ({"box AP": 44.5}, {"coco/bbox_mAP": 0.4449}, True),
        ({"box AP": 44.5}, {"coco/bbox_mAP": 0.443}, False),
        ({"Top 1 Accuracy": 69.9}, {"accuracy/top1": 69.83, "accuracy/top5": 1.0}, True),
        ({"Top 1 Accuracy": "69.9%"}, {"accuracy/top1": 69.7}, False),
        ({"accuracy/top1": 99.0999984741211}, {"accuracy/top1": 99.1}, True),
        ({"accuracy/top1": 99.0999984741211}, {"accuracy/top1": 99.05}, False),
        ({"mIoU": 77.25}, {"mIoU": 77.25}, True),
        ({"accuracy/top1": 0.5}, {"accuracy/top1": 0.5}, True),
        ({"accuracy/top1": 1.5}, {"accuracy/top1": 0.9}, False),
    ],
)
def test_a_figure_is_compared_in_its_own_unit(published, measured, is_same):
    figures = compare([{"dataset": "x", "metrics": published}], measured)
    assert told(figures) == is_same


def test_a_tolerance_of_ones_own_is_in_the_published_unit():
    results = [{"dataset": "COCO", "metrics": {"box AP": 44.5}}]
    assert told(compare(results, {"bbox_mAP": 0.43}, 2.0))
    assert not told(compare(results, {"bbox_mAP": 0.43}, 1.0))


def test_what_was_not_measured_is_no_agreement():
    figures = compare([{"dataset": "x", "metrics": {"FPS": 30, "odd": "about 3", "box AP": 40}}], {"mIoU": 40})
    assert [(each.name, each.measured) for each in figures] == [("FPS", None), ("box AP", None)]
    assert not told(figures)
