"""How much two rotated boxes overlap, in pure PyTorch: `csrc/rotated_boxes.h` says how it is computed."""

from __future__ import annotations

import torch
from torch import Tensor

_PAIRS = 1 << 15
"""Pairs computed at once: their intermediate numbers should stay in the cache."""
_ROUNDING = 1e-12
"""Overlaps of no more than this are what rounding leaves of boxes that only touch."""


def all_overlaps(first: Tensor, second: Tensor, *, of_first: bool) -> Tensor:
    """Return the IoU (or the common share of `first`) of all pairs of (N, 5) and (M, 5) boxes, (N, M) float64."""
    rows = max(1, _PAIRS // max(1, len(second)))
    return torch.cat([overlaps(part[:, None], second, of_first=of_first) for part in first.split(rows)])


def overlaps(first: Tensor, second: Tensor, *, of_first: bool) -> Tensor:
    """Return the overlaps of boxes (…, 5) and (…, 5) whose shapes broadcast, float64."""
    width, height = first.double()[..., 2:4].unbind(dim=-1)
    other_width, other_height = second.double()[..., 2:4].unbind(dim=-1)
    area, other_area = width * height, other_width * other_height
    common = torch.minimum(_common_area(first.double(), second.double()), torch.minimum(area, other_area))
    ratio = common / (area if of_first else area + other_area - common)
    has_area = (width > 0) & (height > 0) & (other_width > 0) & (other_height > 0)
    return torch.where(has_area & (ratio > _ROUNDING), ratio, 0).clamp(max=1)


def _common_area(first: Tensor, second: Tensor) -> Tensor:
    half_w, half_h = (first[..., 2:4, None] / 2).unbind(dim=-2)
    x0, y0 = _corners_seen_from(first, second)
    x1, y1 = x0.roll(-1, dims=-1), y0.roll(-1, dims=-1)
    dx, dy = x1 - x0, y1 - y0
    slope = torch.where(dx.abs() <= 1e-18 * dy.abs(), 0, dy / dx)
    begin, end = _clamp(x0, half_w), _clamp(x1, half_w)
    heights = y0 + (begin - x0) * slope, y1 + (end - x1) * slope
    return -(_mean_height(*heights, half_h) * (end - begin)).sum(dim=-1)


def _corners_seen_from(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return x and y (…, 4) of the corners of the second boxes in the frames of the first."""
    x, y, _, _, angle = (second - first).unbind(dim=-1)
    cosine, sine = first[..., 4].cos(), first[..., 4].sin()
    x, y = x * cosine + y * sine, y * cosine - x * sine
    half_w, half_h = (second[..., 2:4] / 2).unbind(dim=-1)
    ux, uy, vx, vy = half_w * angle.cos(), half_w * angle.sin(), -half_h * angle.sin(), half_h * angle.cos()
    return (
        torch.stack((x - ux - vx, x + ux - vx, x + ux + vx, x - ux + vx), dim=-1),
        torch.stack((y - uy - vy, y + uy - vy, y + uy + vy, y - uy + vy), dim=-1),
    )


def _mean_height(begin: Tensor, end: Tensor, limit: Tensor) -> Tensor:
    """Return the mean of clamp(y, -limit, limit) while y runs evenly from `begin` to `end`."""
    low, high = _clamp(begin, limit), _clamp(end, limit)
    beyond = torch.maximum(end.abs(), limit) - torch.maximum(begin.abs(), limit)
    rise = end - begin
    mean = ((high - low) * (high + low) / 2 + limit * beyond) / rise
    return torch.where(rise.abs() <= 1e-12 * limit, _clamp((begin + end) / 2, limit), mean)


def _clamp(values: Tensor, limit: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(values, -limit), limit)
