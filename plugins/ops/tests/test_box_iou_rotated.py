"""What `mimctl_ops.box_iou_rotated` promises, whichever tier serves."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from op_checks import IS_COMPILED, check_against_twin, check_compiles, check_operator
from torch import Tensor

from mimctl_ops import box_iou_rotated, reference

Point = tuple[float, float]
PI = math.pi


def corners(box: list[float]) -> list[Point]:
    x, y, width, height, angle = box
    c, s = math.cos(angle), math.sin(angle)
    steps = [(dx * width, dy * height) for dx, dy in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))]
    return [(x + dx * c - dy * s, y + dx * s + dy * c) for dx, dy in steps]


def polygon_area(points: list[Point]) -> float:
    return sum(ax * by - bx * ay for (ax, ay), (bx, by) in pairwise([*points, points[0]])) / 2 if points else 0.0


def clip(points: list[Point], begin: Point, end: Point) -> list[Point]:
    """Keep what lies left of the line from `begin` to `end` (Sutherland and Hodgman, 1974)."""

    def side(p: Point) -> float:
        return (end[0] - begin[0]) * (p[1] - begin[1]) - (end[1] - begin[1]) * (p[0] - begin[0])

    kept = []
    for a, b in pairwise([*points, *points[:1]]):
        at, to = side(a), side(b)
        if at >= 0:
            kept.append(a)
        if (at > 0 and to < 0) or (at < 0 and to > 0):
            share = at / (at - to)
            kept.append((a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])))
    return kept


def exact_overlap(first: list[float], second: list[float], mode: str = "iou") -> float:
    """Clip one polygon by the edges of the other, both moved so that the first is at the origin."""
    if min(*first[2:4], *second[2:4]) <= 0:
        return 0.0
    first, second = [0, 0, *first[2:]], [second[0] - first[0], second[1] - first[1], *second[2:]]
    common, frame = corners(second), corners(first)
    for begin, end in pairwise([*frame, frame[0]]):
        common = clip(common, begin, end)
    area, other, both = first[2] * first[3], second[2] * second[3], polygon_area(common)
    return both / (area if mode == "iof" else area + other - both)


def exact_overlaps(first: Tensor, second: Tensor, mode: str = "iou") -> Tensor:
    rows = [[exact_overlap(a, b, mode) for b in second.double().tolist()] for a in first.double().tolist()]
    return torch.tensor(rows, dtype=torch.float64).reshape(len(first), len(second))


def boxes(count: int, seed: int = 0, side: float = 60.0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    center = torch.rand(count, 2, generator=generator, dtype=torch.float64) * side
    size = 2 + 30 * torch.rand(count, 2, generator=generator, dtype=torch.float64)
    angle = (2 * torch.rand(count, 1, generator=generator, dtype=torch.float64) - 1) * 2 * PI
    return torch.cat([center, size, angle], dim=1).to(dtype)


def equals_clipping(first: Tensor, second: Tensor, mode: str = "iou") -> None:
    expected = exact_overlaps(first, second, mode)
    for operator in (box_iou_rotated, reference.box_iou_rotated):
        found = operator(first, second, mode)  # type: ignore[arg-type]
        assert found.dtype == first.dtype
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("mode", ["iou", "iof"])
def test_overlap_is_that_of_polygon_clipping(mode: str, dtype: torch.dtype) -> None:
    equals_clipping(boxes(30, 1, dtype=dtype), boxes(40, 2, dtype=dtype), mode)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((5, 5, 4, 2, 0.0), (5, 5, 4, 2, 0.0), 1.0),
        ((5, 5, 4, 2, 0.3), (5, 5, 4, 2, 0.3), 1.0),
        ((5, 5, 4, 2, 0.3), (5, 5, 4, 2, 0.3 - 3 * PI), 1.0),
        ((5, 5, 4, 2, 0.3), (5, 5, 2, 4, 0.3 + PI / 2), 1.0),
        ((1e6, -1e6, 300, 0.5, 0.7), (1e6, -1e6, 300, 0.5, 0.7), 1.0),
        ((0, 0, 2, 2, 0.0), (1, 0, 2, 2, 0.0), 1 / 3),  # two edges shared
        ((0, 0, 2, 2, 0.0), (2, 0, 2, 2, 0.0), 0.0),  # side by side
        ((0, 0, 2, 2, 0.0), (2, 2, 2, 2, 0.0), 0.0),  # a corner shared
        ((0, 0, 2, 2, 0.0), (0, 0, 2, 2, PI / 4), 2**0.5 / 2),  # an octagon
        ((0, 0, 4, 4, 0.5), (0, 0, 2, 2, 1.1), 0.25),  # one in the other
        ((0, 0, 2, 2, 1.1), (0, 0, 4, 4, 0.5), 0.25),
        ((0, 0, 4, 4, 0.5), (math.cos(0.5), math.sin(0.5), 2, 2, 0.5), 0.25),  # inside, at an edge
        ((0, 0, 100, 1, 0.0), (0, 0, 1, 100, 0.0), 1 / 199),  # a cross
        ((0, 0, 2, 2, 0.0), (9, 0, 2, 2, 0.7), 0.0),
        ((0, 0, 0, 2, 0.0), (0, 0, 2, 2, 0.0), 0.0),
        ((0, 0, 0, 0, 0.0), (0, 0, 0, 0, 0.0), 0.0),
        ((0, 0, -2, -2, 0.0), (0, 0, 2, 2, 0.0), 0.0),
    ],
)
def test_known_pairs(first: tuple[float, ...], second: tuple[float, ...], expected: float) -> None:
    for operator in (box_iou_rotated, reference.box_iou_rotated):
        for dtype in (torch.float32, torch.float64):
            a, b = torch.tensor([first], dtype=dtype), torch.tensor([second], dtype=dtype)
            for found in (operator(a, b), operator(b, a), operator(a, b, aligned=True)):
                assert found.item() == pytest.approx(expected, abs=1e-7 if dtype == torch.float64 else 1e-6)
                assert expected or found.item() == 0  # not a rounding error


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1e3, 1e9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_size_and_place_of_the_scene_do_not_matter(scale: float, dtype: torch.dtype) -> None:
    factor = torch.tensor([scale, scale, scale, scale, 1], dtype=torch.float64)
    equals_clipping((boxes(12, 3) * factor).to(dtype), (boxes(12, 4) * factor).to(dtype))


def test_boxes_of_very_different_sizes_and_shapes() -> None:
    sizes = torch.tensor([1e-4, 1e-2, 1.0, 1e2, 1e4], dtype=torch.float64)
    shapes = torch.cartesian_prod(sizes, sizes)
    angles = torch.linspace(-3, 3, len(shapes), dtype=torch.float64)[:, None]
    some = torch.cat([torch.zeros(len(shapes), 2, dtype=torch.float64), shapes, angles], dim=1)
    for mode in ("iou", "iof"):
        equals_clipping(some, some.flip(0), mode)
        equals_clipping(some.float(), some.flip(0).float(), mode)


number = st.one_of(st.integers(-4, 4).map(float), st.floats(-8, 8))
size = st.one_of(st.integers(0, 5).map(float), st.floats(0.01, 9))
angle = st.one_of(st.integers(-8, 8).map(lambda k: k * PI / 4), st.floats(-7, 7))
a_box = st.tuples(number, number, size, size, angle).map(list)


@given(
    st.lists(a_box, min_size=1, max_size=5), st.lists(a_box, min_size=1, max_size=5), st.sampled_from(["iou", "iof"])
)
@settings(max_examples=150, deadline=None)
def test_shared_edges_and_corners_are_exact(first: list[list[float]], second: list[list[float]], mode: str) -> None:
    equals_clipping(torch.tensor(first, dtype=torch.float64), torch.tensor(second, dtype=torch.float64), mode)


def test_aligned_is_the_diagonal_and_counterclockwise_the_mirror_image() -> None:
    first, second = boxes(20, 5), boxes(20, 6)
    torch.testing.assert_close(box_iou_rotated(first, second, aligned=True), box_iou_rotated(first, second).diagonal())
    mirror = torch.tensor([1, -1, 1, 1, 1], dtype=torch.float64)
    counter = box_iou_rotated(first, second, clockwise=False)
    torch.testing.assert_close(counter, box_iou_rotated(first * mirror, second * mirror))
    assert not torch.allclose(counter, box_iou_rotated(first, second))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("num", "other"), [(0, 0), (0, 3), (3, 0), (1, 1), (300, 200)])
def test_operator_equals_its_twin(num: int, other: int, dtype: torch.dtype) -> None:
    first, second = boxes(num, 1, dtype=dtype), boxes(other, 2, dtype=dtype)
    for mode in ("iou", "iof"):
        check_against_twin(box_iou_rotated, reference.box_iou_rotated, first, second, mode)
        check_against_twin(box_iou_rotated, reference.box_iou_rotated, first, first, mode, True, False)
    strided = second.repeat(2, 2)[::2, :5] if other % 2 == 0 else second.t().contiguous().t()
    assert torch.equal(box_iou_rotated(first, strided), box_iou_rotated(first, strided.contiguous()))


def test_types_may_differ_and_half_types_are_computed_in_float64() -> None:
    first, second = boxes(9, 1), boxes(7, 2)
    for dtype in (torch.float16, torch.bfloat16):
        expected = box_iou_rotated(first.to(dtype).double(), second).to(dtype)
        assert torch.equal(box_iou_rotated(first.to(dtype), second), expected)


def test_nan_infinite_and_enormous_numbers_overlap_nothing() -> None:
    some = boxes(3)
    for place in range(5):
        for value in (math.nan, math.inf, -math.inf):
            bad = some.clone()
            bad[1, place] = value
            for operator in (box_iou_rotated, reference.box_iou_rotated):
                found = operator(bad, some)
                assert (found[1] == 0).all(), (place, value)
                assert torch.equal(found[[0, 2]], operator(some, some)[[0, 2]])
                assert (operator(some, bad)[:, 1] == 0).all()
    huge = torch.tensor([[0, 0, 1e300, 1e300, 0.1]], dtype=torch.float64)
    assert box_iou_rotated(huge, huge).item() == 0


def test_there_is_no_gradient() -> None:
    first = boxes(3).requires_grad_()
    assert not box_iou_rotated(first, first).requires_grad
    assert not reference.box_iou_rotated(first, first).requires_grad


def test_operator_passes_the_checks_of_torch() -> None:
    for num in (0, 4):
        check_operator("box_iou_rotated", boxes(num, 1), boxes(3, 2), False, False)
        check_operator("box_iou_rotated", boxes(num, 1).float(), boxes(num, 2), True, True)


def test_a_whole_graph_compiles() -> None:
    for aligned in (False, True):
        check_compiles(
            lambda a, b, aligned=aligned: box_iou_rotated(a, b, "iof", aligned, False) * 2,
            (boxes(5, 1), boxes(5, 2)),
            (boxes(8, 3), boxes(8, 4)),
        )


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((torch.zeros(3, 4), torch.zeros(3, 5)), "bboxes1"),
        ((torch.zeros(5), torch.zeros(3, 5)), "bboxes1"),
        ((torch.zeros(3, 5), torch.zeros(3, 6)), "bboxes2"),
        ((torch.zeros(3, 5), [[0, 0, 1, 1, 0]]), "bboxes2"),
        ((torch.zeros(3, 5), torch.zeros(3, 5, dtype=torch.int64)), "bboxes2"),
        ((torch.zeros(3, 5), torch.zeros(2, 5), "iou", True), "bboxes2"),
        ((torch.zeros(3, 5), torch.zeros(3, 5), "giou"), "mode"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments: tuple[object, ...], name: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"box_iou_rotated: {name}"):
        box_iou_rotated(*arguments)  # type: ignore[arg-type]


any_number = st.one_of(st.floats(width=64), st.sampled_from([0.0, math.inf, -math.inf, math.nan, 1e-310, 1e308]))


@given(st.lists(st.lists(any_number, min_size=5, max_size=5), max_size=4))
@settings(max_examples=100, deadline=None)
def test_any_numbers_give_a_share_and_never_a_crash(rows: list[list[float]]) -> None:
    some = torch.tensor(rows, dtype=torch.float64).reshape(-1, 5)
    for mode in ("iou", "iof"):
        for operator in (box_iou_rotated, reference.box_iou_rotated):
            found = operator(some, some, mode)
            assert ((found >= 0) & (found <= 1)).all()


@pytest.mark.skipif(not IS_COMPILED, reason="about the compiled kernel")
@given(st.lists(st.integers(0, 6), max_size=3), st.lists(st.integers(0, 6), max_size=3), st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_raw_operator_refuses_other_shapes_without_a_crash(
    first: list[int], second: list[int], aligned: bool
) -> None:
    try:
        found = torch.ops.mimctl_ops.box_iou_rotated(torch.zeros(first), torch.zeros(second), False, aligned)
    except (RuntimeError, ValueError, IndexError):
        return
    assert (first[1], second[1]) == (5, 5)
    assert found.shape == ((first[0],) if aligned else (first[0], second[0]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_cuda_equals_the_cpu(dtype: torch.dtype) -> None:
    first, second = boxes(200, 1, dtype=dtype), boxes(300, 2, dtype=dtype)
    for mode in ("iou", "iof"):
        found = box_iou_rotated(first.cuda(), second.cuda(), mode)
        torch.testing.assert_close(found.cpu(), box_iou_rotated(first, second, mode))
    found = box_iou_rotated(first.cuda(), second[:200].cuda(), aligned=True)
    torch.testing.assert_close(found.cpu(), box_iou_rotated(first, second[:200], aligned=True))
    assert box_iou_rotated(first[:0].cuda(), second.cuda()).shape == (0, 300)
