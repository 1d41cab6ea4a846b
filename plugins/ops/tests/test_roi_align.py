"""What `mimctl_ops.roi_align` promises, whichever tier serves."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from op_checks import IS_COMPILED, check_against_twin, check_compiles, check_gradients, check_operator
from roi_checks import features, pool_textbook
from torch import Tensor

from mimctl_ops import RoIAlign, reference, roi_align


def boxes(num: int, num_images: int, height: int, width: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return RoIs on a picture twice as large as the map: most of them on it, some partly or wholly outside."""
    generator = torch.Generator().manual_seed(num)
    corner = torch.rand(num, 2, generator=generator, dtype=torch.float64) * torch.tensor([3.0 * width, 3.0 * height])
    corner = corner - torch.tensor([0.5 * width, 0.5 * height])
    size = torch.rand(num, 2, generator=generator, dtype=torch.float64) ** 2 * torch.tensor([2.0 * width, 2.0 * height])
    image = torch.randint(0, num_images, (num, 1), generator=generator)
    return torch.cat([image, corner, corner + size], dim=1).to(dtype)


@pytest.mark.parametrize("pool_mode", ["avg", "max"])
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 1, 3])
def test_values_are_those_of_the_textbook(ratio: int, aligned: bool, pool_mode: str) -> None:
    input, rois = features(2, 2, 9, 12, dtype=torch.float64), boxes(12, 2, 9, 12, torch.float64)
    shift, least = (0.5, 0.0) if aligned else (0.0, 1.0)
    expected = pool_textbook(
        input,
        [
            (int(image), x1 / 2 - shift + w / 2, y1 / 2 - shift + h / 2, w, h, 0.0)
            for image, x1, y1, x2, y2 in rois.tolist()
            for w, h in [(max((x2 - x1) / 2, least), max((y2 - y1) / 2, least))]
        ],
        (3, 2),
        ratio,
        is_max=pool_mode == "max",
    )
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
        found = roi_align(input.to(dtype), rois.to(dtype), (3, 2), 0.5, ratio, pool_mode, aligned)  # type: ignore[arg-type]
        torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("pool_mode", ["avg", "max"])
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
    pool_mode: str,
    dtype: torch.dtype,
) -> None:
    input, rois = features(*map_size, dtype=dtype), boxes(num, map_size[0], *map_size[2:], dtype=dtype)
    tolerance = 1e-4 if dtype == torch.float32 else 1e-9
    others = rois, output_size, 0.5, ratio, pool_mode, aligned
    check_against_twin(roi_align, reference.roi_align, input.requires_grad_(), *others, rtol=tolerance, atol=tolerance)


def test_other_strides_give_the_same() -> None:
    input, rois = features(2, 16, 10, 12), boxes(9, 2, 10, 12)
    expected = roi_align(input, rois, 4, 0.5)
    last = input.to(memory_format=torch.channels_last).requires_grad_()
    found = roi_align(last, rois.t().contiguous().t(), 4, 0.5)
    assert torch.equal(found, expected)
    found.sum().backward()
    plain = input.clone().requires_grad_()
    roi_align(plain, rois, 4, 0.5).sum().backward()
    assert last.grad is not None
    assert plain.grad is not None
    assert torch.equal(last.grad, plain.grad)
    assert torch.equal(roi_align(input, rois.flip(0), 4, 0.5), expected.flip(0))


@pytest.mark.parametrize("num_channels", [1, 40])
def test_results_do_not_depend_on_the_number_of_threads(num_channels: int) -> None:
    input, rois = features(2, num_channels, 30, 40).requires_grad_(), boxes(60, 2, 30, 40)
    before, found = torch.get_num_threads(), []
    try:
        for num in (1, 2):
            torch.set_num_threads(num)
            out = roi_align(input, rois, 7, 0.5, 2)
            found.append((out, *torch.autograd.grad(out.square().sum(), input)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


def test_no_rois_channels_images_or_pixels_are_fine() -> None:
    for size, num in (((2, 3, 4, 4), 0), ((2, 0, 4, 4), 2), ((1, 3, 0, 4), 2), ((0, 3, 4, 4), 0), ((1, 3, 4, 0), 1)):
        input = torch.ones(size, requires_grad=True)
        for pool_mode in ("avg", "max"):
            out = roi_align(input, torch.zeros(num, 5), 2, pool_mode=pool_mode)  # type: ignore[arg-type]
            assert torch.equal(out, torch.zeros(num, size[1], 2, 2))
            out.sum().backward()
        assert input.grad is not None
        assert not input.grad.any()


@pytest.mark.parametrize("pool_mode", ["avg", "max"])
@pytest.mark.parametrize("ratio", [0, 2])
def test_boxes_that_cannot_be_sampled_give_zeros(ratio: int, pool_mode: str) -> None:
    nan, inf = float("nan"), float("inf")
    rois = torch.tensor(
        [
            [0, nan, 0, 3, 3],
            [0, 0, 0, inf, 3],
            [0, -inf, 0, inf, 3],
            [0, 3, 3, 1, 1],
            [0, 0, 0, 2e7, 3],
            [0, 0, 0, 3e38, 3e38],
            [0, -3e38, 0, 3e38, 3],
            [0, 50, 50, 60, 60],
        ]
    )
    input = (features(1, 2, 6, 6).abs() + 1).requires_grad_()
    out = roi_align(input, rois, 2, 1.0, ratio, pool_mode)  # type: ignore[arg-type]
    assert torch.equal(out, torch.zeros(8, 2, 2, 2))
    out.sum().backward()
    assert input.grad is not None
    assert not input.grad.any()
    assert torch.equal(reference.roi_align(input, rois, 2, 1.0, ratio, pool_mode), out)  # type: ignore[arg-type]


def test_boxes_without_area_sample_a_point_or_nothing() -> None:
    input = features(1, 1, 6, 6).abs() + 1
    rois = torch.tensor([[0.0, 2.5, 3.5, 2.5, 3.5]])
    assert torch.equal(roi_align(input, rois, 1, 1.0, 2), input[:, :, 3:4, 2:3])
    for pool_mode in ("avg", "max"):
        assert torch.equal(roi_align(input, rois, 1, 1.0, 0, pool_mode), torch.zeros(1, 1, 1, 1))  # type: ignore[arg-type]


@pytest.mark.parametrize("pool_mode", ["avg", "max"])
def test_huge_boxes_take_no_longer_than_their_part_on_the_map(pool_mode: str) -> None:
    input = features(1, 2, 6, 6, dtype=torch.float64).requires_grad_()
    side = 1200.0
    rois = torch.tensor([[0, -8e6, -8e6, 8e6, 8e6], [0, -side, -side, side, side]], dtype=torch.float64)
    check_against_twin(roi_align, reference.roi_align, input, rois, 2, 1.0, 0, pool_mode)
    whole = roi_align(input, rois[1:], 1, 1.0, 0)
    # Samples lie on pixels; those a pixel outside count as border.
    padded = torch.nn.functional.pad(input, (1, 1, 1, 1), mode="replicate")
    torch.testing.assert_close(whole, padded.sum(dim=(2, 3), keepdim=True) / (2 * side) ** 2)


def test_only_pixels_that_are_read_matter() -> None:
    input = torch.ones(1, 1, 6, 20)
    input[..., 10:] = float("nan")
    input[..., 4:, :] = float("inf")
    rois = torch.tensor([[0.0, 1, 1, 9, 3]])
    assert torch.equal(roi_align(input, rois, (2, 4), 1.0, 2), torch.ones(1, 1, 2, 4))
    assert torch.equal(roi_align(input, rois, (2, 4), 1.0, 2, "max"), torch.ones(1, 1, 2, 4))
    assert roi_align(input, torch.tensor([[0.0, 8, 0, 12, 2]]), 1, 1.0, 4, "max").isnan().all()


def test_the_first_of_equal_samples_gets_the_gradient_and_those_outside_before() -> None:
    input = torch.zeros(1, 1, 4, 4, requires_grad=True)
    roi_align(input, torch.tensor([[0.0, 0.5, 0.5, 2.5, 2.5]]), 1, 1.0, 2, "max").sum().backward()
    assert input.grad is not None
    assert torch.equal(input.grad.nonzero()[:, 2:].amax(dim=0), torch.tensor([1, 1]))
    input.grad = None
    roi_align(input, torch.tensor([[0.0, 1, 1, 19, 19]]), 1, 1.0, 2, "max").sum().backward()
    assert not input.grad.any()  # type: ignore[union-attr]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("pool_mode", ["avg", "max"])
def test_half_precision_is_computed_in_float32(pool_mode: str, dtype: torch.dtype) -> None:
    input, rois = features(1, 3, 10, 12, dtype=dtype).requires_grad_(), boxes(6, 1, 10, 12)
    exact = input.detach().float().requires_grad_()
    found, expected = (roi_align(each, rois, 3, 0.5, 2, pool_mode) for each in (input, exact))  # type: ignore[arg-type]
    assert torch.equal(found, expected.to(dtype))
    found.sum().backward()
    expected.sum().backward()
    assert input.grad is not None
    assert exact.grad is not None
    assert torch.equal(input.grad, exact.grad.to(dtype))


def test_rois_of_another_type_are_read_in_the_type_to_compute_in() -> None:
    input, rois = features(1, 3, 10, 12), boxes(6, 1, 10, 12, torch.float64)
    assert torch.equal(roi_align(input, rois, 3, 0.5), roi_align(input, rois.float(), 3, 0.5))


def test_module_is_the_function() -> None:
    input, rois = features(1, 3, 10, 12), boxes(6, 1, 10, 12)
    module = RoIAlign(3, 0.5, 2, "max", aligned=False, use_torchvision=True)
    assert torch.equal(module(input, rois), roi_align(input, rois, (3, 3), 0.5, 2, "max", False))
    assert torch.equal(RoIAlign((3, 2), 0.5)(input, rois), roi_align(input, rois, (3, 2), 0.5))
    assert not module.state_dict()
    assert "output_size=(3, 3)" in repr(module)


@pytest.mark.parametrize("pool_mode", ["avg", "max"])
def test_gradients_pass_finite_differences(pool_mode: str) -> None:
    input, rois = features(2, 1, 4, 5, dtype=torch.float64), boxes(6, 2, 4, 5, torch.float64)
    for ratio in (0, 2):
        check_gradients(lambda x, r=ratio: roi_align(x, rois, 2, 0.5, r, pool_mode), input.requires_grad_())  # type: ignore[misc,arg-type]


def test_rois_have_no_gradient() -> None:
    input, rois = features(1, 2, 5, 6), boxes(3, 1, 5, 6).requires_grad_()
    assert not roi_align(input, rois, 2).requires_grad
    roi_align(input.requires_grad_(), rois, 2).sum().backward()
    assert rois.grad is None


def test_operator_passes_the_checks_of_torch() -> None:
    for num in (0, 3):
        input = features(2, 2, 5, 6).requires_grad_()
        for is_max in (False, True):
            check_operator("roi_align", input, boxes(num, 2, 5, 6), 2, 3, 0.5, 2, is_max, True)


def test_a_whole_graph_compiles() -> None:
    check_compiles(
        lambda x, r: roi_align(x, r, (2, 3), 0.5) * 2,
        (features(1, 2, 5, 6), boxes(3, 1, 5, 6)),
        (features(2, 2, 7, 6), boxes(5, 2, 7, 6)),
    )


@pytest.mark.parametrize("image", [-1.0, 2.0, 0.5, float("nan"), float("inf"), -0.5, 1e30])
def test_images_that_do_not_exist_are_refused_on_the_cpu(image: float) -> None:
    rois = torch.tensor([[0.0, 0, 0, 1, 1], [image, 0, 0, 1, 1]])
    for function in (roi_align, reference.roi_align):
        with pytest.raises(RuntimeError, match="roi_align: rois must begin with the number of an image, 0 to 1"):
            function(torch.zeros(2, 1, 3, 3), rois, 1)


MAP, ROIS = torch.zeros(1, 2, 3, 3), torch.zeros(2, 5)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((MAP[0], ROIS, 2), "input"),
        ((MAP.long(), ROIS, 2), "input"),
        ((None, ROIS, 2), "input"),
        ((MAP, ROIS[0], 2), "rois"),
        ((MAP, torch.zeros(2, 4), 2), "rois"),
        ((MAP, ROIS.long(), 2), "rois"),
        ((MAP, [ROIS], 2), "rois"),
        ((MAP, ROIS, 0), "output_size"),
        ((MAP, ROIS, (2, -1)), "output_size"),
        ((MAP, ROIS, (2, 2, 2)), "output_size"),
        ((MAP, ROIS, 2.5), "output_size"),
        ((MAP, ROIS, 2**62), "output_size"),
        ((MAP, ROIS, 2, 0.0), "spatial_scale"),
        ((MAP, ROIS, 2, float("nan")), "spatial_scale"),
        ((MAP, ROIS, 2, 1.0, -1), "sampling_ratio"),
        ((MAP, ROIS, 2, 1.0, 2**40), "sampling_ratio"),
        ((MAP, ROIS, 2, 1.0, 2, "mean"), "pool_mode"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments: tuple[object, ...], name: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"roi_align: {name}"):
        roi_align(*arguments)  # type: ignore[arg-type]


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
    rows = [[data.draw(st.integers(0, size[0] - 1)), *[data.draw(numbers) for _ in range(4)]] for _ in range(num)]
    rois = torch.tensor(rows, dtype=torch.float32).reshape(num, 5)
    settings_ = (
        data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        data.draw(st.sampled_from([1.0, 0.25, 1e-30, 1e30])),
        data.draw(st.integers(0, 3)),
        data.draw(st.sampled_from(["avg", "max"])),
        data.draw(st.booleans()),
    )
    input = features(*size).requires_grad_()
    out = roi_align(input, rois, *settings_)
    out.sum().backward()
    assert out.isfinite().all()
    assert input.grad is not None
    assert input.grad.isfinite().all()
    torch.testing.assert_close(out, reference.roi_align(input, rois, *settings_), rtol=1e-3, atol=1e-3)


@pytest.mark.skipif(not IS_COMPILED, reason="about the compiled kernel")
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_the_raw_operator_refuses_what_it_cannot_do_without_a_crash(data: st.DataObject) -> None:
    shapes = [
        data.draw(st.lists(st.integers(0, 5), min_size=low, max_size=high)) for low, high in ((3, 5), (1, 3), (3, 5))
    ]
    input, grad = torch.zeros(shapes[0]), torch.zeros(shapes[2])
    rois = torch.full(shapes[1], data.draw(numbers))
    if data.draw(st.booleans()) and rois.dim() == 2:
        rois = torch.full((data.draw(st.integers(0, 3)), 5), data.draw(numbers))
    whole = st.one_of(st.integers(-2, 4), st.sampled_from([2**31, 2**62, -(2**63)]))
    others = [
        data.draw(whole),
        data.draw(whole),
        data.draw(st.floats()),
        data.draw(whole),
        data.draw(st.booleans()),
        True,
    ]
    try:
        out = torch.ops.mimctl_ops.roi_align(input, rois, *others)
        assert out.shape == (len(rois), input.shape[1], *others[:2])
        torch.ops.mimctl_ops.roi_align_backward(grad, input, rois, *others, 1)
    except (RuntimeError, ValueError, IndexError, OverflowError):
        return
    assert grad.shape == out.shape


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("pool_mode", ["avg", "max"])
@pytest.mark.parametrize("ratio", [0, 2])
def test_cuda_equals_the_cpu(ratio: int, pool_mode: str, dtype: torch.dtype) -> None:
    input, rois = features(2, 5, 20, 30, dtype=dtype), boxes(40, 2, 20, 30)
    here, there = input.clone().requires_grad_(), input.cuda().requires_grad_()
    found = [
        roi_align(each, rois.to(each.device), (7, 5), 0.5, ratio, pool_mode)  # type: ignore[arg-type]
        for each in (here, there)
    ]
    torch.testing.assert_close(found[1].cpu(), found[0])
    for each in found:
        each.sum().backward()
    assert here.grad is not None
    assert there.grad is not None
    torch.testing.assert_close(there.grad.cpu(), here.grad, rtol=1e-2, atol=1e-2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_images_that_do_not_exist_give_zeros_on_a_gpu() -> None:
    input = torch.ones(2, 1, 4, 4, device="cuda")
    rois = torch.tensor([[2.0, 0, 0, 3, 3], [-1, 0, 0, 3, 3], [0.5, 0, 0, 3, 3], [float("nan"), 0, 0, 3, 3]])
    assert not roi_align(input, rois.cuda(), 2).any()
