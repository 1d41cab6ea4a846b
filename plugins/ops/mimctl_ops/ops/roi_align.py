"""RoIAlign: features of boxes, sampled where they lie."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from mimctl_ops.checks import compute_type
from mimctl_ops.ops._roi_pooling import OutputSize, check, make_rois, pair, pool, side_of
from mimctl_ops.registration import define_differentiable

PoolMode = Literal["avg", "max"]

_OP = "roi_align"


def roi_align(
    input: Tensor,
    rois: Tensor,
    output_size: OutputSize,
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
    pool_mode: PoolMode = "avg",
    aligned: bool = True,
) -> Tensor:
    """Pool the features of boxes into grids of one size (He et al., "Mask R-CNN", 2017).

    A box is divided into bins; in each, samples at regular places are interpolated between the four pixels around them
    and pooled. A sample up to a pixel outside the map is that of the nearest border, one farther outside is 0. A box
    of negative width or height, with a number that is NaN or infinite, or more than 2 ** 24 pixels of the map long or
    away, gives zeros. float16 and bfloat16 features are computed in float32.

    Args:
        input: (B, C, H, W) floating point, maps of at most 2 ** 31 - 1 pixels a side. Differentiable.
        rois: (K, 5) floating point, the number of an image, and `x1, y1, x2, y2` in pixels of the picture. Read as
            float32, beside float64 features as float64. Not differentiated.
        output_size: bins of a box, `(height, width)` or one number for both, 1 … 32768.
        spatial_scale: pixels of the map for one of the picture, > 0.
        sampling_ratio: samples of a bin along each side, 1 … 1024, or 0 for about one a pixel of the map; a box without
            width or height then gives zeros.
        pool_mode: "avg" or "max"; of equal samples the first gets the gradient, those outside the map before others.
        aligned: whether the center of the first pixel lies at 0.5, 0.5; if not, at 0, 0, and boxes are made at least
            one pixel of the map wide and high.

    Returns:
        (K, C, height, width) in the type of `input`.

    Raises:
        TypeError or ValueError: an argument is not as above.
        RuntimeError: on the CPU, where a row of `rois` does not begin with a whole number from 0 to B - 1; on a GPU,
            where that would have to be waited for, it gives zeros.
    """
    height, width = _check(input, rois, output_size, spatial_scale, sampling_ratio, pool_mode)
    boxes = rois.detach().to(compute_type(input.dtype))
    return OP(  # type: ignore[no-any-return]
        input, boxes, height, width, float(spatial_scale), int(sampling_ratio), pool_mode == "max", aligned
    )


def roi_align_reference(
    input: Tensor,
    rois: Tensor,
    output_size: OutputSize,
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
    pool_mode: PoolMode = "avg",
    aligned: bool = True,
) -> Tensor:
    """Pure-PyTorch twin of `roi_align`, box by box."""
    height, width = _check(input, rois, output_size, spatial_scale, sampling_ratio, pool_mode)
    return _reference(
        input, rois.detach(), height, width, float(spatial_scale), int(sampling_ratio), pool_mode == "max", aligned
    )


class RoIAlign(nn.Module):
    """`roi_align` as a module that is called with `input` and `rois`; `use_torchvision` is without effect."""

    def __init__(
        self,
        output_size: OutputSize,
        spatial_scale: float = 1.0,
        sampling_ratio: int = 0,
        pool_mode: PoolMode = "avg",
        aligned: bool = True,
        use_torchvision: bool = False,
    ) -> None:
        super().__init__()
        self.output_size = pair(_OP, output_size)
        self.spatial_scale = float(spatial_scale)
        self.sampling_ratio = int(sampling_ratio)
        self.pool_mode: PoolMode = pool_mode
        self.aligned = aligned
        self.use_torchvision = use_torchvision

    def forward(self, input: Tensor, rois: Tensor) -> Tensor:
        """Return the features of (K, 5) boxes."""
        return roi_align(
            input, rois, self.output_size, self.spatial_scale, self.sampling_ratio, self.pool_mode, self.aligned
        )

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return (
            f"output_size={self.output_size}, spatial_scale={self.spatial_scale}, "
            f"sampling_ratio={self.sampling_ratio}, pool_mode={self.pool_mode!r}, aligned={self.aligned}"
        )


def _check(
    input: Tensor, rois: Tensor, output_size: OutputSize, spatial_scale: float, sampling_ratio: int, pool_mode: str
) -> tuple[int, int]:
    bins = check(_OP, input, rois, "image, x1, y1, x2, y2", output_size, spatial_scale, sampling_ratio)
    if pool_mode not in ("avg", "max"):
        raise ValueError(f"{_OP}: pool_mode must be avg or max, not {pool_mode!r}")
    return bins


def _reference(
    input: Tensor,
    rois: Tensor,
    out_h: int,
    out_w: int,
    spatial_scale: float,
    sampling_ratio: int,
    is_max: bool,
    aligned: bool,
) -> Tensor:
    image, *corners = rois.to(compute_type(input.dtype)).unbind(dim=1)
    x1, y1, x2, y2 = (each * spatial_scale - (0.5 if aligned else 0) for each in corners)
    zero = torch.zeros_like(image)
    regions = make_rois(
        _OP,
        input,
        image,
        center=(zero, zero),
        angle=zero,
        start=(y1, x1),
        size=(side_of(y2 - y1, aligned), side_of(x2 - x1, aligned)),
    )
    return pool(input, regions, (out_h, out_w), sampling_ratio, is_max=is_max)


def _fake(
    input: Tensor,
    rois: Tensor,
    out_h: int,
    out_w: int,
    spatial_scale: float,
    sampling_ratio: int,
    is_max: bool,
    aligned: bool,
) -> Tensor:
    return input.new_empty(rois.shape[0], input.shape[1], out_h, out_w)


OP = define_differentiable(
    "roi_align(Tensor input, Tensor rois, int out_h, int out_w, float spatial_scale, int sampling_ratio, bool is_max, "
    "bool aligned) -> Tensor",
    reference=_reference,
    fake=_fake,
    wrt=["input"],
)
