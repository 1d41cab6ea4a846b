"""Reference points: where on the image each place of a feature map looks from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mimctl.engine.registry import TASK_UTILS


@TASK_UTILS.register_module()
class MlvlPointGenerator:
    """One point at every place of the maps of several strides.

    `strides`: one an axis-aligned stride or (width, height) pair; `offset`: of the point inside its cell, in strides.
    """

    def __init__(self, strides: Sequence[int | tuple[int, int]], offset: float = 0.5) -> None:
        self.strides = [each if isinstance(each, tuple) else (each, each) for each in strides]
        self.offset = offset
        self._cache: dict[Any, list[Tensor]] = {}

    @property
    def num_levels(self) -> int:
        """Return the number of maps."""
        return len(self.strides)

    @property
    def num_base_priors(self) -> list[int]:
        """Return the number of points at one place, for each map."""
        return [1] * self.num_levels

    def grid_priors(
        self,
        featmap_sizes: Sequence[tuple[int, int]],
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        with_stride: bool = False,
    ) -> list[Tensor]:
        """Return for each map of size (height, width) its points (H * W, 2), x y in pixels, row by row.

        With `with_stride` they are (H * W, 4): x, y, stride width, stride height. Points of the sizes seen last are
        kept: treat them as read-only.
        """
        if len(featmap_sizes) != self.num_levels:
            raise ValueError(f"{self.num_levels} maps expected, got {len(featmap_sizes)}")
        sizes = tuple((int(height), int(width)) for height, width in featmap_sizes)
        key = (sizes, dtype, str(device), with_stride)
        if key not in self._cache:
            points = [
                self.single_level_grid_priors(size, level, dtype, device, with_stride)
                for level, size in enumerate(sizes)
            ]
            if torch.compiler.is_compiling():
                return points
            self._cache = {key: points}
        return self._cache[key]

    def single_level_grid_priors(
        self,
        featmap_size: tuple[int, int],
        level_idx: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        with_stride: bool = False,
    ) -> Tensor:
        """Return the points of one map."""
        height, width = featmap_size
        stride_x, stride_y = self.strides[level_idx]
        x = ((torch.arange(width, device=device) + self.offset) * stride_x).to(dtype)
        y = ((torch.arange(height, device=device) + self.offset) * stride_y).to(dtype)
        points = torch.stack((x.repeat(height), y.repeat_interleave(width)), dim=-1)
        if not with_stride:
            return points
        return torch.cat((points, points.new_tensor([stride_x, stride_y]).expand(len(points), 2)), dim=-1)

    def valid_flags(
        self, featmap_sizes: Sequence[tuple[int, int]], pad_shape: Sequence[int], device: torch.device | str = "cpu"
    ) -> list[Tensor]:
        """Return for each map which points (H * W,) lie on an image padded to `pad_shape` (height, width)."""
        flags = []
        for (height, width), (stride_x, stride_y) in zip(featmap_sizes, self.strides, strict=True):
            rows = torch.arange(height, device=device) < -(-pad_shape[0] // stride_y)
            columns = torch.arange(width, device=device) < -(-pad_shape[1] // stride_x)
            flags.append((rows[:, None] & columns).flatten())
        return flags
