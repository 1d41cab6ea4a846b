"""What `mimctl_ops.nms` promises, whichever backend this build has: run against the compiled wheel and the pure one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from op_checks import IS_COMPILED
from torch import Tensor

import mimctl_ops
from mimctl_ops import reference
from mimctl_ops.ops.nms import find_rows

OP = torch.ops.mimctl_ops.nms.default


def rows(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    return mimctl_ops.nms(boxes, scores, threshold)[1]


def twin_rows(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    return reference.nms(boxes, scores, threshold)[1]


def plain_nms(boxes: list[list[float]], scores: list[float], threshold: float) -> list[int]:
    """The textbook loop in Python floats (doubles)."""

    def area(box: list[float]) -> float:
        return (box[2] - box[0]) * (box[3] - box[1])

    def overlaps(a: list[float], b: list[float]) -> bool:
        width = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0)
        height = max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
        union = area(a) + area(b) - width * height
        return union != 0 and width * height / union > threshold

    kept: list[int] = []
    for row in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        if not any(overlaps(boxes[k], boxes[row]) for k in kept):
            kept.append(row)
    return kept


def random_boxes(count: int, span: float, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(count)
    corner = torch.rand(count, 2, generator=generator, dtype=torch.float64) * span
    size = torch.rand(count, 2, generator=generator, dtype=torch.float64) * 60 + 1
    scores = torch.rand(count, generator=generator, dtype=torch.float64)
    return torch.cat([corner, corner + size], dim=1).to(dtype), scores.to(dtype)


# Small whole numbers make equal scores, equal boxes, empty boxes and IoUs exactly at the threshold common.
whole = st.integers(0, 6)
box = st.tuples(whole, whole, whole, whole).map(lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]])
scene = st.lists(st.tuples(box, st.integers(-2, 2)), max_size=25)


@given(scene, st.sampled_from([0.0, 0.25, 0.5, 0.7, 1.0]), st.sampled_from([torch.float32, torch.float64]))
@settings(max_examples=150, deadline=None)
def test_result_is_that_of_the_textbook_loop(
    items: list[tuple[list[int], int]], threshold: float, dtype: torch.dtype
) -> None:
    boxes = torch.tensor([item[0] for item in items], dtype=dtype).reshape(-1, 4)
    scores = torch.tensor([item[1] for item in items], dtype=dtype)
    # The threshold is compared in the precision of the boxes.
    exact = torch.tensor(threshold, dtype=dtype).item()
    expected = plain_nms(boxes.tolist(), scores.tolist(), exact)
    assert rows(boxes, scores, threshold).tolist() == expected
    assert twin_rows(boxes, scores, threshold).tolist() == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("count", "span"), [(1, 10), (127, 40), (128, 40), (129, 40), (3000, 300), (2000, 5000)])
def test_operator_equals_its_reference(count: int, span: float, dtype: torch.dtype) -> None:
    boxes, scores = random_boxes(count, span, dtype)
    for threshold in (0.1, 0.5, 0.9):
        kept = rows(boxes, scores, threshold)
        assert kept.dtype == torch.int64
        assert torch.equal(kept, twin_rows(boxes, scores, threshold))


def test_indices_beyond_16_bits_are_right_in_a_crowd() -> None:
    boxes, scores = random_boxes(120_000, 50)
    kept = rows(boxes, scores, 0.3)
    assert torch.equal(kept, twin_rows(boxes, scores, 0.3))
    assert kept.max() > 65_536


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_labels_keep_classes_apart(dtype: torch.dtype) -> None:
    boxes, scores = random_boxes(2000, 200, dtype)
    labels = (torch.arange(2000) % 7 - 3) * 2**60
    kept = [(labels == each).nonzero().squeeze(1) for each in labels.unique()]
    kept = [part[rows(boxes[part], scores[part], 0.3)] for part in kept]
    found = OP(boxes, scores, 0.3, labels)
    assert torch.equal(found.sort().values, torch.cat(kept).sort().values)
    assert (scores[found].diff() <= 0).all()
    assert torch.equal(found, find_rows(boxes, scores, 0.3, labels))


def test_numpy_arrays_give_numpy_arrays() -> None:
    boxes, scores = random_boxes(40, 60)
    dets, indices = mimctl_ops.nms(boxes.numpy(), scores.numpy(), 0.5)
    assert isinstance(dets, np.ndarray)
    assert (dets.dtype, indices.dtype) == (np.float32, np.int64)
    expected = mimctl_ops.nms(boxes, scores, 0.5)
    assert np.array_equal(dets, expected[0].numpy())
    assert np.array_equal(indices, expected[1].numpy())
    backwards = mimctl_ops.nms(boxes.numpy()[::-1], scores.numpy()[::-1], 0.5)
    assert np.array_equal(backwards[0], dets)
    with pytest.raises(TypeError, match="nms: scores"):
        mimctl_ops.nms(boxes, scores.numpy(), 0.5)


def test_no_boxes_give_no_indices() -> None:
    kept = rows(torch.empty(0, 4), torch.empty(0), 0.5)
    assert kept.shape == (0,)
    assert kept.dtype == torch.int64


def test_half_precision_is_computed_in_float32() -> None:
    boxes, scores = random_boxes(300, 100)
    for dtype in (torch.float16, torch.bfloat16):
        expected = rows(boxes.to(dtype).float(), scores.to(dtype).float(), 0.5)
        assert torch.equal(rows(boxes.to(dtype), scores.to(dtype), 0.5), expected)


def test_boxes_and_scores_may_differ_in_precision_and_layout() -> None:
    boxes, scores = random_boxes(300, 100, torch.float64)
    expected = twin_rows(boxes, scores.float(), 0.5)
    strided = torch.stack([boxes, boxes], dim=2)[:, :, 0].t().contiguous().t()
    assert torch.equal(rows(strided, scores.float(), 0.5), expected)


def test_large_coordinates_and_offsets_keep_classes_apart() -> None:
    boxes, scores = random_boxes(500, 100, torch.float64)
    shifted = boxes + torch.arange(500)[:, None] * 1e9
    assert torch.equal(rows(shifted, scores, 0.5), scores.argsort(descending=True))


def test_nan_scores_come_first_and_nan_boxes_are_kept() -> None:
    boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 4], [float("nan"), 0, 4, 4], [9, 9, 12, 12]])
    scores = torch.tensor([0.5, float("nan"), 0.9, 0.1])
    assert rows(boxes, scores, 0.5).tolist() == [1, 2, 3]
    assert twin_rows(boxes, scores, 0.5).tolist() == [1, 2, 3]


def test_equal_scores_keep_their_order_also_for_negative_zero() -> None:
    boxes = torch.tensor([[float(10 * i), 0, 10 * i + 5, 5] for i in range(4)])
    assert rows(boxes, torch.tensor([-0.0, 0.0, -0.0, 0.0]), 0.5).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("boxes", "scores"),
    [
        (torch.zeros(3, 5), torch.zeros(3)),
        (torch.zeros(3), torch.zeros(3)),
        (torch.zeros(3, 4), torch.zeros(2)),
        (torch.zeros(3, 4), torch.zeros(3, 1)),
        (torch.zeros(3, 4, dtype=torch.int64), torch.zeros(3)),
        (torch.zeros(3, 4), torch.zeros(3, dtype=torch.int64)),
    ],
)
def test_wrong_shapes_and_types_are_refused(boxes: Tensor, scores: Tensor) -> None:
    with pytest.raises((TypeError, ValueError), match="nms: "):
        rows(boxes, scores, 0.5)


@pytest.mark.parametrize("count", [0, 1, 20])
@pytest.mark.parametrize("has_gradient", [False, True])
def test_opcheck_passes(count: int, has_gradient: bool) -> None:
    boxes, scores = random_boxes(count, 40)
    inputs = (boxes.requires_grad_(has_gradient), scores.requires_grad_(has_gradient), 0.5)
    outcome = torch.library.opcheck(OP, inputs)
    assert set(outcome.values()) == {"SUCCESS"}


def test_a_whole_graph_compiles_and_serves_several_sizes() -> None:
    def best_boxes(boxes: Tensor, scores: Tensor) -> Tensor:
        return boxes[rows(boxes, scores, 0.5)] * 2

    compiled = torch.compile(best_boxes, fullgraph=True, dynamic=True, backend="aot_eager")
    for count in (50, 80):
        boxes, scores = random_boxes(count, 60)
        assert torch.equal(compiled(boxes, scores), best_boxes(boxes, scores))


def test_fake_kernel_checks_shapes_and_leaves_the_count_open() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    with FakeTensorMode(shape_env=ShapeEnv()):
        kept = OP(torch.empty(7, 4), torch.empty(7), 0.5)
        assert kept.dtype == torch.int64
        assert not isinstance(kept.shape[0], int)
        with pytest.raises((ValueError, RuntimeError)):
            OP(torch.empty(7, 3), torch.empty(7), 0.5)


numbers = st.one_of(st.floats(width=32), st.sampled_from([0.0, float("inf"), float("-inf"), float("nan")]))


@given(st.lists(st.lists(numbers, min_size=5, max_size=5), max_size=6), numbers)
@settings(max_examples=80, deadline=None)
def test_any_numbers_give_the_same_as_the_twin(items: list[list[float]], threshold: float) -> None:
    some = torch.tensor(items).reshape(-1, 5)
    found = rows(some[:, :4], some[:, 4], threshold)
    assert torch.equal(found, twin_rows(some[:, :4], some[:, 4], threshold))


@pytest.mark.skipif(not IS_COMPILED, reason="about the compiled kernel")
@given(st.lists(st.integers(0, 5), max_size=3), st.lists(st.integers(0, 5), max_size=2), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_the_raw_operator_refuses_other_shapes_without_a_crash(first: list[int], second: list[int], num: int) -> None:
    try:
        kept = OP(torch.ones(first), torch.zeros(second), 0.5, torch.zeros(num, dtype=torch.int64))
    except (RuntimeError, ValueError, IndexError):
        return
    assert (first[1:], second, num) == ([4], first[:1], first[0])
    assert len(kept) == num  # empty boxes


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("count", "span"), [(0, 9), (1, 9), (63, 40), (64, 40), (65, 40), (10_000, 300), (90_000, 20)])
def test_cuda_equals_the_cpu(count: int, span: float, dtype: torch.dtype) -> None:
    boxes, scores = random_boxes(count, span, dtype)
    labels = torch.arange(count) % 5
    for more in ((), (labels,)):
        expected = OP(boxes, scores, 0.5, *more)
        assert torch.equal(OP(boxes.cuda(), scores.cuda(), 0.5, *(each.cuda() for each in more)).cpu(), expected)
