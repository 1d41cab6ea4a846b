"""RoIAlign of rotated boxes."""

from __future__ import annotations

from torch import Tensor, nn

from mimctl_ops.checks import compute_type
from mimctl_ops.ops._roi_pooling import OutputSize, check, make_rois, pair, pool, side_of
from mimctl_ops.registration import define_differentiable

_OP = "roi_align_rotated"
_COLUMNS = "image, x, y, width, height, angle"


def roi_align_rotated(
    input: Tensor,
    rois: Tensor,
    output_size: OutputSize,
    spatial_scale: float,
    sampling_ratio: int = 0,
    aligned: bool = True,
    clockwise: bool = False,
) -> Tensor:
    """Pool the features of rotated boxes into grids of one size.

    `roi_align` (He et al., "Mask R-CNN", 2017) with bins that are turned with the box (Ma et al., "Arbitrary-Oriented
    Scene Text Detection via Rotation Proposals", 2018): the mean of the samples of each bin.

    Args:
        input: (B, C, H, W) floating point, maps of at most 2 ** 31 - 1 pixels a side. Differentiable.
        rois: (K, 6) floating point, the number of an image, `x, y` of the center, width and height in pixels of the
            picture, and an angle in radians. Read as float32, beside float64 features as float64. Not differentiated.
        output_size: bins of a box, `(height, width)` or one number for both, 1 … 32768.
        spatial_scale: pixels of the map for one of the picture, > 0.
        sampling_ratio: samples of a bin along each side, 1 … 1024, or 0 for about one a pixel of the map; a box without
            width or height then gives zeros.
        aligned: whether the center of the first pixel lies at 0.5, 0.5; if not, at 0, 0, and boxes are made at least
            one pixel of the map wide and high.
        clockwise: whether a positive angle turns the x axis towards the y axis, which is clockwise where y points down.

    Returns:
        (K, C, height, width) in the type of `input`. Samples outside the map, boxes that cannot be sampled and half
        precision are treated as in `roi_align`.

    Raises:
        TypeError or ValueError: an argument is not as above.
        RuntimeError: on the CPU, where a row of `rois` does not begin with a whole number from 0 to B - 1; on a GPU,
            where that would have to be waited for, it gives zeros.
    """
    height, width = check(_OP, input, rois, _COLUMNS, output_size, spatial_scale, sampling_ratio)
    boxes = rois.detach().to(compute_type(input.dtype))
    return OP(  # type: ignore[no-any-return]
        input, boxes, height, width, float(spatial_scale), int(sampling_ratio), aligned, clockwise
    )


def roi_align_rotated_reference(
    input: Tensor,
    rois: Tensor,
    output_size: OutputSize,
    spatial_scale: float,
    sampling_ratio: int = 0,
    aligned: bool = True,
    clockwise: bool = False,
) -> Tensor:
    """Pure-PyTorch twin of `roi_align_rotated`, box by box."""
    height, width = check(_OP, input, rois, _COLUMNS, output_size, spatial_scale, sampling_ratio)
    return _reference(
        input, rois.detach(), height, width, float(spatial_scale), int(sampling_ratio), aligned, clockwise
    )


class RoIAlignRotated(nn.Module):
    """`roi_align_rotated` as a module that is called with `input` and `rois`."""

    def __init__(
        self,
        output_size: OutputSize,
        spatial_scale: float,
        sampling_ratio: int = 0,
        aligned: bool = True,
        clockwise: bool = False,
    ) -> None:
        super().__init__()
        self.output_size = pair(_OP, output_size)
        self.spatial_scale = float(spatial_scale)
        self.sampling_ratio = int(sampling_ratio)
        self.aligned = aligned
        self.clockwise = clockwise

    def forward(self, input: Tensor, rois: Tensor) -> Tensor:
        """Return the features of (K, 6) boxes."""
        return roi_align_rotated(
            input, rois, self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned, self.clockwise
        )

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return (
            f"output_size={self.output_size}, spatial_scale={self.spatial_scale}, "
            f"sampling_ratio={self.sampling_ratio}, aligned={self.aligned}, clockwise={self.clockwise}"
        )


def _reference(
    input: Tensor,
    rois: Tensor,
    out_h: int,
    out_w: int,
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
    clockwise: bool,
) -> Tensor:
    image, x, y, width, height, angle = rois.to(compute_type(input.dtype)).unbind(dim=1)
    shift = 0.5 if aligned else 0
    width, height = side_of(width * spatial_scale, aligned), side_of(height * spatial_scale, aligned)
    regions = make_rois(
        _OP,
        input,
        image,
        center=(y * spatial_scale - shift, x * spatial_scale - shift),
        angle=-angle if clockwise else angle,
        start=(-height / 2, -width / 2),
        size=(height, width),
    )
    return pool(input, regions, (out_h, out_w), sampling_ratio)


def _fake(
    input: Tensor,
    rois: Tensor,
    out_h: int,
    out_w: int,
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
    clockwise: bool,
) -> Tensor:
    return input.new_empty(rois.shape[0], input.shape[1], out_h, out_w)


OP = define_differentiable(
    "roi_align_rotated(Tensor input, Tensor rois, int out_h, int out_w, float spatial_scale, int sampling_ratio, "
    "bool aligned, bool clockwise) -> Tensor",
    reference=_reference,
    fake=_fake,
    wrt=["input"],
)
