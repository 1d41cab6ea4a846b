"""What the tests of roi_align and roi_align_rotated share: textbook sampling, one number at a time."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sample(plane: list[list[float]], y: float, x: float) -> float:
    """Return the bilinear sample of a plane; up to a pixel outside, the border's; farther outside, 0."""
    height, width = len(plane), len(plane[0])
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = math.floor(y), math.floor(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    below, beside = y - top, x - left
    upper = plane[top][left] * (1 - beside) + plane[top][right] * beside
    lower = plane[bottom][left] * (1 - beside) + plane[bottom][right] * beside
    return upper * (1 - below) + lower * below


def pool_textbook(
    input: Tensor,
    boxes: list[tuple[int, float, float, float, float, float]],
    size: tuple[int, int],
    ratio: int,
    *,
    is_max: bool = False,
) -> Tensor:
    """Pool float64 features in boxes `image, center x, center y, width, height, angle` on the map, pixel 0 at 0."""
    out = torch.zeros(len(boxes), input.shape[1], *size, dtype=torch.float64)
    for k, (image, cx, cy, width, height, angle) in enumerate(boxes):
        grid_h, grid_w = ratio or math.ceil(height / size[0]), ratio or math.ceil(width / size[1])
        for c, plane in enumerate(input[image].tolist()):
            for i in range(size[0]):
                for j in range(size[1]):
                    samples = []
                    for v in range(grid_h):
                        for u in range(grid_w):
                            dy = ((i + (v + 0.5) / grid_h) / size[0] - 0.5) * height
                            dx = ((j + (u + 0.5) / grid_w) / size[1] - 0.5) * width
                            x = cx + dx * math.cos(angle) + dy * math.sin(angle)
                            y = cy - dx * math.sin(angle) + dy * math.cos(angle)
                            samples.append(sample(plane, y, x))
                    if samples:
                        out[k, c, i, j] = max(samples) if is_max else sum(samples) / len(samples)
    return out


def features(*sizes: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    """Return random numbers."""
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)
