"""What `mimctl_ops.roi_align_rotated` promises, whichever tier serves."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from op_checks import IS_COMPILED, check_against_twin, check_compiles, check_gradients, check_operator
from roi_checks import features, pool_textbook
from torch import Tensor

from mimctl_ops import RoIAlignRotated, reference, roi_align, roi_align_rotated


def boxes(num: int, num_images: int, height: int, width: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return RoIs on a picture twice as large as the map: most of them on it, some partly or wholly outside."""
    generator = torch.Generator().manual_seed(num)
    picture = torch.tensor([2.0 * width, 2.0 * height])
    center = (1.5 * torch.rand(num, 2, generator=generator, dtype=torch.float64) - 0.25) * picture
    size = torch.rand(num, 2, generator=generator, dtype=torch.float64) ** 2 * picture
    angle = (2 * torch.rand(num, 1, generator=generator, dtype=torch.float64) - 1) * 4
    image = torch.randint(0, num_images, (num, 1), generator=generator)
    return torch.cat([image, center, size, angle], dim=1).to(dtype)


@pytest.mark.parametrize("clockwise", [False, True])
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 2])
def test_values_are_those_of_the_textbook(ratio: int, aligned: bool, clockwise: bool) -> None:
    input, rois = features(2, 2, 9, 12, dtype=torch.float64), boxes(12, 2, 9, 12, torch.float64)
    shift, least = (0.5, 0.0) if aligned else (0.0, 1.0)
    expected = pool_textbook(
        input,
        [
            (int(image), x / 2 - shift, y / 2 - shift, max(w / 2, least), max(h / 2, least), -a if clockwise else a)
            for image, x, y, w, h, a in rois.tolist()
        ],
        (3, 2),
        ratio,
    )
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
        found = roi_align_rotated(input.to(dtype), rois.to(dtype), (3, 2), 0.5, ratio, aligned, clockwise)
        torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)


def test_a_box_that_is_not_turned_is_an_upright_one() -> None:
    input = features(1, 3, 10, 12, dtype=torch.float64)
    rotated = torch.tensor([[0, 9, 8, 10, 6, 0]], dtype=torch.float64)
    upright = torch.tensor([[0, 4, 5, 14, 11]], dtype=torch.float64)
    for ratio in (0, 2):
        found = roi_align_rotated(input, rotated, (3, 4), 0.5, ratio)
        torch.testing.assert_close(found, roi_align(input, upright, (3, 4), 0.5, ratio))


def test_a_quarter_turn_turns_the_bins() -> None:
    input = features(1, 3, 10, 12, dtype=torch.float64)
    upright = roi_align_rotated(input, torch.tensor([[0, 6, 5, 6, 4, 0.0]]).double(), (2, 3), 1.0, 2)
    turned = torch.tensor([[0, 6, 5, 4, 6, math.pi / 2]], dtype=torch.float64)
    torch.testing.assert_close(
        roi_align_rotated(input, turned, (3, 2), 1.0, 2, clockwise=True), upright.rot90(1, (2, 3))
    )
    torch.testing.assert_close(roi_align_rotated(input, turned, (3, 2), 1.0, 2), upright.rot90(-1, (2, 3)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("map_size", "num", "output_size", "ratio", "aligned"),
    [
        ((2, 3, 20, 30), 30, (7, 7), 2, True),
        ((3, 2, 20, 30), 15, (3, 5), 0, True),
        ((1, 40, 7, 5), 5, 2, 0, False),
        ((2, 1, 1, 9), 8, (2, 1), 3, True),
        ((2, 1, 9, 1), 8, (1, 3), 0, False),
        ((1, 2, 1, 1), 4, 2, 2, True),
    ],
)
def test_operator_equals_its_twin(
    map_size: tuple[int, ...],
    num: int,
    output_size: int | tuple[int, int],
    ratio: int,
    aligned: bool,
    dtype: torch.dtype,
) -> None:
    input, rois = features(*map_size, dtype=dtype), boxes(num, map_size[0], *map_size[2:], dtype=dtype)
    tolerance = 1e-4 if dtype == torch.float32 else 1e-9
    for clockwise in (False, True):
        twins = roi_align_rotated, reference.roi_align_rotated
        others = rois, output_size, 0.5, ratio, aligned, clockwise
        check_against_twin(*twins, input.requires_grad_(), *others, rtol=tolerance, atol=tolerance)


def test_other_strides_give_the_same() -> None:
    input, rois = features(2, 16, 10, 12), boxes(9, 2, 10, 12)
    expected = roi_align_rotated(input, rois, 4, 0.5)
    last = input.to(memory_format=torch.channels_last)
    assert torch.equal(roi_align_rotated(last, rois.t().contiguous().t(), 4, 0.5), expected)
    assert torch.equal(roi_align_rotated(input, rois.flip(0), 4, 0.5), expected.flip(0))


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    input, rois = features(2, 20, 30, 40).requires_grad_(), boxes(60, 2, 30, 40)
    before, found = torch.get_num_threads(), []
    try:
        for num in (1, 2):
            torch.set_num_threads(num)
            out = roi_align_rotated(input, rois, 7, 0.5, 2)
            found.append((out, *torch.autograd.grad(out.square().sum(), input)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


def test_no_rois_channels_images_or_pixels_are_fine() -> None:
    for size, num in (((2, 3, 4, 4), 0), ((2, 0, 4, 4), 2), ((1, 3, 0, 4), 2), ((0, 3, 4, 4), 0), ((1, 3, 4, 0), 1)):
        input = torch.ones(size, requires_grad=True)
        out = roi_align_rotated(input, torch.zeros(num, 6), 2, 1.0)
        assert torch.equal(out, torch.zeros(num, size[1], 2, 2))
        out.sum().backward()
        assert input.grad is not None
        assert not input.grad.any()


@pytest.mark.parametrize("ratio", [0, 2])
def test_boxes_that_cannot_be_sampled_give_zeros(ratio: int) -> None:
    nan, inf = float("nan"), float("inf")
    rois = torch.tensor(
        [
            [0, nan, 0, 3, 3, 0],
            [0, 3, 3, inf, 3, 0],
            [0, 3, 3, 2, 3, nan],
            [0, 3, 3, 2, 3, inf],
            [0, 3, 3, -2, 3, 1],
            [0, 3, 3, 2e7, 3, 1],
            [0, 3, 3, 3e38, 3e38, 1],
            [0, 60, 60, 5, 5, 1],
        ]
    )
    input = (features(1, 2, 6, 6).abs() + 1).requires_grad_()
    out = roi_align_rotated(input, rois, 2, 1.0, ratio)
    assert torch.equal(out, torch.zeros(8, 2, 2, 2))
    out.sum().backward()
    assert input.grad is not None
    assert not input.grad.any()
    assert torch.equal(reference.roi_align_rotated(input, rois, 2, 1.0, ratio), out)


def test_huge_boxes_take_no_longer_than_their_part_on_the_map() -> None:
    input = features(1, 2, 6, 6, dtype=torch.float64).requires_grad_()
    rois = torch.tensor([[0, 5, -3, 1.6e7, 1.5e7, 0.7], [0, 300, 3, 2400, 1200, -2.0]], dtype=torch.float64)
    check_against_twin(roi_align_rotated, reference.roi_align_rotated, input, rois, 2, 1.0)
    # Samples lie about a pixel apart, and up to a pixel outside the map.
    found = roi_align_rotated(torch.ones(1, 1, 6, 6), rois[1:].float(), 1, 1.0)
    assert found.item() == pytest.approx(7 * 7 / (2400 * 1200), rel=0.1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    input, rois = features(1, 3, 10, 12, dtype=dtype).requires_grad_(), boxes(6, 1, 10, 12)
    exact = input.detach().float().requires_grad_()
    found, expected = (roi_align_rotated(each, rois, 3, 0.5, 2) for each in (input, exact))
    assert torch.equal(found, expected.to(dtype))
    found.sum().backward()
    expected.sum().backward()
    assert input.grad is not None
    assert exact.grad is not None
    assert torch.equal(input.grad, exact.grad.to(dtype))


def test_module_is_the_function() -> None:
    input, rois = features(1, 3, 10, 12), boxes(6, 1, 10, 12)
    module = RoIAlignRotated(3, 0.5, 2, False, True)
    assert torch.equal(module(input, rois), roi_align_rotated(input, rois, (3, 3), 0.5, 2, False, True))
    assert not module.state_dict()
    assert "clockwise=True" in repr(module)


def test_gradients_pass_finite_differences() -> None:
    input, rois = features(2, 1, 4, 5, dtype=torch.float64), boxes(6, 2, 4, 5, torch.float64)
    for ratio in (0, 2):
        check_gradients(lambda x, r=ratio: roi_align_rotated(x, rois, 2, 0.5, r), input.requires_grad_())  # type: ignore[misc]


def test_operator_passes_the_checks_of_torch() -> None:
    for num in (0, 3):
        input = features(2, 2, 5, 6).requires_grad_()
        check_operator("roi_align_rotated", input, boxes(num, 2, 5, 6), 2, 3, 0.5, 2, True, False)


def test_a_whole_graph_compiles() -> None:
    check_compiles(
        lambda x, r: roi_align_rotated(x, r, (2, 3), 0.5) * 2,
        (features(1, 2, 5, 6), boxes(3, 1, 5, 6)),
        (features(2, 2, 7, 6), boxes(5, 2, 7, 6)),
    )


@pytest.mark.parametrize("image", [-1.0, 2.0, 0.5, float("nan")])
def test_images_that_do_not_exist_are_refused_on_the_cpu(image: float) -> None:
    rois = torch.tensor([[image, 0, 0, 1, 1, 0]])
    for function in (roi_align_rotated, reference.roi_align_rotated):
        with pytest.raises(RuntimeError, match="roi_align_rotated: rois must begin with the number of an image"):
            function(torch.zeros(2, 1, 3, 3), rois, 1, 1.0)


MAP, ROIS = torch.zeros(1, 2, 3, 3), torch.zeros(2, 6)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((MAP[0], ROIS, 2, 1.0), "input"),
        ((MAP.long(), ROIS, 2, 1.0), "input"),
        ((MAP, torch.zeros(2, 5), 2, 1.0), "rois"),
        ((MAP, ROIS.long(), 2, 1.0), "rois"),
        ((MAP, ROIS, 0, 1.0), "output_size"),
        ((MAP, ROIS, "2", 1.0), "output_size"),
        ((MAP, ROIS, 2, -1.0), "spatial_scale"),
        ((MAP, ROIS, 2, 1.0, -1), "sampling_ratio"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments: tuple[object, ...], name: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"roi_align_rotated: {name}"):
        roi_align_rotated(*arguments)  # type: ignore[arg-type]


numbers = st.one_of(
    st.floats(-20, 20, width=32),
    st.floats(width=32),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, float("inf"), float("-inf"), float("nan"), 3e38, -3e38, 2.0**24]),
)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_numbers_give_a_result_and_never_a_crash(data: st.DataObject) -> None:
    size = [data.draw(st.integers(1, 2)), data.draw(st.integers(0, 2)), *data.draw(st.tuples(*[st.integers(0, 9)] * 2))]
    num = data.draw(st.integers(0, 4))
    rows = [[data.draw(st.integers(0, size[0] - 1)), *[data.draw(numbers) for _ in range(5)]] for _ in range(num)]
    rois = torch.tensor(rows, dtype=torch.float32).reshape(num, 6)
    bins = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    scale, ratio = data.draw(st.sampled_from([1.0, 0.25, 1e-30, 1e30])), data.draw(st.integers(0, 3))
    input = features(*size).requires_grad_()
    out = roi_align_rotated(input, rois, bins, scale, ratio, data.draw(st.booleans()), data.draw(st.booleans()))
    out.sum().backward()
    assert out.shape == (num, size[1], *bins)
    assert out.isfinite().all()
    assert input.grad is not None
    assert input.grad.isfinite().all()


@pytest.mark.skipif(not IS_COMPILED, reason="about the compiled kernel")
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_the_raw_operator_refuses_what_it_cannot_do_without_a_crash(data: st.DataObject) -> None:
    dims = ((3, 5), (1, 3), (3, 5))
    shapes = [data.draw(st.lists(st.integers(0, 6), min_size=low, max_size=high)) for low, high in dims]
    input, grad = torch.zeros(shapes[0]), torch.zeros(shapes[2])
    rois = torch.full(shapes[1], data.draw(numbers))
    if data.draw(st.booleans()) and rois.dim() == 2:
        rois = torch.full((data.draw(st.integers(0, 3)), 6), data.draw(numbers))
    whole = st.one_of(st.integers(-2, 4), st.sampled_from([2**31, 2**62, -(2**63)]))
    scale, aligned = data.draw(st.floats()), data.draw(st.booleans())
    others = [data.draw(whole), data.draw(whole), scale, data.draw(whole), aligned, True]
    try:
        out = torch.ops.mimctl_ops.roi_align_rotated(input, rois, *others)
        assert out.shape == (len(rois), input.shape[1], *others[:2])
        torch.ops.mimctl_ops.roi_align_rotated_backward(grad, input, rois, *others, 1)
    except (RuntimeError, ValueError, IndexError, OverflowError):
        return
    assert grad.shape == out.shape


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("ratio", [0, 2])
def test_cuda_equals_the_cpu(ratio: int, dtype: torch.dtype) -> None:
    input, rois = features(2, 5, 20, 30, dtype=dtype), boxes(40, 2, 20, 30)
    here, there = input.clone().requires_grad_(), input.cuda().requires_grad_()
    found = [roi_align_rotated(each, rois.to(each.device), (7, 5), 0.5, ratio) for each in (here, there)]
    torch.testing.assert_close(found[1].cpu(), found[0], rtol=1e-2, atol=1e-3)
    for each in found:
        each.sum().backward()
    assert here.grad is not None
    assert there.grad is not None
    torch.testing.assert_close(there.grad.cpu(), here.grad, rtol=1e-2, atol=1e-2)
