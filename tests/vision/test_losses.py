"""Losses against their formulas, element by element."""

from __future__ import annotations

import math
import pickle

import pytest
import torch

from mimctl.engine.registry import MODELS
from mimctl.vision.losses import (
    CIoULoss,
    DIoULoss,
    GIoULoss,
    IoULoss,
    QualityFocalLoss,
    quality_focal_loss,
    weight_reduce_loss,
)

PRED = torch.tensor([[0.0, 0, 4, 4], [2, 2, 6, 10], [5, 5, 6, 6]], dtype=torch.float64)
TARGET = torch.tensor([[0.0, 0, 4, 4], [4, 2, 8, 6], [0, 0, 1, 2]], dtype=torch.float64)
IOUS = [1.0, 8 / (32 + 16 - 8), 0.0]
ENCLOSING = [16.0, 6 * 8, 6 * 6]
UNIONS = [16.0, 40.0, 3.0]
DISTANCE = [0.0, (2**2 + 2**2) / (6**2 + 8**2), (5**2 + 4.5**2) / (6**2 + 6**2)]


def test_reduction_and_averaging_factor():
    loss, weight = torch.tensor([1.0, 2, 3]), torch.tensor([1.0, 0, 2])
    assert weight_reduce_loss(loss, weight, "none").tolist() == [1, 0, 6]
    assert weight_reduce_loss(loss, weight, "sum") == 7
    assert weight_reduce_loss(loss, weight, "mean") == pytest.approx(7 / 3)
    assert weight_reduce_loss(loss, weight, "mean", avg_factor=2) == pytest.approx(3.5)
    with pytest.raises(ValueError, match="avg_factor"):
        weight_reduce_loss(loss, weight, "sum", avg_factor=2)
    with pytest.raises(ValueError, match="reduction"):
        weight_reduce_loss(loss, reduction="median")


def test_quality_focal_loss_follows_its_formula():
    logits = torch.tensor([[0.3, -1.2], [2.0, 0.1], [-0.5, 0.4]], dtype=torch.float64)
    labels, quality = torch.tensor([1, 2, 0]), torch.tensor([0.7, 0.0, 0.2], dtype=torch.float64)
    expected = []
    for row, label, value in zip(logits.tolist(), labels.tolist(), quality.tolist(), strict=True):
        total = 0.0
        for column, logit in enumerate(row):
            probability, wanted = 1 / (1 + math.exp(-logit)), value if column == label else 0.0
            entropy = -wanted * math.log(probability) - (1 - wanted) * math.log(1 - probability)
            total += entropy * abs(wanted - probability) ** 2
        expected.append(total)
    assert torch.allclose(quality_focal_loss(logits, (labels, quality)), torch.tensor(expected, dtype=torch.float64))


def test_quality_focal_loss_is_weighed_by_example():
    loss = QualityFocalLoss(loss_weight=3.0)
    logits, target = torch.randn(3, 2), (torch.tensor([0, 1, 2]), torch.rand(3))
    each = quality_focal_loss(logits, target)
    weight = torch.tensor([1.0, 0.0, 2.0])
    assert loss(logits, target, weight, avg_factor=2.0) == pytest.approx(float(3 * (each * weight).sum() / 2))
    assert torch.allclose(loss(logits, target, reduction_override="none"), 3 * each)
    with pytest.raises(ValueError, match="sigmoid"):
        QualityFocalLoss(use_sigmoid=False)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (IoULoss(mode="linear"), [1 - each for each in IOUS[:2]]),
        (IoULoss(linear=True), [1 - each for each in IOUS[:2]]),
        (IoULoss(mode="square"), [1 - each**2 for each in IOUS[:2]]),
        (IoULoss(), [-math.log(each) for each in IOUS[:2]]),
        (GIoULoss(), [1 - i + (e - u) / e for i, e, u in zip(IOUS, ENCLOSING, UNIONS, strict=True)]),
        (DIoULoss(), [1 - i + d for i, d in zip(IOUS, DISTANCE, strict=True)]),
    ],
)
def test_overlap_losses_follow_their_formulas(loss, expected):
    found = loss(PRED, TARGET, reduction_override="none")[: len(expected)]
    assert torch.allclose(found, torch.tensor(expected, dtype=torch.float64), atol=1e-5)


def test_complete_overlap_loss_adds_the_aspect_ratio_where_boxes_overlap_well():
    pred = torch.tensor([[0.0, 0, 4, 4]], dtype=torch.float64)
    target = torch.tensor([[0.0, 0, 4, 6]], dtype=torch.float64)
    iou, distance = 16 / 24, 1 / (16 + 36)
    aspect = 4 / math.pi**2 * (math.atan(4 / 6) - math.atan(1)) ** 2
    alpha = aspect / (1 - iou + aspect)
    found = CIoULoss()(pred, target)
    assert float(found) == pytest.approx(1 - iou + distance + alpha * aspect, abs=1e-5)
    assert float(CIoULoss()(PRED[2:], TARGET[2:])) == pytest.approx(float(DIoULoss()(PRED[2:], TARGET[2:])), abs=1e-5)


def test_box_weights_may_be_given_per_coordinate():
    loss, weight = GIoULoss(), torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64)
    by_box = loss(PRED, TARGET, weight, avg_factor=2.0)
    assert torch.allclose(by_box, loss(PRED, TARGET, weight[:, None].expand(3, 4), avg_factor=2.0))


@pytest.mark.parametrize("kind", ["IoULoss", "GIoULoss", "DIoULoss", "CIoULoss"])
def test_no_boxes_give_no_loss_but_keep_the_graph(kind):
    pred = torch.zeros(0, 4, requires_grad=True)
    loss = MODELS.build({"type": kind})(pred, torch.zeros(0, 4), avg_factor=1.0)
    loss.backward()
    assert float(loss.detach()) == 0
    assert pred.grad is not None


@pytest.mark.parametrize("kind", ["IoULoss", "GIoULoss", "DIoULoss", "CIoULoss", "QualityFocalLoss"])
def test_losses_can_be_sent_to_other_processes(kind):
    assert pickle.loads(pickle.dumps(MODELS.build({"type": kind}))).loss_weight == 1.0
