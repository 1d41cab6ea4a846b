"""What `mimctl_ops.soft_nms` promises, whichever tier serves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from op_checks import IS_COMPILED, check_against_twin, check_compiles, check_operator
from torch import Tensor

from mimctl_ops import nms, reference, soft_nms

METHODS = ("naive", "linear", "gaussian")


def scene(count: int, side: float = 60.0, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator, dtype=torch.float64) * side
    size = 5 + 30 * torch.rand(count, 2, generator=generator, dtype=torch.float64)
    scores = torch.rand(count, generator=generator, dtype=torch.float64)
    return torch.cat([corner, corner + size], dim=1).to(dtype), scores.to(dtype)


def plain_soft_nms(
    boxes: list[list[float]],
    scores: list[float],
    threshold: float,
    sigma: float,
    min_score: float,
    method: str,
    offset: int = 0,
) -> list[tuple[int, float]]:
    """The rounds of the paper in Python floats (doubles)."""

    def overlap(a: list[float], b: list[float]) -> float:
        width = min(a[2], b[2]) - max(a[0], b[0]) + offset
        height = min(a[3], b[3]) - max(a[1], b[1]) + offset
        if width <= 0 or height <= 0:
            return 0.0
        areas = [(box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b)]
        return width * height / (sum(areas) - width * height)

    rest = dict(enumerate(scores))
    kept = []
    while rest:
        best = max(rest, key=lambda row: (rest[row], -row))
        kept.append((best, rest.pop(best)))
        for row in rest:
            o = overlap(boxes[best], boxes[row])
            if method == "gaussian":
                rest[row] *= math.exp(-o * o / sigma)
            elif o >= threshold and o > 0:
                rest[row] *= 1 - o if method == "linear" else 0
        rest = {row: score for row, score in rest.items() if score >= min_score}
    return kept


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("min_score", [1e-3, 0.3])
@pytest.mark.parametrize("offset", [0, 1])
def test_result_is_that_of_the_rounds(method: str, min_score: float, offset: int) -> None:
    boxes, scores = scene(80)
    options = (0.3, 0.4, min_score, method, offset)
    expected = plain_soft_nms(boxes.tolist(), scores.tolist(), *options)
    for operator in (soft_nms, reference.soft_nms):
        dets, rows = operator(boxes, scores, *options)
        assert rows.tolist() == [row for row, _ in expected]
        assert dets[:, 4].tolist() == pytest.approx([score for _, score in expected], rel=1e-12)
        assert torch.equal(dets[:, :4], boxes[rows])


# Small whole numbers make equal scores, equal boxes and empty boxes common; their IoUs are far from the threshold.
whole = st.integers(0, 6)
box = st.tuples(whole, whole, whole, whole).map(lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]])


@given(st.lists(st.tuples(box, st.integers(0, 5)), max_size=15), st.sampled_from(METHODS), st.sampled_from([0.0, 0.6]))
@settings(max_examples=150, deadline=None)
def test_ties_and_empty_boxes(items: list[tuple[list[int], int]], method: str, min_score: float) -> None:
    boxes = torch.tensor([item[0] for item in items], dtype=torch.float64).reshape(-1, 4)
    scores = torch.tensor([item[1] / 5 for item in items], dtype=torch.float64)
    expected = plain_soft_nms(boxes.tolist(), scores.tolist(), 0.301, 0.5, min_score, method)
    for operator in (soft_nms, reference.soft_nms):
        dets, rows = operator(boxes, scores, 0.301, 0.5, min_score, method)  # type: ignore[arg-type]
        # Scores that are equal but for rounding may come in any order.
        found = {int(row): float(score) for row, score in zip(rows, dets[:, 4], strict=True)}
        assert found == pytest.approx(dict(expected), rel=1e-12)
        assert (dets[1:, 4] <= dets[:-1, 4]).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("count", "side"), [(0, 10), (1, 10), (130, 40), (400, 300)])
@pytest.mark.parametrize("method", METHODS)
def test_operator_equals_its_twin(method: str, count: int, side: float, dtype: torch.dtype) -> None:
    boxes, scores = scene(count, side, seed=count, dtype=dtype)
    boxes.requires_grad_()
    check_against_twin(soft_nms, reference.soft_nms, boxes, scores, 0.4, 0.3, 0.05, method)
    strided = torch.stack([boxes, boxes], dim=2)[:, :, 0]
    check_against_twin(soft_nms, reference.soft_nms, strided.detach(), scores.double().flip(0), 0.4, method=method)


def test_naive_keeps_what_nms_keeps() -> None:
    boxes, scores = scene(300, 150)
    assert torch.equal(soft_nms(boxes, scores, 0.35, method="naive")[1], nms(boxes, scores, 0.35)[1])


def test_the_best_box_stays_whatever_its_score() -> None:
    boxes, scores = scene(20)
    for operator in (soft_nms, reference.soft_nms):
        dets, rows = operator(boxes, scores, min_score=2.0)
        assert rows.tolist() == [scores.argmax().item()]
        assert dets[0, 4] == scores.max()


def test_labels_keep_classes_apart() -> None:
    boxes, scores = scene(200)
    labels = torch.arange(200) % 4 * 2**60 - 1
    for method in range(3):
        options = (0.3, 0.5, 0.05, method)
        rows, lowered = torch.ops.mimctl_ops.soft_nms(boxes, scores, labels, *options)
        apart = boxes + (torch.arange(200) % 4 * 1000)[:, None]
        together = torch.ops.mimctl_ops.soft_nms(apart, scores, None, *options)
        assert torch.equal(rows, together[0])
        torch.testing.assert_close(lowered, together[1], rtol=1e-9, atol=0)


def test_numpy_arrays_give_numpy_arrays() -> None:
    boxes, scores = scene(40, dtype=torch.float32)
    dets, rows = soft_nms(boxes.numpy(), scores.numpy(), method="gaussian")
    expected = soft_nms(boxes, scores, method="gaussian")
    assert isinstance(dets, np.ndarray)
    assert (dets.dtype, rows.dtype) == (np.float32, np.int64)
    assert np.array_equal(dets, expected[0].numpy())
    assert np.array_equal(rows, expected[1].numpy())


def test_half_precision_is_computed_in_float32() -> None:
    boxes, scores = scene(100)
    for dtype in (torch.float16, torch.bfloat16):
        half = boxes.to(dtype), scores.to(dtype)
        dets, rows = soft_nms(*half)
        expected = soft_nms(half[0].float(), half[1].float())
        assert torch.equal(rows, expected[1])
        assert torch.equal(dets, expected[0].to(dtype))


def test_nan_scores_come_first() -> None:
    boxes = torch.tensor([[float(9 * i), 0, 9 * i + 5, 5] for i in range(4)])
    scores = torch.tensor([0.5, math.nan, math.inf, math.nan])
    for operator in (soft_nms, reference.soft_nms):
        assert operator(boxes, scores)[1].tolist() == [1, 3, 2, 0]


def test_operator_passes_the_checks_of_torch() -> None:
    for count in (0, 9):
        boxes, scores = scene(count)
        check_operator("soft_nms", boxes, scores, None, 0.3, 0.5, 0.001, 1)
        check_operator("soft_nms", boxes.float(), scores, torch.arange(count) % 2, 0.3, 0.5, 0.001, 2)


def test_a_whole_graph_compiles() -> None:
    check_compiles(lambda b, s: soft_nms(b, s, offset=1)[0] * 2, scene(30), scene(50, seed=1))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((torch.zeros(3, 5), torch.zeros(3)), "boxes"),
        (([[0, 0, 1, 1]], torch.zeros(1)), "boxes"),
        ((torch.zeros(3, 4, dtype=torch.int64), torch.zeros(3)), "boxes"),
        ((torch.zeros(3, 4), torch.zeros(2)), "scores"),
        ((torch.zeros(3, 4), torch.zeros(3), 0.3, 0.0), "sigma"),
        ((torch.zeros(3, 4), torch.zeros(3), 0.3, math.nan), "sigma"),
        ((torch.zeros(3, 4), torch.zeros(3), 0.3, 0.5, 0.1, "hard"), "method"),
        ((torch.zeros(3, 4), torch.zeros(3), 0.3, 0.5, 0.1, "linear", 2), "offset"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments: tuple[object, ...], name: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"soft_nms: {name}"):
        soft_nms(*arguments)  # type: ignore[type-var]


any_number = st.one_of(st.floats(width=32), st.sampled_from([0.0, math.inf, -math.inf, math.nan, 1.0, 2.0]))


@given(
    st.lists(st.lists(any_number, min_size=5, max_size=5), max_size=6), any_number, any_number, st.sampled_from(METHODS)
)
@settings(max_examples=150, deadline=None)
def test_any_numbers_give_the_same_as_the_twin(
    rows: list[list[float]], threshold: float, min_score: float, method: str
) -> None:
    some = torch.tensor(rows).reshape(-1, 5)
    arguments = some[:, :4], some[:, 4], threshold, 0.5, min_score, method
    found, expected = soft_nms(*arguments), reference.soft_nms(*arguments)  # type: ignore[arg-type]
    assert torch.equal(found[1], expected[1])
    torch.testing.assert_close(found[0], expected[0], equal_nan=True)


@pytest.mark.skipif(not IS_COMPILED, reason="about the compiled kernel")
@given(
    st.lists(st.integers(0, 5), max_size=3),
    st.lists(st.integers(0, 5), max_size=2),
    st.integers(0, 5),
    st.integers(-1, 3),
    any_number,
)
@settings(max_examples=80, deadline=None)
def test_the_raw_operator_refuses_other_arguments_without_a_crash(
    first: list[int], second: list[int], num: int, method: int, sigma: float
) -> None:
    labels = torch.zeros(num, dtype=torch.int64)
    try:
        rows, _ = torch.ops.mimctl_ops.soft_nms(torch.ones(first), torch.ones(second), labels, 0.5, sigma, 0.1, method)
    except (RuntimeError, ValueError, IndexError):
        return
    assert (first[1:], second, num) == ([4], first[:1], first[0])
    assert sigma > 0
    assert method in (0, 1, 2)
    assert len(rows) == num


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("method", METHODS)
def test_cuda_equals_the_cpu(method: str, dtype: torch.dtype) -> None:
    for count in (0, 1, 1500):
        boxes, scores = scene(count, 400, dtype=dtype)
        expected = soft_nms(boxes, scores, 0.3, 0.5, 0.05, method)  # type: ignore[arg-type]
        found = soft_nms(boxes.cuda(), scores.cuda(), 0.3, 0.5, 0.05, method)  # type: ignore[arg-type]
        assert torch.equal(found[1].cpu(), expected[1])
        torch.testing.assert_close(found[0].cpu(), expected[0])
