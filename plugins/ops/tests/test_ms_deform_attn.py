"""What `mimctl_ops.ms_deform_attn` and the module around it promise, whichever tier serves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from op_checks import IS_COMPILED, check_against_twin, check_compiles, check_gradients, check_operator
from torch import Tensor

from mimctl_ops import (
    MultiScaleDeformableAttention,
    MultiScaleDeformableAttnFunction,
    ms_deform_attn,
    multi_scale_deformable_attn_pytorch,
    reference,
)

PYRAMID = [(6, 5), (3, 3), (1, 2)]


def levels(sizes: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    starts = [sum(height * width for height, width in sizes[:i]) for i in range(len(sizes))]
    shapes = torch.tensor(sizes, dtype=torch.int64).reshape(-1, 2)
    return shapes, torch.tensor(starts, dtype=torch.int64)


def inputs(
    sizes: Sequence[tuple[int, int]] = PYRAMID,
    *,
    batch: int = 2,
    queries: int = 7,
    heads: int = 3,
    channels: int = 4,
    points: int = 2,
    dtype: torch.dtype = torch.float32,
    spread: float = 1.5,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return arguments with locations up to `spread / 2` away from the middle: some lie outside."""
    generator = torch.Generator().manual_seed(0)
    shapes, starts = levels(sizes)
    kwargs: dict[str, Any] = {"generator": generator, "dtype": torch.float64}
    value = torch.randn(batch, sum(h * w for h, w in sizes), heads, channels, **kwargs)
    locations = 0.5 + spread * (torch.rand(batch, queries, heads, len(sizes), points, 2, **kwargs) - 0.5)
    weights = torch.rand(batch, queries, heads, len(sizes), points, **kwargs)
    return value.to(dtype), shapes, starts, locations.to(dtype), weights.to(dtype)


def with_gradients(arguments: Sequence[Tensor]) -> list[Tensor]:
    return [each.requires_grad_(each.is_floating_point()) for each in arguments]


def plain_attention(
    value: Tensor, sizes: Sequence[tuple[int, int]], locations: Tensor, weights: Tensor
) -> list[list[list[float]]]:
    """Do it pixel by pixel: each contributes by how near it is to the place, in Python floats."""
    batch, queries, heads, _, points, _ = locations.shape
    channels = value.shape[3]
    result = [[[0.0] * (heads * channels) for _ in range(queries)] for _ in range(batch)]
    for b, q, m, p in (
        (b, q, m, p) for b in range(batch) for q in range(queries) for m in range(heads) for p in range(points)
    ):
        start = 0
        for level, (height, width) in enumerate(sizes):
            x, y = locations[b, q, m, level, p].tolist()
            for i, j in ((i, j) for i in range(height) for j in range(width)):
                near = max(0, 1 - abs(x * width - (j + 0.5))) * max(0, 1 - abs(y * height - (i + 0.5)))
                for c in range(channels) if near else ():
                    pixel = value[b, start + i * width + j, m, c].item()
                    result[b][q][m * channels + c] += weights[b, q, m, level, p].item() * near * pixel
            start += height * width
    return result


def test_result_is_that_of_the_textbook_loop() -> None:
    value, shapes, starts, locations, weights = inputs(queries=4, channels=2, dtype=torch.float64)
    expected = torch.tensor(plain_attention(value, PYRAMID, locations, weights), dtype=torch.float64)
    for function in (ms_deform_attn, reference.ms_deform_attn):
        torch.testing.assert_close(function(value, shapes, starts, locations, weights), expected)


def test_middle_of_a_pixel_is_that_pixel_and_the_edge_of_the_map_is_half_of_it() -> None:
    shapes, starts = levels([(1, 2)])
    value = torch.tensor([3.0, 5.0]).view(1, 2, 1, 1)
    places = torch.tensor([[0.25, 0.5], [0.75, 0.5], [0.5, 0.5], [0.0, 0.5], [1.0, 0.0], [-0.25, 0.5], [1.25, 0.5]])
    found = ms_deform_attn(value, shapes, starts, places.view(1, 7, 1, 1, 1, 2), torch.ones(1, 7, 1, 1, 1))
    assert found.flatten().tolist() == [3, 5, 4, 1.5, 1.25, 0, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("sizes", "batch", "queries", "heads", "channels", "points"),
    [
        (PYRAMID, 2, 7, 3, 4, 2),
        ([(8, 9)], 1, 30, 1, 32, 1),
        ([(8, 9), (4, 5), (2, 3), (1, 1)], 1, 20, 8, 40, 4),
        ([(5, 4), (0, 3), (2, 2)], 3, 5, 2, 19, 3),
        ([(7, 7)], 5, 6, 1, 1, 2),
    ],
)
def test_operator_equals_its_twin(
    sizes: list[tuple[int, int]], batch: int, queries: int, heads: int, channels: int, points: int, dtype: torch.dtype
) -> None:
    arguments = inputs(sizes, batch=batch, queries=queries, heads=heads, channels=channels, points=points, dtype=dtype)
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 1e-9, "atol": 1e-9}
    check_against_twin(ms_deform_attn, reference.ms_deform_attn, *with_gradients(arguments), **tolerance)


def test_layout_of_the_arguments_does_not_matter() -> None:
    arguments = inputs()
    expected = ms_deform_attn(*arguments)
    turned = [each.transpose(0, -1).contiguous().transpose(0, -1) for each in arguments]
    assert not any(each.is_contiguous() for each in turned if each.dim() > 2)
    assert torch.equal(ms_deform_attn(*turned), expected)


def test_result_does_not_depend_on_the_number_of_threads() -> None:
    arguments = with_gradients(inputs([(16, 16), (8, 8)], queries=150, heads=4, channels=8, points=4))
    results = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            out = ms_deform_attn(*arguments)
            wanted = [each for each in arguments if each.requires_grad]
            results.append([out, *torch.autograd.grad(out.square().sum(), wanted)])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(first, second) for first, second in zip(results[0], other, strict=True))


@pytest.mark.parametrize("function", [ms_deform_attn, reference.ms_deform_attn])
def test_places_far_outside_or_without_a_number_are_zero(function: Any) -> None:
    shapes, starts = levels([(2, 2)])
    far = torch.tensor([math.nan, math.inf, -math.inf, 3e38, -3e38, 1e30, -7.0, 9.0])
    places = torch.cartesian_prod(far, torch.cat([far, torch.tensor([0.5])]))
    places = torch.cat([places, places.flip(1)]).view(1, -1, 1, 1, 1, 2).requires_grad_()
    weights = torch.ones(places.shape[:-1]).requires_grad_()
    value = torch.ones(1, 4, 1, 3, requires_grad=True)
    found = function(value, shapes, starts, places, weights)
    found.sum().backward()
    assert not found.any()
    assert not any(each.grad is None or each.grad.any() for each in (value, places, weights))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_values_are_computed_in_float32(dtype: torch.dtype) -> None:
    value, shapes, starts, locations, weights = inputs()
    value, weights = value.to(dtype).requires_grad_(), weights.to(dtype).requires_grad_()
    locations.requires_grad_()
    found = ms_deform_attn(value, shapes, starts, locations, weights)
    assert torch.equal(found, ms_deform_attn(value.float(), shapes, starts, locations, weights.float()).to(dtype))
    grads = torch.autograd.grad(found.sum(), [value, locations, weights])
    assert [each.dtype for each in grads] == [dtype, torch.float32, dtype]


@pytest.mark.parametrize(
    "empty",
    [{"batch": 0}, {"queries": 0}, {"heads": 0}, {"channels": 0}, {"points": 0}, {"sizes": []}, {"sizes": [(0, 4)]}],
)
def test_nothing_to_do_gives_zeros(empty: dict[str, Any]) -> None:
    arguments = with_gradients(inputs(**empty))
    check_against_twin(ms_deform_attn, reference.ms_deform_attn, *arguments)
    found = ms_deform_attn(*arguments)
    assert found.shape == (arguments[0].shape[0], arguments[3].shape[1], math.prod(arguments[0].shape[2:]))
    assert not found.any()


def test_other_names_do_the_same() -> None:
    value, shapes, starts, locations, weights = inputs()
    expected = ms_deform_attn(value, shapes, starts, locations, weights)
    found = MultiScaleDeformableAttnFunction.apply(value, shapes, starts, locations, weights, 64)
    assert torch.equal(found, expected)
    torch.testing.assert_close(multi_scale_deformable_attn_pytorch(value, shapes, locations, weights), expected)


def test_gradients_pass_finite_differences() -> None:
    value, shapes, starts, locations, weights = inputs([(3, 2), (2, 2)], queries=3, dtype=torch.float64)
    arguments = [each.requires_grad_() for each in (value, locations, weights)]
    check_gradients(lambda v, p, w: ms_deform_attn(v, shapes, starts, p, w), *arguments)


@pytest.mark.parametrize("wanted", [0, 3, 4])
def test_one_gradient_alone_is_the_same(wanted: int) -> None:
    arguments = with_gradients(inputs())
    together = torch.autograd.grad(ms_deform_attn(*arguments).sum(), [arguments[i] for i in (0, 3, 4)])
    alone = [each.detach().requires_grad_(i == wanted) for i, each in enumerate(arguments)]
    (found,) = torch.autograd.grad(ms_deform_attn(*alone).sum(), alone[wanted])
    assert torch.equal(found, together[(0, 3, 4).index(wanted)])


def test_operator_passes_the_checks_of_torch() -> None:
    for queries in (0, 4):
        arguments = inputs(queries=queries)
        check_operator("ms_deform_attn", *with_gradients(arguments))


def test_a_whole_graph_compiles() -> None:
    check_compiles(lambda *args: ms_deform_attn(*args) * 2, inputs(), inputs([(4, 4), (2, 5), (3, 1)], queries=9))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("value", [[1.0]]),
        ("value", torch.zeros(2, 41, 12)),
        ("value", torch.zeros(2, 41, 3, 4, dtype=torch.int64)),
        ("spatial_shapes", torch.zeros(3, 3, dtype=torch.int64)),
        ("spatial_shapes", torch.zeros(3, 2)),
        ("spatial_shapes", torch.tensor([(6, 5), (3, 3), (1, 3)])),
        ("spatial_shapes", torch.tensor([(6, 5), (3, 3), (-1, -2)])),
        ("spatial_shapes", torch.tensor([(6, 5), (3, 3), (2**40, 2**40)])),
        ("level_start_index", torch.tensor([0, 30])),
        ("level_start_index", torch.tensor([0.0, 30.0, 39.0])),
        ("level_start_index", torch.tensor([0, 29, 39])),
        ("sampling_locations", torch.zeros(2, 7, 3, 3, 2)),
        ("sampling_locations", torch.zeros(1, 7, 3, 3, 2, 2)),
        ("sampling_locations", torch.zeros(2, 7, 3, 2, 2, 2)),
        ("sampling_locations", torch.zeros(2, 7, 3, 3, 2, 3)),
        ("attention_weights", torch.zeros(2, 7, 3, 3, 3)),
        ("attention_weights", torch.zeros(2, 7, 3, 3, 2, dtype=torch.int64)),
        ("im2col_step", 0),
    ],
)
def test_wrong_arguments_are_refused_by_name(name: str, wrong: object) -> None:
    value, shapes, starts, locations, weights = inputs()
    arguments = {
        "value": value,
        "spatial_shapes": shapes,
        "level_start_index": starts,
        "sampling_locations": locations,
        "attention_weights": weights,
    }
    with pytest.raises((TypeError, ValueError), match=rf"ms_deform_attn: .*{name}"):
        ms_deform_attn(**arguments | {name: wrong})  # type: ignore[arg-type]


numbers = st.one_of(st.floats(width=32), st.floats(-1, 2, width=32))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_numbers_give_a_result_and_never_a_crash(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=3))
    counts = {name: data.draw(st.integers(0, 3)) for name in ("batch", "queries", "heads", "points")}
    arguments = list(inputs(sizes, channels=data.draw(st.sampled_from([0, 1, 9])), **counts))
    for i in (0, 3, 4):
        if (count := arguments[i].numel()) and data.draw(st.booleans()):
            drawn = data.draw(st.lists(numbers, min_size=count, max_size=count))
            arguments[i] = torch.tensor(drawn, dtype=torch.float32).view(arguments[i].shape)
    with_gradients(arguments)
    out = ms_deform_attn(*arguments)
    out.sum().backward()
    assert all(each.grad is not None and each.grad.shape == each.shape for each in arguments if each.requires_grad)


small = st.lists(st.integers(0, 3), max_size=6)
places = st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 6), min_size=6, max_size=6)


@pytest.mark.skipif(not IS_COMPILED, reason="about the compiled kernel")
@given(st.data())
@settings(max_examples=150, deadline=None)
def test_the_raw_operator_refuses_other_shapes_without_a_crash(data: st.DataObject) -> None:
    arguments = list(inputs([(2, 1), (1, 2)], batch=1, queries=2, heads=1))
    for i in range(5):
        if data.draw(st.integers(0, 3)) == 0:
            arguments[i] = torch.zeros(data.draw(small), dtype=arguments[i].dtype)
    if data.draw(st.booleans()):
        drawn = torch.tensor(data.draw(places))
        arguments[1], arguments[2] = drawn[:4].view(2, 2), drawn[4:]
    backward = torch.ops.mimctl_ops.ms_deform_attn_backward
    try:
        out = torch.ops.mimctl_ops.ms_deform_attn(*arguments)
        backward(torch.ones(data.draw(small)), *arguments, 7)
    except (RuntimeError, ValueError, IndexError):
        return
    assert out.dim() == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_cuda_equals_the_cpu(dtype: torch.dtype) -> None:
    value, shapes, starts, locations, weights = inputs(channels=40, queries=50)
    here = with_gradients([value.to(dtype), shapes, starts, locations, weights])
    there = with_gradients([each.detach().cuda() for each in here])
    results = []
    for arguments in (here, there):
        out = ms_deform_attn(*arguments)
        wanted = [each for each in arguments if each.requires_grad]
        results.append([each.cpu() for each in (out, *torch.autograd.grad(out.float().square().sum(), wanted))])
    torch.testing.assert_close(results[1], results[0], rtol=2e-2 if dtype.itemsize == 2 else 1e-4, atol=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda_takes_levels_that_do_not_fit_for_zero() -> None:
    value, shapes, starts, locations, weights = (each.cuda() for each in inputs())
    shapes[0], starts[1], shapes[2] = 2**40, -1, -3
    assert not ms_deform_attn(value, shapes, starts, locations, weights).any()


# ---------------------------------------------------------------------------------------------------------------------
# The module


def module_inputs(dims: int = 32, *, box: bool = False) -> dict[str, Tensor]:
    """Return the arguments of `forward` with the batch first: 2 images, 7 queries, 39 keys."""
    generator = torch.Generator().manual_seed(1)
    shapes, starts = levels([(6, 5), (3, 3)])
    return {
        "query": torch.randn(2, 7, dims, generator=generator),
        "value": torch.randn(2, 39, dims, generator=generator),
        "reference_points": torch.rand(2, 7, 2, 4 if box else 2, generator=generator),
        "spatial_shapes": shapes,
        "level_start_index": starts,
    }


def module(**kwargs: Any) -> MultiScaleDeformableAttention:
    torch.manual_seed(0)
    found = MultiScaleDeformableAttention(32, 4, 2, 3, **{"dropout": 0.0, "batch_first": True} | kwargs)
    for parameter in (found.sampling_offsets.weight, found.attention_weights.weight):
        torch.nn.init.normal_(parameter, std=0.1)
    return found


def test_state_dict_has_the_names_that_checkpoints_have() -> None:
    shapes = {name: tuple(each.shape) for name, each in MultiScaleDeformableAttention().state_dict().items()}
    assert shapes == {
        "sampling_offsets.weight": (256, 256),
        "sampling_offsets.bias": (256,),
        "attention_weights.weight": (128, 256),
        "attention_weights.bias": (128,),
        "value_proj.weight": (256, 256),
        "value_proj.bias": (256,),
        "output_proj.weight": (256, 256),
        "output_proj.bias": (256,),
    }


def test_heads_look_into_different_directions_at_first() -> None:
    offsets = MultiScaleDeformableAttention().sampling_offsets.bias.view(8, 4, 4, 2)
    ring = [(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)]
    torch.testing.assert_close(offsets[:, 0, 0], torch.tensor(ring, dtype=torch.float32), atol=1e-6, rtol=0)
    assert torch.equal(offsets[:, 3], offsets[:, 0])
    torch.testing.assert_close(offsets[:, :, 3], offsets[:, :, 0] * 4)


@pytest.mark.parametrize("box", [False, True])
def test_module_samples_around_points_by_pixels_and_around_boxes_by_their_halves(box: bool) -> None:
    attention, arguments = module(value_proj_ratio=0.5), module_inputs(box=box)
    query, points = arguments["query"], arguments["reference_points"]
    offsets = attention.sampling_offsets(query).view(2, 7, 4, 2, 3, 2)
    sizes = torch.tensor([(5.0, 6.0), (3.0, 3.0)])  # width, height
    unit = points[:, :, None, :, None, 2:] / 2 / 3 if box else 1 / sizes[:, None]
    found = ms_deform_attn(
        attention.value_proj(arguments["value"]).view(2, 39, 4, 4),
        arguments["spatial_shapes"],
        arguments["level_start_index"],
        points[:, :, None, :, None, :2] + offsets * unit,
        attention.attention_weights(query).view(2, 7, 4, 6).softmax(-1).view(2, 7, 4, 2, 3),
    )
    torch.testing.assert_close(attention(**arguments), attention.output_proj(found) + query)


def test_batch_may_come_second() -> None:
    arguments = module_inputs()
    expected = module()(**arguments)
    turned = arguments | {name: arguments[name].transpose(0, 1) for name in ("query", "value")}
    torch.testing.assert_close(module(batch_first=False)(**turned), expected.transpose(0, 1))


def test_position_moves_the_query_but_not_what_is_added() -> None:
    attention, arguments = module(), module_inputs()
    query, position = arguments["query"], torch.full((2, 7, 32), 0.5)
    moved = attention(**arguments | {"query": query + position, "identity": query})
    torch.testing.assert_close(attention(**arguments, query_pos=position), moved)


def test_padding_is_zero_after_the_projection() -> None:
    attention, arguments = module(), module_inputs()
    torch.nn.init.ones_(attention.value_proj.bias)
    everything = torch.ones(2, 39, dtype=torch.bool)
    found = attention(**arguments, key_padding_mask=everything)
    assert torch.equal(found, arguments["query"] + attention.output_proj.bias)


def test_queries_are_the_values_where_none_are_given() -> None:
    arguments = module_inputs()
    pixels = arguments.pop("value")
    arguments |= {"query": pixels, "reference_points": torch.rand(2, 39, 2, 2)}
    attention = module()
    assert torch.equal(attention(**arguments), attention(**arguments, value=pixels))


def test_dropout_drops_in_training_alone() -> None:
    attention, arguments = module(dropout=1.0), module_inputs()
    assert torch.equal(attention(**arguments), arguments["query"])
    assert not torch.equal(attention.eval()(**arguments), arguments["query"])


def test_module_trains_under_autocast() -> None:
    attention, arguments = module(), module_inputs()
    expected = attention(**arguments)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = attention(**arguments)
    found.sum().backward()
    torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.1)
    assert all(each.grad is not None and each.grad.dtype == torch.float32 for each in attention.parameters())


def test_module_compiles_as_one_graph() -> None:
    attention, arguments = module(), module_inputs()
    compiled = torch.compile(attention, fullgraph=True, dynamic=True, backend="aot_eager")
    torch.testing.assert_close(compiled(**arguments), attention(**arguments))


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"reference_points": torch.zeros(2, 7, 2, 3)}, "reference_points"),
        ({"reference_points": torch.zeros(2, 7, 2)}, "reference_points"),
        ({"reference_points": None}, "reference_points"),
        ({"query": torch.zeros(7, 32)}, "query"),
        ({"value": torch.zeros(39, 32)}, "value"),
        ({"key_padding_mask": torch.zeros(39, dtype=torch.bool)}, "key_padding_mask"),
        ({"spatial_shapes": None}, "spatial_shapes"),
        ({"spatial_shapes": torch.tensor([(6, 5), (3, 4)])}, "spatial_shapes"),
    ],
)
def test_module_refuses_wrong_arguments_by_name(wrong: dict[str, Any], name: str) -> None:
    with pytest.raises((TypeError, ValueError), match=name):
        module()(**module_inputs() | wrong)


def test_module_refuses_heads_that_do_not_divide_the_channels() -> None:
    with pytest.raises(ValueError, match="embed_dims"):
        MultiScaleDeformableAttention(embed_dims=30, num_heads=4)
    with pytest.raises(ValueError, match="value_proj_ratio"):
        MultiScaleDeformableAttention(embed_dims=32, num_heads=8, value_proj_ratio=0.4)


def test_module_takes_no_queries_and_no_images() -> None:
    arguments = module_inputs()
    nothing = {name: arguments[name][:, :0] for name in ("query", "reference_points")}
    assert module()(**arguments | nothing).shape == (2, 0, 32)
    nothing = {name: arguments[name][:0] for name in ("query", "value", "reference_points")}
    assert module()(**arguments | nothing).shape == (0, 7, 32)
