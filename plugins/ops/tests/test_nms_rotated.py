"""What `mimctl_ops.nms_rotated` promises, whichever tier serves."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from op_checks import IS_COMPILED, check_against_twin, check_compiles, check_operator
from torch import Tensor

from mimctl_ops import box_iou_rotated, nms, nms_rotated, reference


def scene(count: int, side: float = 80.0, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    center = torch.rand(count, 2, generator=generator, dtype=torch.float64) * side
    size = 4 + 30 * torch.rand(count, 2, generator=generator, dtype=torch.float64)
    angle = (2 * torch.rand(count, 1, generator=generator, dtype=torch.float64) - 1) * math.pi
    scores = torch.rand(count, generator=generator, dtype=torch.float64).mul(50).round() / 50  # with ties
    return torch.cat([center, size, angle], dim=1).to(dtype), scores.to(dtype)


def plain_nms(dets: Tensor, scores: Tensor, threshold: float, labels: list[int] | None = None) -> list[int]:
    """The textbook loop over a matrix of overlaps."""
    overlaps = reference.box_iou_rotated(dets.double(), dets.double())
    kept: list[int] = []
    for row in sorted(range(len(dets)), key=lambda i: (-scores[i].item(), i)):
        rivals = [k for k in kept if labels is None or labels[k] == labels[row]]
        if not any(overlaps[k, row] > threshold for k in rivals):
            kept.append(row)
    return kept


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.6])
def test_result_is_that_of_the_textbook_loop(threshold: float, dtype: torch.dtype) -> None:
    dets, scores = scene(150, dtype=dtype)
    labels = torch.arange(150) % 3 - 1
    for given_labels in (None, labels):
        expected = plain_nms(dets, scores, threshold, None if given_labels is None else labels.tolist())
        for operator in (nms_rotated, reference.nms_rotated):
            found, rows = operator(dets, scores, threshold, given_labels)
            assert rows.tolist() == expected
            assert rows.dtype == torch.int64
            assert torch.equal(found, torch.cat([dets[rows], scores[rows, None]], dim=1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("count", "side"), [(0, 10), (1, 10), (127, 40), (129, 40), (1500, 200), (1500, 2000)])
def test_operator_equals_its_twin(count: int, side: float, dtype: torch.dtype) -> None:
    dets, scores = scene(count, side, seed=count, dtype=dtype)
    labels = torch.arange(count) % 7
    for arguments in ((0.1,), (0.5, labels), (0.3, None, False), (0.3, labels.int(), False)):
        check_against_twin(nms_rotated, reference.nms_rotated, dets.requires_grad_(), scores, *arguments)


def test_upright_boxes_are_kept_as_by_nms() -> None:
    dets, scores = scene(400)
    upright = torch.cat([dets[:, :4], torch.zeros_like(dets[:, 4:])], dim=1)
    corners = torch.cat([dets[:, :2] - dets[:, 2:4] / 2, dets[:, :2] + dets[:, 2:4] / 2], dim=1)
    assert torch.equal(nms_rotated(upright, scores, 0.37)[1], nms(corners, scores, 0.37)[1])


def test_angles_are_returned_as_given() -> None:
    dets, scores = scene(20)
    kept, rows = nms_rotated(dets, scores, 0.2, clockwise=False)
    assert torch.equal(kept[:, :5], dets[rows])
    overlaps = box_iou_rotated(dets[rows], dets[rows], clockwise=False)
    assert (overlaps.fill_diagonal_(0) <= 0.2).all()


def test_labels_of_any_size_keep_classes_apart() -> None:
    dets = torch.tensor([[1e6, 1e6, 4, 2, 0.3]]).repeat(4, 1)
    labels = torch.tensor([2**62, -(2**62), 0, 2**62])
    assert nms_rotated(dets, torch.tensor([0.1, 0.2, 0.3, 0.4]), 0.5, labels)[1].tolist() == [3, 2, 1]


def test_half_precision_is_computed_in_float64() -> None:
    dets, scores = scene(200)
    for dtype in (torch.float16, torch.bfloat16):
        half = dets.to(dtype), scores.to(dtype)
        expected = nms_rotated(half[0].double(), half[1].double(), 0.3)[1]
        assert torch.equal(nms_rotated(*half, 0.3)[1], expected)


def test_boxes_without_area_and_nan_are_kept_and_nan_scores_come_first() -> None:
    dets = torch.tensor([[0.0, 0, 4, 4, 0], [0, 0, 4, 4, 0], [math.nan, 0, 4, 4, 0], [0, 0, 0, 4, 0]])
    scores = torch.tensor([0.5, math.nan, 0.9, 0.1])
    for operator in (nms_rotated, reference.nms_rotated):
        assert operator(dets, scores, 0.5)[1].tolist() == [1, 2, 3]


def test_operator_passes_the_checks_of_torch() -> None:
    for count in (0, 9):
        dets, scores = scene(count)
        check_operator("nms_rotated", dets, scores, 0.3)
        check_operator("nms_rotated", dets.requires_grad_(), scores, 0.3, torch.arange(count) % 2)


def test_a_whole_graph_compiles() -> None:
    check_compiles(lambda d, s: nms_rotated(d, s, 0.3, clockwise=False)[0] * 2, scene(30), scene(50, seed=1))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((torch.zeros(3, 4), torch.zeros(3), 0.5), "dets"),
        (([[0, 0, 1, 1, 0]], torch.zeros(1), 0.5), "dets"),
        ((torch.zeros(3, 5, dtype=torch.int64), torch.zeros(3), 0.5), "dets"),
        ((torch.zeros(3, 5), torch.zeros(2), 0.5), "scores"),
        ((torch.zeros(3, 5), torch.zeros(3), 0.5, torch.zeros(2, dtype=torch.int64)), "labels"),
        ((torch.zeros(3, 5), torch.zeros(3), 0.5, torch.zeros(3)), "labels"),
        ((torch.zeros(3, 5), torch.zeros(3), 0.5, [0, 1, 2]), "labels"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments: tuple[object, ...], name: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"nms_rotated: {name}"):
        nms_rotated(*arguments)  # type: ignore[arg-type]


any_number = st.one_of(st.floats(width=32), st.sampled_from([0.0, math.inf, -math.inf, math.nan, 1.0, 2.0]))


@given(st.lists(st.lists(any_number, min_size=6, max_size=6), max_size=6), any_number)
@settings(max_examples=80, deadline=None)
def test_any_numbers_give_the_same_as_the_twin(rows: list[list[float]], threshold: float) -> None:
    some = torch.tensor(rows).reshape(-1, 6)
    arguments = some[:, :5], some[:, 5], threshold
    assert torch.equal(nms_rotated(*arguments)[1], reference.nms_rotated(*arguments)[1])


@pytest.mark.skipif(not IS_COMPILED, reason="about the compiled kernel")
@given(st.lists(st.integers(0, 6), max_size=3), st.lists(st.integers(0, 6), max_size=2), st.integers(0, 6))
@settings(max_examples=60, deadline=None)
def test_the_raw_operator_refuses_other_shapes_without_a_crash(first: list[int], second: list[int], num: int) -> None:
    labels = torch.zeros(num, dtype=torch.int64)
    try:
        rows = torch.ops.mimctl_ops.nms_rotated(torch.ones(first), torch.zeros(second), 0.5, labels)
    except (RuntimeError, ValueError, IndexError):
        return
    assert (first[1:], second, num) == ([5], first[:1], first[0])
    assert len(rows) == min(1, num)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_cuda_equals_the_cpu(dtype: torch.dtype) -> None:
    for count, side in ((0, 10), (1, 10), (65, 40), (3000, 300)):
        dets, scores = scene(count, side, dtype=dtype)
        labels = torch.arange(count) % 3
        for arguments in ((None,), (labels,)):
            expected = nms_rotated(dets, scores, 0.3, *arguments)[1]
            there = [each if each is None else each.cuda() for each in arguments]
            assert torch.equal(nms_rotated(dets.cuda(), scores.cuda(), 0.3, *there)[1].cpu(), expected)
