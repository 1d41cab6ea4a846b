"""Multi-scale deformable attention: the operator, and the module of Deformable DETR around it."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mimctl_ops.checks import check_floating, check_same_device, check_size, check_tensor, compute_type
from mimctl_ops.registration import define_differentiable

_OP = "ms_deform_attn"


def ms_deform_attn(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int = 64,
) -> Tensor:
    """Add up samples of feature maps of several sizes (Zhu et al., "Deformable DETR", 2021, eq. 3).

    A sample is interpolated between the four pixels around it, whose centers lie at half numbers; pixels outside the
    map are zero. A sample whose location is NaN or far outside is zero and has no gradient. float16 and bfloat16
    values are computed in float32, and so are locations and weights then, whatever their type.

    Args:
        value: (B, K, M, D) floating point: K keys, the pixels of all levels one after the other, row by row; M heads
            of D channels. Differentiable.
        spatial_shapes: (L, 2) int64, `height, width` of each level; together they have K pixels.
        level_start_index: (L,) int64, the key that each level begins with, 0 first.
        sampling_locations: (B, Q, M, L, P, 2) floating point, `x, y` of P samples a level for each of Q queries: 0, 0
            is the upper left corner of the level, 1, 1 the lower right. Differentiable.
        attention_weights: (B, Q, M, L, P) floating point, factors of the samples. Differentiable.
        im2col_step: any number > 0; without effect, kept for callers.

    Returns:
        (B, Q, M * D) in the type of `value`.

    Raises:
        TypeError or ValueError: an argument is not as above. Levels that do not fit `value` are refused on the CPU
            (in compiled graphs by a RuntimeError); on a GPU, where their sizes are not looked at beforehand, samples
            of a level that does not lie within `value` are zero.
    """
    locations, weights = _checked(
        value, spatial_shapes, level_start_index, sampling_locations, attention_weights, im2col_step
    )
    if not torch.compiler.is_compiling() and type(spatial_shapes) is Tensor and spatial_shapes.device.type == "cpu":
        _sizes(value, spatial_shapes, level_start_index)
    output: Tensor = OP(value, spatial_shapes, level_start_index, locations, weights)
    return output


def ms_deform_attn_reference(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int = 64,
) -> Tensor:
    """Pure-PyTorch twin of `ms_deform_attn`; it refuses levels that do not fit on every device."""
    locations, weights = _checked(
        value, spatial_shapes, level_start_index, sampling_locations, attention_weights, im2col_step
    )
    return _reference(value, spatial_shapes, level_start_index, locations, weights)


def multi_scale_deformable_attn_pytorch(
    value: Tensor, value_spatial_shapes: Tensor, sampling_locations: Tensor, attention_weights: Tensor
) -> Tensor:
    """Do what `ms_deform_attn` does in pure PyTorch: the twin under the name that callers know it by."""
    check_tensor(_OP, "value_spatial_shapes", value_spatial_shapes, "(L, 2)", dim=2)
    num_pixels = value_spatial_shapes.prod(dim=1)
    starts = num_pixels.cumsum(dim=0) - num_pixels
    return ms_deform_attn_reference(value, value_spatial_shapes, starts, sampling_locations, attention_weights)


class MultiScaleDeformableAttnFunction:
    """`ms_deform_attn` for callers of `MultiScaleDeformableAttnFunction.apply`."""

    @staticmethod
    def apply(
        value: Tensor,
        value_spatial_shapes: Tensor,
        value_level_start_index: Tensor,
        sampling_locations: Tensor,
        attention_weights: Tensor,
        im2col_step: int = 64,
    ) -> Tensor:
        """Return what `ms_deform_attn` returns."""
        return ms_deform_attn(
            value,
            value_spatial_shapes,
            value_level_start_index,
            sampling_locations,
            attention_weights,
            im2col_step,
        )


class MultiScaleDeformableAttention(nn.Module):
    """Attention of queries to a few places of feature maps of several sizes (Zhu et al., "Deformable DETR", 2021).

    Args:
        embed_dims: channels of queries and results; `num_heads` divides it.
        num_heads: heads.
        num_levels: feature maps.
        num_points: samples of each query, head and level.
        im2col_step: without effect, kept for callers.
        dropout: share of the result that is dropped in training.
        batch_first: whether the batch comes first in queries, keys and results, or second.
        norm_cfg, init_cfg: without effect, kept for callers.
        value_proj_ratio: channels of the projected values divided by `embed_dims`.

    Raises:
        ValueError: `num_heads` does not divide `embed_dims` or the channels of the projected values.
    """

    def __init__(
        self,
        embed_dims: int = 256,
        num_heads: int = 8,
        num_levels: int = 4,
        num_points: int = 4,
        im2col_step: int = 64,
        dropout: float = 0.1,
        batch_first: bool = False,
        norm_cfg: dict[str, Any] | None = None,
        init_cfg: Any = None,
        value_proj_ratio: float = 1.0,
    ) -> None:
        super().__init__()
        value_dims = int(embed_dims * value_proj_ratio)
        if embed_dims % num_heads:
            raise ValueError(f"{_OP}: embed_dims must be a multiple of num_heads, not {embed_dims} and {num_heads}")
        if value_dims % num_heads:
            raise ValueError(f"{_OP}: value_proj_ratio must give a multiple of num_heads, not {value_dims} channels")
        self.embed_dims = embed_dims
        self.num_heads = num_heads
        self.num_levels = num_levels
        self.num_points = num_points
        self.im2col_step = im2col_step
        self.batch_first = batch_first
        self.norm_cfg = norm_cfg
        self.init_cfg = init_cfg
        self.dropout = nn.Dropout(dropout)
        num_samples = num_heads * num_levels * num_points
        self.sampling_offsets = nn.Linear(embed_dims, num_samples * 2)
        self.attention_weights = nn.Linear(embed_dims, num_samples)
        self.value_proj = nn.Linear(embed_dims, value_dims)
        self.output_proj = nn.Linear(value_dims, embed_dims)
        self.init_weights()

    def init_weights(self) -> None:
        """Let each head look in a direction of its own, point i by i + 1 pixels far, with equal weights."""
        angles = torch.arange(self.num_heads, dtype=torch.float32) * (2 * math.pi / self.num_heads)
        ring = torch.stack([angles.cos(), angles.sin()], dim=-1)
        ring = ring / ring.abs().amax(dim=-1, keepdim=True)
        steps = torch.arange(1, self.num_points + 1, dtype=torch.float32)
        offsets = (ring[:, None, None, :] * steps[:, None]).repeat(1, self.num_levels, 1, 1)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(offsets.flatten())
        for constant in (self.sampling_offsets.weight, self.attention_weights.weight, self.attention_weights.bias):
            nn.init.zeros_(constant)
        for linear in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        identity: Tensor | None = None,
        query_pos: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        reference_points: Tensor | None = None,
        spatial_shapes: Tensor | None = None,
        level_start_index: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Return `identity` plus what the queries find.

        Args:
            query: (Q, B, C), or (B, Q, C) with `batch_first`.
            key: without effect, kept for callers.
            value: (K, B, C), or (B, K, C) with `batch_first`; None for `query`.
            identity: like `query`, what the result is added to; None for `query` (without `query_pos`).
            query_pos: like `query`, added to it.
            key_padding_mask: (B, K) bool, true where a key is padding: its value is then zero.
            reference_points: (B, Q, L, 2) `x, y`, 0 … 1, that offsets in pixels are added to, or (B, Q, L, 4) boxes
                `cx, cy, w, h`, 0 … 1, whose half sizes are what offsets divided by `num_points` are measured in.
            spatial_shapes: (L, 2) int64, `height, width` of each level.
            level_start_index: (L,) int64, the key that each level begins with.
            kwargs: without effect, kept for callers.

        Raises:
            TypeError or ValueError: an argument is not as above.
        """
        if reference_points is None or spatial_shapes is None or level_start_index is None:
            raise TypeError(f"{_OP}: reference_points, spatial_shapes and level_start_index must be given")
        check_tensor(_OP, "query", query, "(B, Q, C) or (Q, B, C)", dim=3)
        value = query if value is None else value
        check_tensor(_OP, "value", value, "(B, K, C) or (K, B, C)", dim=3)
        identity = query if identity is None else identity
        query = query if query_pos is None else query + query_pos
        if not self.batch_first:
            query, value = query.transpose(0, 1), value.transpose(0, 1)
        found = ms_deform_attn(
            self._project(value, key_padding_mask),
            spatial_shapes,
            level_start_index,
            self._locations(query, reference_points, spatial_shapes),
            self._weights(query),
            self.im2col_step,
        )
        output: Tensor = self.output_proj(found)
        if not self.batch_first:
            output = output.transpose(0, 1)
        dropped: Tensor = self.dropout(output)
        return dropped + identity

    def _project(self, value: Tensor, key_padding_mask: Tensor | None) -> Tensor:
        projected: Tensor = self.value_proj(value)
        if key_padding_mask is not None:
            check_tensor(_OP, "key_padding_mask", key_padding_mask, "(B, K)", dim=2)
            projected = projected.masked_fill(key_padding_mask[..., None], 0)
        return projected.reshape(*value.shape[:2], self.num_heads, projected.shape[2] // self.num_heads)

    def _locations(self, query: Tensor, reference_points: Tensor, spatial_shapes: Tensor) -> Tensor:
        check_tensor(_OP, "reference_points", reference_points, "(B, Q, L, 2 or 4)", dim=4)
        shape = (*query.shape[:2], self.num_heads, self.num_levels, self.num_points, 2)
        offsets: Tensor = self.sampling_offsets(query).reshape(shape)
        points = reference_points[:, :, None, :, None]
        if reference_points.shape[-1] == 2:
            return points + offsets / spatial_shapes.flip(-1)[:, None]
        if reference_points.shape[-1] == 4:
            return points[..., :2] + offsets * (points[..., 2:] * (0.5 / self.num_points))
        raise ValueError(f"{_OP}: reference_points must have 2 or 4 numbers, not {reference_points.shape[-1]}")

    def _weights(self, query: Tensor) -> Tensor:
        heads = (*query.shape[:2], self.num_heads)
        logits: Tensor = self.attention_weights(query).reshape(*heads, self.num_levels * self.num_points)
        return logits.softmax(dim=-1).view(*heads, self.num_levels, self.num_points)


def _checked(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> tuple[Tensor, Tensor]:
    """Check all that can be told without looking at numbers; return locations and weights in the type to compute in."""
    check_tensor(_OP, "value", value, "(B, K, M, D)", dim=4)
    check_tensor(_OP, "spatial_shapes", spatial_shapes, "(L, 2)", dim=2)
    check_tensor(_OP, "level_start_index", level_start_index, "(L,)", dim=1)
    check_tensor(_OP, "sampling_locations", sampling_locations, "(B, Q, M, L, P, 2)", dim=6)
    check_tensor(_OP, "attention_weights", attention_weights, "(B, Q, M, L, P)", dim=5)
    check_size(_OP, "spatial_shapes", spatial_shapes, "(L, 2)", dim=1, size=2)
    num_levels = spatial_shapes.shape[0]
    check_size(_OP, "level_start_index", level_start_index, "(L,), as spatial_shapes", dim=0, size=num_levels)
    expected = "(B, Q, M, L, P, 2), as value and spatial_shapes"
    for dim, size in ((0, value.shape[0]), (2, value.shape[2]), (3, num_levels), (5, 2)):
        check_size(_OP, "sampling_locations", sampling_locations, expected, dim=dim, size=size)
    expected = "(B, Q, M, L, P), as sampling_locations"
    for dim, size in enumerate(sampling_locations.shape[:5]):
        check_size(_OP, "attention_weights", attention_weights, expected, dim=dim, size=size)
    for name, indices in (("spatial_shapes", spatial_shapes), ("level_start_index", level_start_index)):
        if indices.dtype != torch.int64:
            raise TypeError(f"{_OP}: {name} must be int64, not {indices.dtype}")
    check_floating(_OP, value=value, sampling_locations=sampling_locations, attention_weights=attention_weights)
    check_same_device(
        _OP,
        value=value,
        spatial_shapes=spatial_shapes,
        level_start_index=level_start_index,
        sampling_locations=sampling_locations,
        attention_weights=attention_weights,
    )
    if im2col_step <= 0:
        raise ValueError(f"{_OP}: im2col_step must be greater than 0, not {im2col_step}")
    dtype = compute_type(value.dtype)
    return sampling_locations.to(dtype), attention_weights.to(dtype)


def _sizes(value: Tensor, spatial_shapes: Tensor, level_start_index: Tensor) -> list[tuple[int, int]]:
    """Return height and width of the levels; raise ValueError unless they are the keys of `value` one after another."""
    sizes: list[tuple[int, int]] = []
    start = 0
    for (height, width), given in zip(spatial_shapes.tolist(), level_start_index.tolist(), strict=True):
        if not (0 <= height < 2**31 and 0 <= width < 2**31):
            raise ValueError(f"{_OP}: spatial_shapes must have sizes of 0 to {2**31 - 1}, not {height} x {width}")
        if given != start:
            raise ValueError(f"{_OP}: level_start_index must be {start} for level {len(sizes)}, not {given}")
        sizes.append((height, width))
        start += height * width
    if start != value.shape[1]:
        raise ValueError(f"{_OP}: spatial_shapes has {start} pixels, but value has {value.shape[1]} keys")
    return sizes


def _reference(
    value: Tensor, spatial_shapes: Tensor, level_start_index: Tensor, locations: Tensor, weights: Tensor
) -> Tensor:
    sizes = _sizes(value, spatial_shapes, level_start_index)
    dtype = compute_type(value.dtype)
    values, locations, weights = value.to(dtype), locations.to(dtype), weights.to(dtype)
    batch, _, heads, channels = values.shape
    queries, points = locations.shape[1], locations.shape[4]
    # Sums of nothing: zeros that autograd can follow also where there is no sample.
    total = values.new_zeros(batch * heads, channels, queries)
    total = total + values[:, :0].sum() + locations[:, :0].sum() + weights[:, :0].sum()
    starts = level_start_index.tolist()
    for level, (height, width) in enumerate(sizes):
        if 0 in (height, width, batch, heads, channels, queries, points):
            continue
        picture = values[:, starts[level] : starts[level] + height * width]
        picture = picture.permute(0, 2, 3, 1).reshape(batch * heads, channels, height, width)
        places = locations[:, :, :, level].transpose(1, 2).reshape(batch * heads, queries, points, 2)
        pixels = places * places.new_tensor([width, height])
        is_near = ((pixels > -0.5) & (pixels < pixels.new_tensor([width + 0.5, height + 0.5]))).all(
            dim=-1, keepdim=True
        )
        grid = torch.where(is_near, places * 2 - 1, -3)
        samples = F.grid_sample(picture, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        shares = weights[:, :, :, level].transpose(1, 2).reshape(batch * heads, 1, queries, points)
        total = total + (samples * shares).sum(dim=-1)
    attended = total.view(batch, heads * channels, queries).transpose(1, 2)
    return attended.contiguous().to(value.dtype)


def _fake(
    value: Tensor, spatial_shapes: Tensor, level_start_index: Tensor, locations: Tensor, weights: Tensor
) -> Tensor:
    return value.new_empty(value.shape[0], locations.shape[1], value.shape[2] * value.shape[3])


OP = define_differentiable(
    "ms_deform_attn(Tensor value, Tensor spatial_shapes, Tensor level_start_index, Tensor sampling_locations,"
    " Tensor attention_weights) -> Tensor",
    reference=_reference,
    fake=_fake,
    wrt=["value", "sampling_locations", "attention_weights"],
)
