"""Features of points (Kirillov et al., "PointRend", 2020), in PyTorch alone, and the coordinates that go with it.

Points are `x, y`. They are relative to an image, 0 … 1 across it, or to a box, 0 … 1 across that, or absolute: pixels
of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mimctl_ops.checks import check_floating, check_same_device, check_size, check_tensor
from mimctl_ops.ops._roi_pooling import OutputSize, pair

_OP = "point_sample"


def point_sample(input: Tensor, points: Tensor, align_corners: bool = False, **kwargs: Any) -> Tensor:
    """Interpolate a feature map at points.

    Args:
        input: (N, C, H, W) floating point. Differentiable.
        points: (N, P, 2) or (N, height, width, 2), `x, y` relative to the map, in the type of `input`: 0, 0 is the
            upper left corner of the map and 1, 1 the lower right. Differentiable.
        align_corners: whether corners of the map are centers of pixels instead of corners of pixels.
        kwargs: `mode` and `padding_mode` of `torch.nn.functional.grid_sample`; by default bilinear, and 0 outside.

    Returns:
        (N, C, P) or (N, C, height, width).

    Raises:
        TypeError or ValueError: an argument is not as above.
    """
    check_tensor(_OP, "input", input, "(N, C, H, W)", dim=4)
    is_list = isinstance(points, Tensor) and points.dim() == 3
    shape = "(N, P, 2) or (N, height, width, 2)"
    check_tensor(_OP, "points", points, shape, dim=3 if is_list else 4)
    check_size(_OP, "points", points, shape, dim=-1, size=2)
    check_size(_OP, "points", points, f"{shape}, N as input", dim=0, size=input.shape[0])
    check_floating(_OP, input=input, points=points)
    check_same_device(_OP, input=input, points=points)
    grid = denormalize(points[:, :, None] if is_list else points)
    sampled = F.grid_sample(input, grid, align_corners=align_corners, **kwargs)
    return sampled[..., 0] if is_list else sampled


class SimpleRoIAlign(nn.Module):
    """Features of boxes at one point a bin, its center, by `point_sample`.

    Args:
        output_size: bins of a box, `(height, width)` or one number for both.
        spatial_scale: pixels of the map for one of the picture.
        aligned: whether the center of the first pixel lies at 0.5, 0.5; if not, the corners of the map are taken for
            centers of pixels.
    """

    def __init__(self, output_size: OutputSize, spatial_scale: float, aligned: bool = True) -> None:
        super().__init__()
        self.output_size = pair("SimpleRoIAlign", output_size)
        self.spatial_scale = float(spatial_scale)
        self.use_torchvision = False
        self.aligned = aligned

    def forward(self, features: Tensor, rois: Tensor) -> Tensor:
        """Return (K, C, height, width), in the order of `rois`, whatever that of their images.

        Args:
            features: (B, C, H, W) floating point. Differentiable.
            rois: (K, 5) floating point, the number of an image, and `x1, y1, x2, y2` in pixels of the picture. A box of
                no image gives zeros.

        Raises:
            TypeError or ValueError: an argument is not as above.
        """
        op = "SimpleRoIAlign"
        check_tensor(op, "features", features, "(B, C, H, W)", dim=4)
        check_tensor(op, "rois", rois, "(K, 5)", dim=2)
        check_size(op, "rois", rois, "(K, 5)", dim=1, size=5)
        check_floating(op, features=features, rois=rois)
        check_same_device(op, features=features, rois=rois)
        points = rel_roi_point_to_rel_img_point(
            rois, generate_grid(len(rois), self.output_size, rois.device), features, self.spatial_scale
        ).to(features.dtype)
        num_points = points.shape[1]
        sampled = features.new_zeros(len(rois), features.shape[1], num_points) + 0 * features[:0].sum()
        for image in range(len(features)):
            (rows,) = (rois[:, 0] == image).nonzero(as_tuple=True)
            if len(rows) == 0:
                continue
            found = point_sample(
                features[image : image + 1], points[rows].flatten(0, 1)[None], align_corners=not self.aligned
            )
            by_box = found[0].view(-1, len(rows), num_points).transpose(0, 1)
            sampled = sampled.index_copy(0, rows, by_box)
        return sampled.view(*sampled.shape[:2], *self.output_size)

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"output_size={self.output_size}, spatial_scale={self.spatial_scale}, aligned={self.aligned}"


def normalize(grid: Tensor) -> Tensor:
    """Return coordinates between -1 and 1 as coordinates between 0 and 1."""
    return (grid + 1.0) / 2.0


def denormalize(grid: Tensor) -> Tensor:
    """Return coordinates between 0 and 1 as coordinates between -1 and 1."""
    return grid * 2.0 - 1.0


def generate_grid(num_grid: int, size: Sequence[int], device: torch.device | str | None) -> Tensor:
    """Return the centers of the cells of a grid, row by row, `num_grid` times: (num_grid, height * width, 2) float32.

    Args:
        num_grid: how many grids, >= 0; they share their memory.
        size: `(height, width)` in cells.
        device: where the points shall lie.
    """
    height, width = size
    y = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) / height
    x = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) / width
    cells = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=-1)
    return cells.reshape(1, -1, 2).expand(num_grid, -1, -1)


def rel_roi_point_to_abs_img_point(rois: Tensor, rel_roi_points: Tensor) -> Tensor:
    """Return points relative to boxes as pixels of the picture; there is no gradient.

    Args:
        rois: (N, 4) `x1, y1, x2, y2`, or (N, 5) with the number of an image before.
        rel_roi_points: (N, P, 2), relative to the boxes.

    Raises:
        TypeError or ValueError: an argument is not as above.
    """
    op = "rel_roi_point_to_abs_img_point"
    check_tensor(op, "rois", rois, "(N, 4 or 5)", dim=2)
    check_tensor(op, "rel_roi_points", rel_roi_points, "(N, P, 2)", dim=3)
    check_size(op, "rel_roi_points", rel_roi_points, "(N, P, 2)", dim=2, size=2)
    check_size(op, "rel_roi_points", rel_roi_points, "(N, P, 2), N as rois", dim=0, size=rois.shape[0])
    if rois.shape[1] not in (4, 5):
        raise ValueError(f"{op}: rois must have the shape (N, 4 or 5), not {tuple(rois.shape)}")
    corners = rois.detach()[:, None, -4:]
    return corners[..., :2] + rel_roi_points.detach() * (corners[..., 2:] - corners[..., :2])


def get_shape_from_feature_map(x: Tensor) -> Tensor:
    """Return `width, height` of a map (N, C, H, W): (1, 1, 2) float32, on its device."""
    return torch.tensor([x.shape[3], x.shape[2]], dtype=torch.float32, device=x.device).view(1, 1, 2)


def abs_img_point_to_rel_img_point(
    abs_img_points: Tensor, img: Sequence[int] | Tensor, spatial_scale: float = 1.0
) -> Tensor:
    """Return pixels of the picture as points relative to an image.

    Args:
        abs_img_points: (N, P, 2) in pixels. Differentiable.
        img: `(height, width)` of the image, or a map (N, C, H, W).
        spatial_scale: pixels of `img` for one of the picture.

    Raises:
        ValueError: `img` is not as above.
    """
    if isinstance(img, Tensor):
        if img.dim() != 4:
            raise ValueError(f"abs_img_point_to_rel_img_point: img must have 4 dimensions, not {img.dim()}")
        size = get_shape_from_feature_map(img)
    elif len(img) == 2:
        size = torch.tensor([img[1], img[0]], dtype=torch.float32, device=abs_img_points.device).view(1, 1, 2)
    else:
        raise ValueError(f"abs_img_point_to_rel_img_point: img must be (height, width), not {tuple(img)}")
    return abs_img_points / size * spatial_scale


def rel_roi_point_to_rel_img_point(
    rois: Tensor, rel_roi_points: Tensor, img: Sequence[int] | Tensor, spatial_scale: float = 1.0
) -> Tensor:
    """Return points relative to boxes as points relative to an image; there is no gradient.

    Arguments as of `rel_roi_point_to_abs_img_point` and `abs_img_point_to_rel_img_point`.
    """
    return abs_img_point_to_rel_img_point(rel_roi_point_to_abs_img_point(rois, rel_roi_points), img, spatial_scale)
