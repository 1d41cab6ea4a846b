"""What the two operators that pool regions of interest share: checks, and their pure-PyTorch computation.

Places are numbers of pixels, with the center of the first pixel at 0. An upright region is one turned by nothing around
the origin.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mimctl_ops.checks import check_floating, check_same_device, check_size, check_tensor, compute_type
from mimctl_ops.ops._shares import sum_of_shares

FARTHEST = 1 << 24
MOST_BINS = 1 << 15
MOST_SAMPLES = 1 << 10
_SLACK = 64.0
_PORTION = 1 << 16

OutputSize = int | Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rois:
    """K regions: places and sizes in the type to compute in, each (K,), on the CPU."""

    image: Tensor
    """-1 where nothing is sampled."""
    center: tuple[Tensor, Tensor]
    angle: Tensor
    start: tuple[Tensor, Tensor]
    """Of the first bin from the center, along the sides of the region; y before x, as everywhere here."""
    size: tuple[Tensor, Tensor]


def pair(op: str, output_size: OutputSize) -> tuple[int, int]:
    """Return height and width in bins; raise TypeError or ValueError unless each is 1 to 32768."""
    sizes = (output_size, output_size) if isinstance(output_size, int) else output_size
    is_pair = isinstance(sizes, Sequence) and len(sizes) == 2
    if not is_pair or not all(isinstance(each, int) for each in sizes):
        raise TypeError(f"{op}: output_size must be a whole number or two, not {output_size!r}")
    if not all(0 < each <= MOST_BINS for each in sizes):
        raise ValueError(f"{op}: output_size must be 1 to {MOST_BINS}, not {output_size!r}")
    return sizes[0], sizes[1]


def check(
    op: str,
    input: Tensor,
    rois: Tensor,
    columns: str,
    output_size: OutputSize,
    spatial_scale: float,
    sampling_ratio: int,
) -> tuple[int, int]:
    """Return height and width in bins; raise TypeError or ValueError as far as can be told without looking at numbers.

    `columns`: names of the numbers of a region, for the message.
    """
    check_tensor(op, "input", input, "(B, C, H, W)", dim=4)
    check_tensor(op, "rois", rois, f"(K, {columns})", dim=2)
    check_size(op, "rois", rois, f"(K, {columns})", dim=1, size=len(columns.split(", ")))
    check_floating(op, input=input, rois=rois)
    check_same_device(op, input=input, rois=rois)
    if not (math.isfinite(spatial_scale) and spatial_scale > 0):
        raise ValueError(f"{op}: spatial_scale must be greater than 0, not {spatial_scale!r}")
    if not 0 <= int(sampling_ratio) <= MOST_SAMPLES:
        raise ValueError(f"{op}: sampling_ratio must be 0 to {MOST_SAMPLES}, not {sampling_ratio!r}")
    return pair(op, output_size)


def side_of(side: Tensor, aligned: bool) -> Tensor:
    """Return the sides of regions that are sampled: unless aligned, at least a pixel."""
    return side if aligned else torch.where(side < 1, 1, side)


def make_rois(
    op: str,
    input: Tensor,
    image: Tensor,
    *,
    center: tuple[Tensor, Tensor],
    angle: Tensor,
    start: tuple[Tensor, Tensor],
    size: tuple[Tensor, Tensor],
) -> Rois:
    """Return the regions; those that cannot be sampled, or that have no samples by definition, get the image -1.

    Raises:
        RuntimeError: on the CPU, where a region is not of an image of the input.
    """
    is_image = (image >= 0) & (image < input.shape[0]) & (image == image.floor())
    if input.device.type == "cpu" and not is_image.all():
        wrong = image[~is_image][0].item()
        raise RuntimeError(f"{op}: rois must begin with the number of an image, 0 to {input.shape[0] - 1}, not {wrong}")
    is_near = angle.isfinite() & is_image
    for each in (*center, *start, *size):
        is_near &= each.abs() <= FARTHEST
    for side in size:
        is_near &= side >= 0
    image = torch.where(is_near, image, -1).cpu().long()
    center, start, size = ((each[0].cpu(), each[1].cpu()) for each in (center, start, size))
    return Rois(image=image, center=center, angle=angle.cpu(), start=start, size=size)


def pool(
    input: Tensor, rois: Rois, output_size: tuple[int, int], sampling_ratio: int, *, is_max: bool = False
) -> Tensor:
    """Return (K, C, *output_size): the mean or the maximum of the samples of each bin."""
    features = input.to(compute_type(input.dtype))
    batch, channels, height, width = features.shape
    # Zeros that autograd can follow also where nothing is sampled.
    zeros = features[:0].sum() + features.new_zeros(len(rois.image), channels, *output_size)
    if not len(zeros):
        return zeros.to(input.dtype)
    pixels = features.permute(0, 2, 3, 1).reshape(batch * height * width, channels)
    pooled = list(zeros)
    found = (_samples(features, rois, k, output_size, sampling_ratio) for k in range(len(zeros)))
    for some in _in_portions(each for each in found if each is not None):
        values = sum_of_shares(
            pixels, torch.cat([each.index for each in some]), torch.cat([each.shares for each in some])
        )
        for each, own in zip(some, values.split([len(each.index) for each in some]), strict=True):
            on_grid = own.T.reshape(channels, len(each.y_bin), len(each.x_bin))
            pooled[each.roi] = _maximum(on_grid, each, output_size) if is_max else _mean(on_grid, each, output_size)
    return torch.stack(pooled).to(input.dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Samples:
    """The samples of one region on a grid of Y rows and X columns."""

    roi: int
    y_bin: Tensor
    """(Y,), the row of bins that a row of samples belongs to; likewise `x_bin` (X,)."""
    x_bin: Tensor
    grid: tuple[int, int]
    """Samples of a bin, those too far outside the map included."""
    index: Tensor
    """(Y * X, 4), the pixels around a sample, of all images; and their shares of it."""
    shares: Tensor
    is_on_map: Tensor
    """(Y, X)."""


def _samples(
    features: Tensor, rois: Rois, k: int, output_size: tuple[int, int], sampling_ratio: int
) -> _Samples | None:
    height, width = features.shape[2:]
    image = int(rois.image[k])
    if image < 0 or height * width == 0:
        return None
    bins = [rois.size[axis][k] / output_size[axis] for axis in (0, 1)]
    grid = sampling_ratio or math.ceil(float(bins[0])), sampling_ratio or math.ceil(float(bins[1]))
    if 0 in grid:
        return None
    # `cos` and `sin` of single numbers, as the compiled code has them: vectors may round otherwise.
    angle = rois.angle[k]
    cos, sin = angle.cos(), angle.sin()
    center = rois.center[0][k], rois.center[1][k]
    reach = _reach(height, width, [float(each) for each in center], float(cos), float(sin))
    axes = [
        _places(rois.start[axis][k], bins[axis], grid[axis], output_size[axis], *reach[axis], features.device)
        for axis in (0, 1)
    ]
    (y_bin, along_y), (x_bin, along_x) = axes
    cos, sin, center_y, center_x = (each.to(features.device) for each in (cos, sin, *center))
    y = along_y[:, None] * cos - along_x * sin + center_y
    x = along_y[:, None] * sin + along_x * cos + center_x
    index, shares, is_on_map = _corners(y, x, height, width)
    index = index + image * height * width
    return _Samples(
        roi=k,
        y_bin=y_bin,
        x_bin=x_bin,
        grid=grid,
        index=index.view(-1, 4),
        shares=shares.view(-1, 4),
        is_on_map=is_on_map,
    )


def _in_portions(samples: Iterable[_Samples]) -> Iterator[list[_Samples]]:
    """Yield regions together: few, so that their samples fit into memory, but many: each portion costs a whole map."""
    portion: list[_Samples] = []
    for each in samples:
        if portion and sum(len(other.index) for other in portion) + len(each.index) > _PORTION:
            yield portion
            portion = []
        portion.append(each)
    if portion:
        yield portion


def _reach(
    height: int, width: int, center: Sequence[float], cos: float, sin: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return where the map, and some pixels around it, lies as a region sees it: from and to along its y and x."""
    half = height / 2, width / 2
    away = half[0] - center[0], half[1] - center[1]
    middle = away[0] * cos + away[1] * sin, away[1] * cos - away[0] * sin
    reach_y = (half[0] + _SLACK) * abs(cos) + (half[1] + _SLACK) * abs(sin)
    reach_x = (half[1] + _SLACK) * abs(cos) + (half[0] + _SLACK) * abs(sin)
    return (middle[0] - reach_y, middle[0] + reach_y), (middle[1] - reach_x, middle[1] + reach_x)


def _places(
    start: Tensor, bin: Tensor, grid: int, num_bins: int, low: float, high: float, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the samples along one side that may lie between `low` and `high`: their bins, and where they lie."""
    first, last = 0, grid * num_bins
    step = float(bin) / grid
    if step > 0:
        first = int(min(max((low - float(start)) / step - 2, 0), last))
        last = int(min(max((high - float(start)) / step + 2, first), last))
    index = torch.arange(first, last, device=device)
    start, bin = start.to(device), bin.to(device)
    which = index // grid
    return which, start + which.to(bin.dtype) * bin + ((index % grid).to(bin.dtype) + 0.5) * bin / grid


def _corners(y: Tensor, x: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the pixels around points and their bilinear shares, both (…, 4), and which points are on the map.

    The shares of a point that is not on the map are 0.
    """
    is_on_map = (y >= -1) & (y <= height) & (x >= -1) & (x <= width)
    y, x = (torch.where(is_on_map, each, 0).clamp(0, size - 1) for each, size in ((y, height), (x, width)))
    top, left = y.floor(), x.floor()
    below, right = y - top, x - left
    indexes, shares = [], []
    for vertical, row in ((1 - below, top), (below, (top + 1).clamp(max=height - 1))):
        for horizontal, column in ((1 - right, left), (right, (left + 1).clamp(max=width - 1))):
            shares.append(torch.where(is_on_map, vertical * horizontal, 0))
            indexes.append(row.long() * width + column.long())
    return torch.stack(indexes, dim=-1), torch.stack(shares, dim=-1), is_on_map


def _mean(values: Tensor, samples: _Samples, output_size: tuple[int, int]) -> Tensor:
    rows = values.new_zeros(len(values), output_size[0], len(samples.x_bin)).index_add(1, samples.y_bin, values)
    sums = values.new_zeros(len(values), *output_size).index_add(2, samples.x_bin, rows)
    return sums / (samples.grid[0] * samples.grid[1])


def _maximum(values: Tensor, samples: _Samples, output_size: tuple[int, int]) -> Tensor:
    rows = []
    for i in range(output_size[0]):
        of_row = (samples.y_bin == i).nonzero()[:, 0]
        row = []
        for j in range(output_size[1]):
            of_bin = (samples.x_bin == j).nonzero()[:, 0]
            is_inside = samples.is_on_map[of_row[:, None], of_bin]
            inside = values[:, of_row[:, None], of_bin][:, is_inside]
            if inside.shape[1] < samples.grid[0] * samples.grid[1]:  # the others are outside the map: zeros
                inside = torch.cat([inside.new_zeros(len(inside), 1), inside], dim=1)
            row.append(inside.max(dim=1).values if len(inside) else inside.sum(dim=1))
        rows.append(torch.stack(row, dim=-1))
    return torch.stack(rows, dim=-2)
