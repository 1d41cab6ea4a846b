"""What `mimctl_ops.deform_conv2d`, `modulated_deform_conv2d` and their modules promise, whichever tier serves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from op_checks import IS_COMPILED, check_against_twin, check_compiles, check_gradients, check_operator
from torch import Tensor, nn

from mimctl_ops import (
    DeformConv2d,
    DeformConv2dPack,
    ModulatedDeformConv2d,
    ModulatedDeformConv2dPack,
    deform_conv2d,
    modulated_deform_conv2d,
    reference,
)


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


@dataclass(frozen=True, kw_only=True)
class Case:
    """Sizes of one convolution."""

    batch: int = 2
    channels: int = 4
    size: tuple[int, int] = (6, 7)
    out_channels: int = 6
    kernel: tuple[int, int] = (3, 3)
    stride: int | tuple[int, int] = 1
    padding: int | tuple[int, int] = 1
    dilation: int | tuple[int, int] = 1
    groups: int = 1
    deform_groups: int = 1

    @property
    def settings(self) -> tuple[Any, ...]:
        return self.stride, self.padding, self.dilation, self.groups, self.deform_groups

    def tensors(
        self, dtype: torch.dtype = torch.float32, reach: float = 1.5, seed: int = 0
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return input, offset, mask, weight and bias, all of which want gradients."""
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        input = draw(self.batch, self.channels, *self.size)
        weight = draw(self.out_channels, self.channels // self.groups, *self.kernel)
        bias = draw(self.out_channels)
        places = [
            (size + 2 * padding - dilation * (taps - 1) - 1) // stride + 1
            for size, taps, stride, padding, dilation in zip(
                self.size, self.kernel, *map(pair, self.settings[:3]), strict=True
            )
        ]
        num_samples = self.deform_groups * math.prod(self.kernel)
        offset = draw(self.batch, 2 * num_samples, *places) * reach
        mask = draw(self.batch, num_samples, *places)
        input, offset, mask, weight, bias = (
            each.to(dtype).requires_grad_() for each in (input, offset, mask, weight, bias)
        )
        return input, offset, mask, weight, bias


CASES = {
    "plain": Case(),
    "one_tap": Case(kernel=(1, 1), padding=0),
    "wide": Case(kernel=(2, 5), stride=(1, 2), padding=(1, 2), dilation=(2, 1), size=(7, 9)),
    "groups": Case(groups=2, deform_groups=4),
    "groups_across": Case(channels=12, groups=2, deform_groups=3, batch=1),
    "depthwise": Case(groups=4, out_channels=4, stride=2),
    "many_channels": Case(channels=19, out_channels=3, size=(4, 4)),
    "no_images": Case(batch=0),
    "no_channels": Case(channels=0),
    "no_results": Case(out_channels=0),
    "no_pixels": Case(size=(0, 3), padding=2),
}


def pixel_at(image: list[list[float]], y: float, x: float) -> float:
    """Interpolate by hand: the textbook's sum over all pixels, with the triangle as its kernel."""
    total = 0.0
    for row, values in enumerate(image):
        for column, value in enumerate(values):
            total += value * max(0.0, 1 - abs(y - row)) * max(0.0, 1 - abs(x - column))
    return total


def by_hand(case: Case, input: Tensor, offset: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Convolve number by number, as the papers' equations have it."""
    (sy, sx), (py, px), (dy, dx) = pair(case.stride), pair(case.padding), pair(case.dilation)
    taps = list(itertools.product(range(case.kernel[0]), range(case.kernel[1])))
    in_group = case.channels // case.groups
    out = torch.zeros(case.batch, case.out_channels, *offset.shape[2:], dtype=torch.float64)
    for n, o, y, x in itertools.product(*map(range, out.shape)):
        group = o // (case.out_channels // case.groups)
        for c, (tap, (i, j)) in itertools.product(range(in_group), enumerate(taps)):
            channel = group * in_group + c
            sample = channel // (case.channels // case.deform_groups) * len(taps) + tap
            at_y = y * sy - py + i * dy + float(offset[n, 2 * sample, y, x])
            at_x = x * sx - px + j * dx + float(offset[n, 2 * sample + 1, y, x])
            value = pixel_at(input[n, channel].tolist(), at_y, at_x)
            out[n, o, y, x] += float(weight[o, c, i, j]) * float(mask[n, sample, y, x]) * value
    return out


@pytest.mark.parametrize("name", ["one_tap", "groups_across", "depthwise"])
def test_value_is_that_of_the_formula(name: str) -> None:
    case = CASES[name]
    input, offset, mask, weight, bias = (each.detach() for each in case.tensors(torch.float64))
    expected = by_hand(case, input, offset, mask, weight)
    found = modulated_deform_conv2d(input, offset, mask, weight, bias, *case.settings)
    torch.testing.assert_close(found, expected + bias[:, None, None])
    unmasked = by_hand(case, input, offset, torch.ones_like(mask), weight)
    torch.testing.assert_close(deform_conv2d(input, offset, weight, *case.settings), unmasked)


@pytest.mark.parametrize("name", ["plain", "wide", "depthwise"])
def test_without_offsets_it_is_a_convolution(name: str) -> None:
    case = CASES[name]
    input, offset, mask, weight, bias = case.tensors()
    plain = F.conv2d(input, weight, None, case.stride, case.padding, case.dilation, case.groups)
    still = torch.zeros_like(offset)
    torch.testing.assert_close(deform_conv2d(input, still, weight, *case.settings), plain)
    halved = modulated_deform_conv2d(input, still, torch.full_like(mask, 0.5), weight, bias, *case.settings)
    torch.testing.assert_close(halved, plain / 2 + bias[:, None, None])


def test_outside_pixels_are_zero_and_samples_a_pixel_away_have_no_gradient() -> None:
    input = torch.tensor([[[[4.0, 8.0]]]])
    places = [-1.5, -1.0, -0.25, 0.0, 0.5, 1.0, 1.75, 2.0, 1e30, math.inf, -math.inf, math.nan]
    values = [0.0, 0.0, 3.0, 4.0, 6.0, 8.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    slopes = [0.0, 0.0, 4.0, 4.0, 4.0, -8.0, -8.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    for place, value, slope in zip(places, values, slopes, strict=True):
        offset = torch.tensor([0.0, place]).view(1, 2, 1, 1).requires_grad_()
        found = deform_conv2d(input, offset, torch.ones(1, 1, 1, 1), stride=(1, 2))
        found.sum().backward()
        assert offset.grad is not None
        assert (found.item(), offset.grad[0, 1].item()) == (value, slope), place


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CASES)
def test_operator_equals_its_twin(name: str, dtype: torch.dtype) -> None:
    case = CASES[name]
    input, offset, mask, weight, bias = case.tensors(dtype)
    close = {"rtol": 1e-4, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 1e-9, "atol": 1e-9}
    check_against_twin(deform_conv2d, reference.deform_conv2d, input, offset, weight, *case.settings, **close)
    twins = modulated_deform_conv2d, reference.modulated_deform_conv2d
    check_against_twin(*twins, input, offset, mask, weight, bias, *case.settings, **close)
    check_against_twin(*twins, input, offset, mask, weight, None, *case.settings, **close)


def test_any_layout_in_memory_serves() -> None:
    case = CASES["groups"]
    tensors = [each.detach() for each in case.tensors(torch.float64)]
    expected = modulated_deform_conv2d(*tensors, *case.settings)
    last = [each.to(memory_format=torch.channels_last) for each in tensors[:4]]
    torch.testing.assert_close(modulated_deform_conv2d(*last, tensors[4], *case.settings), expected)
    strided = [torch.stack([each, each], dim=-1)[..., 0] for each in tensors]
    transposed = [each.transpose(-1, -2).contiguous().transpose(-1, -2) for each in strided[:4]]
    leaves = [each.detach().requires_grad_() for each in (*transposed, strided[4])]
    found = modulated_deform_conv2d(*leaves, *case.settings)
    torch.testing.assert_close(found, expected)
    found.transpose(2, 3).cos().sum().backward()
    wanted = [each.clone().requires_grad_() for each in tensors]
    modulated_deform_conv2d(*wanted, *case.settings).cos().sum().backward()
    for leaf, other in zip(leaves, wanted, strict=True):
        torch.testing.assert_close(leaf.grad, other.grad)


def test_columns_are_made_a_part_at_a_time() -> None:
    # 40 x 40 places of 200 channels x 9 taps are 11 MB of columns: more than one part, and one that is not full.
    case = Case(batch=2, channels=200, size=(40, 40), out_channels=2, groups=2, deform_groups=4)
    input, offset, mask, weight, bias = case.tensors()
    twins = modulated_deform_conv2d, reference.modulated_deform_conv2d
    check_against_twin(*twins, input, offset, mask, weight, bias, *case.settings, rtol=1e-3, atol=2e-3)


def test_only_wanted_gradients_are_computed() -> None:
    case = CASES["plain"]
    tensors = case.tensors(torch.float64)
    modulated_deform_conv2d(*tensors, *case.settings).square().sum().backward()
    for position, tensor in enumerate(tensors):
        alone = [each.detach().requires_grad_(i == position) for i, each in enumerate(tensors)]
        modulated_deform_conv2d(*alone, *case.settings).square().sum().backward()
        torch.testing.assert_close(alone[position].grad, tensor.grad)
        assert all(each.grad is None for i, each in enumerate(alone) if i != position)


def test_the_result_does_not_change_from_call_to_call() -> None:
    tensors = Case(channels=32, size=(17, 17)).tensors()
    results = []
    for _ in range(2):
        result = modulated_deform_conv2d(*tensors, padding=1)
        results.append([result, *torch.autograd.grad(result.square().sum(), tensors)])
    assert all(torch.equal(first, second) for first, second in zip(*results, strict=True))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    case = CASES["groups"]
    halves = [each.detach().to(dtype).requires_grad_() for each in case.tensors()]
    singles = [each.detach().float().requires_grad_() for each in halves]
    found = modulated_deform_conv2d(*halves[:4], None, *case.settings)
    expected = modulated_deform_conv2d(*singles[:4], None, *case.settings)
    assert torch.equal(found, expected.to(dtype))
    grad = torch.ones_like(found)
    for half, single in zip(
        torch.autograd.grad(found, halves[:4], grad),
        torch.autograd.grad(expected, singles[:4], grad.float()),
        strict=True,
    ):
        assert torch.equal(half, single.to(dtype))


def test_mixed_types_give_the_type_of_the_input() -> None:
    input, offset, mask, weight, bias = Case().tensors()
    found = modulated_deform_conv2d(input.half(), offset, mask.double(), weight, bias, padding=1)
    expected = modulated_deform_conv2d(input.half().float(), offset, mask, weight, bias, padding=1)
    assert found.dtype == torch.float16
    torch.testing.assert_close(found, expected.half(), rtol=2e-3, atol=2e-3)
    found.float().sum().backward()
    assert [each.grad.dtype for each in (offset, mask, weight, bias) if each.grad is not None] == [torch.float32] * 4


def test_autocast_changes_nothing() -> None:
    input, offset, mask, weight, _ = Case().tensors()
    expected = modulated_deform_conv2d(input, offset, mask, weight, padding=1)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(modulated_deform_conv2d(input, offset, mask, weight, padding=1), expected)


@pytest.mark.parametrize(
    "case",
    [
        Case(batch=1, channels=4, size=(3, 2), out_channels=2, kernel=(2, 1), padding=0, groups=2, deform_groups=4),
        Case(batch=2, channels=2, size=(4, 3), out_channels=1, kernel=(2, 2), stride=2, dilation=(1, 2)),
    ],
)
def test_gradients_pass_finite_differences(case: Case) -> None:
    input, offset, mask, weight, bias = case.tensors(torch.float64, seed=3)
    # The slope jumps where a sample crosses a pixel: keep clear of that.
    with torch.no_grad():
        offset.copy_(offset.floor() + 0.1 + 0.8 * (offset - offset.floor()))
    check_gradients(lambda *each: modulated_deform_conv2d(*each, *case.settings), input, offset, mask, weight, bias)


def test_operator_passes_the_checks_of_torch() -> None:
    case = Case(batch=1, channels=2, size=(4, 3), out_channels=2)
    input, offset, mask, weight, _ = case.tensors()
    numbers = [1, 1], [1, 1], [1, 1], 1, 1
    check_operator("deform_conv2d", input, offset, mask, weight, *numbers)
    check_operator("deform_conv2d", input, offset, None, weight, *numbers)


def test_a_whole_graph_compiles() -> None:
    def shrink(input: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return modulated_deform_conv2d(input, offset, mask, weight, bias, 2, 1) * 2

    check_compiles(shrink, *(Case(batch=n, size=size, stride=2).tensors() for n, size in ((2, (6, 7)), (3, (9, 8)))))


# ---------------------------------------------------------------------------------------------------------------------
# Modules

MODULES = [DeformConv2d, DeformConv2dPack, ModulatedDeformConv2d, ModulatedDeformConv2dPack]


def test_modules_are_the_functions() -> None:
    case = Case(groups=2, deform_groups=2, stride=2)
    input, offset, mask, _, _ = case.tensors()
    plain = DeformConv2d(4, 6, 3, 2, 1, 1, 2, 2)
    torch.testing.assert_close(plain(input, offset), deform_conv2d(input, offset, plain.weight, *case.settings))
    masked = ModulatedDeformConv2d(4, 6, 3, 2, 1, 1, 2, 2)
    nn.init.normal_(masked.bias)
    expected = modulated_deform_conv2d(input, offset, mask, masked.weight, masked.bias, *case.settings)
    torch.testing.assert_close(masked(input, offset, mask), expected)


def test_packs_begin_as_convolutions_and_learn_offsets() -> None:
    input = Case(channels=8).tensors()[0]
    plain, masked = DeformConv2dPack(8, 4, 3, padding=1), ModulatedDeformConv2dPack(8, 4, 3, padding=1, bias=False)
    torch.testing.assert_close(plain(input), F.conv2d(input, plain.weight, padding=1))
    torch.testing.assert_close(masked(input), F.conv2d(input, masked.weight, padding=1) / 2)
    for pack in (plain, masked):
        pack(input).square().sum().backward()
        assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in pack.parameters())


def test_a_pack_splits_its_channels_into_offsets_and_mask() -> None:
    pack = ModulatedDeformConv2dPack(4, 6, 3, padding=1, deform_groups=2)
    nn.init.normal_(pack.conv_offset.weight)
    input = Case().tensors()[0]
    deformation = pack.conv_offset(input)
    expected = modulated_deform_conv2d(
        input, deformation[:, :36], deformation[:, 36:].sigmoid(), pack.weight, pack.bias, padding=1, deform_groups=2
    )
    torch.testing.assert_close(pack(input), expected)


def test_modules_have_the_parameters_that_checkpoints_have() -> None:
    keys = [set(module(4, 6, (3, 5)).state_dict()) for module in MODULES]
    offsets = {"conv_offset.weight", "conv_offset.bias"}
    assert keys == [{"weight"}, {"weight"} | offsets, {"weight", "bias"}, {"weight", "bias"} | offsets]
    shapes = {name: tuple(each.shape) for name, each in ModulatedDeformConv2dPack(4, 6, (3, 5)).state_dict().items()}
    assert shapes["weight"] == (6, 4, 3, 5)
    assert shapes["conv_offset.weight"] == (45, 4, 3, 5)


@pytest.mark.parametrize("pack", [DeformConv2dPack, ModulatedDeformConv2dPack])
def test_old_checkpoints_load(pack: Callable[..., nn.Module]) -> None:
    def block() -> nn.Module:
        return nn.ModuleDict({"conv2": pack(4, 6, 3)})

    source = block()
    for each in source.parameters():
        nn.init.normal_(each)
    state = source.state_dict()
    block().load_state_dict(state)
    old = {name.replace("conv2.conv_offset", "conv2_offset"): value for name, value in state.items()}
    assert "conv2_offset.weight" in old
    renamed = dict(old)
    source["conv2"].upgrade_state_dict(renamed, "conv2.")
    assert renamed.keys() == state.keys()
    target = block()
    assert load_in_sight_of_all(target, dict(old), version=None) == []
    assert all(torch.equal(value, state[name]) for name, value in target.state_dict().items())
    missing = {"conv2.conv_offset.weight", "conv2.conv_offset.bias"}
    assert set(load_in_sight_of_all(block(), dict(old), version=2)) == missing


def load_in_sight_of_all(model: nn.Module, state: dict[str, Tensor], *, version: int | None) -> list[str]:
    """Load as loaders do that show each module the whole state, and return what is missing."""
    missing: list[str] = []
    for name, module in model.named_modules():
        prefix = f"{name}." if name else ""
        module._load_from_state_dict(state, prefix, {"version": version}, True, missing, [], [])
    return missing


def test_an_image_smaller_than_the_kernel_is_filled_up() -> None:
    module = DeformConv2d(2, 3, 5, padding=2)
    input, offset = torch.randn(1, 2, 3, 4), torch.randn(1, 50, 3, 4)
    found = module(input, offset)
    filled = deform_conv2d(F.pad(input, (0, 1, 0, 2)), F.pad(offset, (0, 1, 0, 2)), module.weight, padding=2)
    assert found.shape == (1, 3, 3, 4)
    assert torch.equal(found, filled[:, :, :3, :4])


def test_weights_are_drawn_within_bounds() -> None:
    torch.manual_seed(0)
    plain, masked = DeformConv2dPack(16, 32, 3), ModulatedDeformConv2dPack(16, 32, 3)
    assert plain.weight.abs().max() <= math.sqrt(6 / 144)
    assert plain.weight.abs().max() > 0.9 * math.sqrt(6 / 144)
    assert masked.weight.abs().max() <= 1 / 12
    assert masked.weight.abs().max() > 0.9 / 12
    assert not any(each.any() for each in (masked.bias, *masked.conv_offset.parameters()))


def test_modules_show_their_settings() -> None:
    shown = repr(DeformConv2d(4, 6, (3, 5), stride=2, deform_groups=2))
    assert "4, 6, kernel_size=(3, 5), stride=(2, 2)" in shown
    assert "deform_groups=2, bias=False" in shown


# ---------------------------------------------------------------------------------------------------------------------
# Bad input


def bad_calls() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the argument that the error is to name, and what to call `modulated_deform_conv2d` with."""
    yield "input", {"input": torch.zeros(4, 6, 7)}
    yield "input", {"input": torch.zeros(2, 4, 6, 7, dtype=torch.int64)}
    yield "input", {"input": None}
    yield "input", {"dilation": 4}
    yield "offset", {"offset": torch.zeros(2, 18, 6, 6)}
    yield "offset", {"offset": torch.zeros(2, 17, 6, 7)}
    yield "offset", {"offset": torch.zeros(1, 18, 6, 7)}
    yield "offset", {"stride": 2}
    yield "mask", {"mask": torch.zeros(2, 18, 6, 7)}
    yield "mask", {"mask": None}
    yield "mask", {"mask": torch.zeros(2, 9, 6, 7, dtype=torch.bool)}
    yield "weight", {"weight": torch.zeros(6, 3, 3, 3)}
    yield "weight", {"weight": torch.zeros(6, 4, 0, 3)}
    yield "weight", {"weight": torch.zeros(6, 4, 3)}
    yield "bias", {"bias": torch.zeros(5)}
    yield "bias", {"bias": torch.zeros(6, 1)}
    yield "stride", {"stride": 0}
    yield "stride", {"stride": (1, 2, 3)}
    yield "stride", {"stride": 1.5}
    yield "stride", {"stride": 2**31}
    yield "padding", {"padding": -1}
    yield "padding", {"padding": "same"}
    yield "dilation", {"dilation": (0, 1)}
    yield "groups", {"groups": 0}
    yield "groups", {"groups": 3}
    yield "deform_groups", {"deform_groups": 3}
    yield "deform_groups", {"deform_groups": -1}


@pytest.mark.parametrize(("name", "arguments"), list(bad_calls()))
def test_wrong_arguments_are_refused_by_name(name: str, arguments: dict[str, Any]) -> None:
    input, offset, mask, weight, bias = Case().tensors()
    right = {"input": input, "offset": offset, "mask": mask, "weight": weight, "bias": bias, "padding": 1}
    modulated_deform_conv2d(**right)
    with pytest.raises((TypeError, ValueError), match=f"modulated_deform_conv2d: {name} "):
        modulated_deform_conv2d(**(right | arguments))


def test_the_first_version_has_no_bias_and_checks_its_step() -> None:
    input, offset, _, weight, _ = Case().tensors()
    assert deform_conv2d(input, offset, weight, 1, 1, 1, 1, 1, False, 7).shape == (2, 6, 6, 7)
    with pytest.raises(ValueError, match="deform_conv2d: bias"):
        deform_conv2d(input, offset, weight, padding=1, bias=True)
    with pytest.raises(ValueError, match="deform_conv2d: im2col_step"):
        deform_conv2d(input, offset, weight, padding=1, im2col_step=0)
    with pytest.raises(ValueError, match="deform_conv2d: bias"):
        DeformConv2d(4, 6, 3, bias=True)
    with pytest.raises(ValueError, match="modulated_deform_conv2d: deform_groups"):
        ModulatedDeformConv2d(4, 6, 3, deform_groups=3)


extremes = [0.0, -0.0, -1.0, 5.0, 1e-30, 3e38, -3e38, math.inf, -math.inf, math.nan]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_numbers_give_a_result_and_never_a_crash(data: st.DataObject) -> None:
    case = data.draw(st.sampled_from([CASES["plain"], CASES["groups"], CASES["wide"]]))
    tensors = case.tensors(data.draw(st.sampled_from([torch.float32, torch.float64, torch.bfloat16])))
    for tensor in tensors:
        with torch.no_grad():
            for at in data.draw(st.lists(st.integers(0, tensor.numel() - 1), max_size=3)):
                tensor.view(-1)[at] = data.draw(st.sampled_from(extremes))
    result = modulated_deform_conv2d(*tensors, *case.settings)
    result.sum().backward()
    assert result.shape[:2] == (case.batch, case.out_channels)
    assert all(each.grad is not None and each.grad.shape == each.shape for each in tensors)


sizes = st.one_of(st.integers(0, 3), st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**62]))
numbers = st.one_of(st.integers(-1, 3), st.sampled_from([2**31 - 1, 2**31, 2**63 - 1, -(2**63)]))


@pytest.mark.skipif(not IS_COMPILED, reason="about the compiled kernel")
@given(st.data())
@settings(max_examples=150, deadline=None)
def test_the_raw_operator_refuses_other_arguments_without_a_crash(data: st.DataObject) -> None:
    def tensor(size: tuple[int, ...]) -> Tensor:
        """Return zeros of almost the right size; huge ones take no memory."""
        size = data.draw(st.one_of(st.just(size), st.lists(sizes, min_size=3, max_size=5).map(tuple)))
        try:
            return torch.zeros(()).expand(size) if max(size) > 9 else torch.zeros(size)
        except RuntimeError:  # more numbers than can be counted
            return torch.zeros(1, 1, 1, 1)

    def draw(value: Any) -> Any:
        return data.draw(st.one_of(st.just(value), st.lists(numbers, min_size=1, max_size=3)))

    input, offset, mask, weight = tensor((1, 2, 3, 3)), tensor((1, 8, 2, 2)), tensor((1, 4, 2, 2)), tensor((2, 2, 2, 2))
    arguments = (mask if data.draw(st.booleans()) else None, weight, draw([1, 1]), draw([0, 0]), draw([1, 1]))
    groups = data.draw(st.one_of(st.just(1), numbers)), data.draw(st.one_of(st.just(1), numbers))
    if sum(each.numel() > 2**20 for each in (input, offset, mask, weight)):
        input = input[:, :0]  # what can be refused is refused before memory is asked for
    try:
        result = torch.ops.mimctl_ops.deform_conv2d(input, offset, *arguments, *groups)
        torch.ops.mimctl_ops.deform_conv2d_backward(result, input, offset, *arguments, *groups, 15)
    except (RuntimeError, ValueError, IndexError):
        return
    assert result.shape == (input.shape[0], weight.shape[0], *offset.shape[2:])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", CASES)
def test_cuda_equals_the_cpu(name: str, dtype: torch.dtype) -> None:
    case = CASES[name]
    here = case.tensors(dtype)
    there = [each.detach().cuda().requires_grad_() for each in here]
    close = {torch.float64: 1e-9, torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 1e-1}[dtype]
    results = [modulated_deform_conv2d(*each, *case.settings) for each in (here, there)]
    torch.testing.assert_close(results[1].cpu(), results[0], rtol=close, atol=close)
    for result in results:
        result.float().sum().backward()
    for mine, other in zip(here, there, strict=True):
        assert mine.grad is not None
        assert other.grad is not None
        scale = max(float(mine.grad.abs().max()), 1.0) if mine.numel() else 1.0
        torch.testing.assert_close(other.grad.cpu(), mine.grad, rtol=close, atol=close * scale)
