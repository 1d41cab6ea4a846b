"""What `mimctl_ops.batched_nms` promises, whichever tier serves."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from op_checks import check_against_twin, check_compiles
from torch import Tensor

from mimctl_ops import batched_nms, nms, nms_rotated, reference, soft_nms

NMS = {"type": "nms", "iou_threshold": 0.5}
RULES: list[dict[str, Any]] = [
    NMS,
    {"iou_thr": 0.3, "score_threshold": 0.2, "max_num": 9, "split_thr": 10},
    {"type": "nms", "iou_threshold": 0.4, "offset": 1},
    {"type": "soft_nms"},
    {"type": "soft_nms", "iou_threshold": 0.3, "method": "gaussian", "min_score": 0.05, "sigma": 0.3, "max_num": 20},
    {"type": "nms_rotated", "iou_threshold": 0.2},
    {"type": "nms_rotated", "iou_threshold": 0.2, "clockwise": False, "max_num": 5},
]
FUNCTIONS = {"nms": nms, "soft_nms": soft_nms, "nms_rotated": nms_rotated}


def scene(
    count: int, num_classes: int = 5, sides: int = 4, seed: int = 0, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 60
    size = 5 + 30 * torch.rand(count, 2, generator=generator)
    if sides == 4:
        boxes = torch.cat([corner, corner + size], dim=1)
    else:
        boxes = torch.cat([corner, size, 6 * torch.rand(count, 1, generator=generator)], dim=1)
    scores = torch.rand(count, generator=generator)
    return boxes.to(dtype), scores.to(dtype), torch.randint(0, num_classes, (count,), generator=generator)


def scene_for(rule: dict[str, Any], count: int, **options: Any) -> tuple[Tensor, Tensor, Tensor]:
    return scene(count, sides=5 if rule.get("type") == "nms_rotated" else 4, **options)


@pytest.mark.parametrize("rule", RULES)
def test_each_class_is_suppressed_alone(rule: dict[str, Any]) -> None:
    boxes, scores, classes = scene_for(rule, 200)
    options = dict(rule)
    options["iou_threshold"] = options.pop("iou_thr", options.get("iou_threshold", 0.3))
    max_num = options.pop("max_num", 200)
    function = FUNCTIONS[options.pop("type", "nms")]
    options.pop("split_thr", None)
    expected = []
    for label in range(5):
        rows = (classes == label).nonzero().squeeze(1)
        dets, kept = function(boxes[rows], scores[rows], **options)
        expected += [(-float(det[-1]), int(row), det) for det, row in zip(dets, rows[kept], strict=True)]
    expected.sort(key=lambda item: item[:2])
    for operator in (batched_nms, reference.batched_nms):
        dets, keep = operator(boxes, scores, classes, rule)
        assert keep.tolist() == [row for _, row, _ in expected[:max_num]]
        torch.testing.assert_close(dets, torch.stack([det for _, _, det in expected[:max_num]]))


@pytest.mark.parametrize("rule", RULES)
def test_classes_can_be_ignored(rule: dict[str, Any]) -> None:
    boxes, scores, classes = scene_for(rule, 100)
    found = batched_nms(boxes, scores, classes, {**rule, "class_agnostic": True})
    same = batched_nms(boxes, scores, torch.zeros_like(classes), rule)
    assert torch.equal(found[0], same[0])
    assert torch.equal(batched_nms(boxes, scores, classes, rule, class_agnostic=True)[1], same[1])
    overridden = batched_nms(boxes, scores, classes, {**rule, "class_agnostic": False}, class_agnostic=True)
    assert torch.equal(overridden[1], batched_nms(boxes, scores, classes, rule)[1])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("count", [0, 1, 150])
def test_operator_equals_its_twin(rule: dict[str, Any], count: int) -> None:
    for dtype in (torch.float32, torch.float64):
        arguments = scene_for(rule, count, dtype=dtype)
        check_against_twin(batched_nms, reference.batched_nms, *arguments, rule)


def test_coordinates_keep_their_precision_whatever_the_classes() -> None:
    boxes = torch.tensor([[0.0, 0, 1, 1], [0.3, 0, 1.3, 1], [-1000, 0, 4000, 1]])
    scores, label = torch.tensor([0.9, 0.8, 0.7]), 3 * 10**9
    for operator in (batched_nms, reference.batched_nms):
        for labels in ([label, label, label], [-label, -label, label], [2**62, 2**62, 2**62 + 1]):
            assert operator(boxes, scores, torch.tensor(labels), {"iou_threshold": 0.6})[1].tolist() == [0, 1, 2]
            assert operator(boxes, scores, torch.tensor(labels), NMS)[1].tolist() == [0, 2]


def test_infinite_boxes_do_not_disturb_others() -> None:
    boxes, scores, classes = scene(50)
    more = torch.cat([boxes, torch.tensor([[0, 0, math.inf, math.inf], [math.nan] * 4])])
    _, keep = batched_nms(more, torch.cat([scores, torch.zeros(2)]), torch.cat([classes, torch.tensor([9, 9])]), NMS)
    assert keep[keep < 50].tolist() == batched_nms(boxes, scores, classes, NMS)[1].tolist()


def test_without_a_config_boxes_are_only_sorted() -> None:
    for sides in (4, 5):
        boxes, scores, classes = scene(20, sides=sides)
        dets, keep = batched_nms(boxes, scores, classes, None)
        assert torch.equal(keep, scores.sort(descending=True, stable=True).indices)
        assert torch.equal(dets, torch.cat([boxes[keep], scores[keep, None]], dim=1))


def test_class_numbers_of_any_integer_type_will_do() -> None:
    boxes, scores, classes = scene(60)
    expected = batched_nms(boxes, scores, classes, NMS)[1]
    for dtype in (torch.int32, torch.uint8, torch.int16):
        assert torch.equal(batched_nms(boxes, scores, classes.to(dtype), NMS)[1], expected)


def test_result_has_gradients() -> None:
    boxes, scores, classes = scene(30, dtype=torch.float64)
    dets, keep = batched_nms(boxes.requires_grad_(), scores.requires_grad_(), classes, NMS)
    dets.sum().backward()
    assert boxes.grad is not None
    assert scores.grad is not None
    assert torch.equal(scores.grad.nonzero().squeeze(1), keep.sort().values)
    assert torch.equal(boxes.grad.sum(dim=1).nonzero().squeeze(1), keep.sort().values)


@pytest.mark.parametrize("rule", [NMS, {"type": "soft_nms"}, None])
def test_a_whole_graph_compiles(rule: dict[str, Any] | None) -> None:
    check_compiles(lambda b, s, c: batched_nms(b, s, c, rule)[0] * 2, scene(30), scene(50, seed=1))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"type": "hard_nms", "iou_threshold": 0.5}, "batched_nms: nms_cfg has the type 'hard_nms'"),
        ({"type": "nms", "iou_treshold": 0.5}, "batched_nms: nms_cfg has the key 'iou_treshold'"),
        ({"type": "nms", "iou_threshold": 0.5, "sigma": 1.0}, "'sigma', which nms does not know"),
        ({"type": "nms"}, "batched_nms: nms_cfg needs iou_threshold"),
        ({"type": "nms", "iou_threshold": 0.5, "iou_thr": 0.5}, "batched_nms: nms_cfg has both"),
        ({"type": "nms_rotated", "iou_threshold": 0.5}, r"nms_rotated: dets must have the shape \(N, 5\)"),
    ],
)
def test_wrong_configs_are_refused_with_what_is_wrong(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        batched_nms(*scene(3), rule)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((torch.zeros(3, 4), torch.zeros(3), torch.zeros(3)), "idxs"),
        ((torch.zeros(3, 4), torch.zeros(3), torch.zeros(2, dtype=torch.int64)), "idxs"),
        ((torch.zeros(3, 4), torch.zeros(3), [0, 1, 2]), "idxs"),
        ((torch.zeros(3, 4), torch.zeros(2), torch.zeros(3, dtype=torch.int64)), "scores"),
        ((torch.zeros(3, 5), torch.zeros(3), torch.zeros(3, dtype=torch.int64)), "boxes"),
        (([[0, 0, 1, 1]], torch.zeros(1), torch.zeros(1, dtype=torch.int64)), "boxes"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments: tuple[Any, ...], name: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"nms: {name}"):
        batched_nms(*arguments, NMS)


def test_without_a_config_wrong_arguments_are_refused_too() -> None:
    boxes, scores, classes = scene(3)
    with pytest.raises(ValueError, match="batched_nms: scores"):
        batched_nms(boxes, scores[:2], classes, None)
    with pytest.raises(TypeError, match="batched_nms: boxes"):
        batched_nms(boxes.tolist(), scores, classes, None)  # type: ignore[arg-type]


any_number = st.one_of(st.floats(width=32), st.sampled_from([0.0, math.inf, -math.inf, math.nan, 1.0, 2.0]))
any_row = st.tuples(st.lists(any_number, min_size=6, max_size=6), st.integers(-(2**63), 2**63 - 1))


@given(st.lists(any_row, max_size=6), st.sampled_from(RULES))
@settings(max_examples=150, deadline=None)
def test_any_numbers_give_the_same_as_the_twin(rows: list[tuple[list[float], int]], rule: dict[str, Any]) -> None:
    numbers = torch.tensor([row[0] for row in rows]).reshape(-1, 6)
    labels = torch.tensor([row[1] for row in rows], dtype=torch.int64)
    sides = 5 if rule.get("type") == "nms_rotated" else 4
    found = batched_nms(numbers[:, :sides], numbers[:, 5], labels, rule)
    expected = reference.batched_nms(numbers[:, :sides], numbers[:, 5], labels, rule)
    assert torch.equal(found[1], expected[1])
    torch.testing.assert_close(found[0], expected[0], equal_nan=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("rule", RULES)
def test_cuda_equals_the_cpu(rule: dict[str, Any]) -> None:
    for count in (0, 1, 2000):
        arguments = scene_for(rule, count)
        expected = batched_nms(*arguments, rule)
        found = batched_nms(*(each.cuda() for each in arguments), rule)
        assert torch.equal(found[1].cpu(), expected[1])
        torch.testing.assert_close(found[0].cpu(), expected[0])
