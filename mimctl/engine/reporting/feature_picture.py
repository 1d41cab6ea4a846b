"""A feature map as a picture: heat in colours, one of the whole map or one of each of its strongest channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Picture = np.ndarray[Any, Any]


def feature_picture(
    featmap: Tensor,
    overlaid_image: Picture | None = None,
    channel_reduction: str | None = "squeeze_mean",
    *,
    topk: int = 20,
    arrangement: tuple[int, int] = (4, 5),
    resize_shape: tuple[int, int] | None = None,
    alpha: float = 0.5,
) -> Picture:
    """Return an RGB picture (H, W, 3), uint8, of a feature map (C, H, W), over `overlaid_image` where there is one.

    `channel_reduction`: "squeeze_mean" (the mean of all channels), "select_max" (the one with the largest sum) or None:
    then the `topk` channels with the largest sums lie side by side, `arrangement` rows and columns; with topk <= 0 the
    map itself has one or three channels. `resize_shape` is (height, width); else the map takes the size of the picture
    that it lies over. `alpha` is the share of the heat. ValueError for other shapes and words.
    """
    if featmap.ndim != 3:
        raise ValueError(f"a feature map is (C, H, W), not {tuple(featmap.shape)}")
    maps = featmap.detach().float().cpu()
    size = resize_shape or (overlaid_image.shape[:2] if overlaid_image is not None else None)
    if size is not None and tuple(maps.shape[1:]) != tuple(size):
        maps = F.interpolate(maps[None], size, mode="bilinear", align_corners=False)[0]
    under = None if overlaid_image is None else _as_rgb(overlaid_image, tuple(maps.shape[1:]))
    if channel_reduction == "squeeze_mean":
        return _heat(maps.mean(dim=0, keepdim=True), under, alpha)
    if channel_reduction == "select_max":
        return _heat(maps[maps.sum(dim=(1, 2)).argmax()][None], under, alpha)
    if channel_reduction is not None:
        raise ValueError(f"`channel_reduction` is squeeze_mean, select_max or None, not {channel_reduction!r}")
    if topk <= 0:
        if maps.shape[0] not in (1, 3):
            raise ValueError(f"as a picture a feature map has 1 or 3 channels, not {maps.shape[0]}")
        return _heat(maps, under, alpha)
    return _side_by_side(maps, under, alpha, topk=topk, arrangement=arrangement)


def _side_by_side(
    maps: Tensor, under: Picture | None, alpha: float, *, topk: int, arrangement: tuple[int, int]
) -> Picture:
    rows, columns = arrangement
    if rows * columns < topk:
        raise ValueError(f"{rows} x {columns} places are fewer than the {topk} channels to show")
    _, height, width = maps.shape
    picture = np.full((rows * height, columns * width, 3), 255, np.uint8)
    chosen = torch.topk(maps.sum(dim=(1, 2)), min(topk, maps.shape[0])).indices.tolist()
    for place, channel in enumerate(chosen):
        top, left = place // columns * height, place % columns * width
        picture[top : top + height, left : left + width] = _heat(maps[channel][None], under, alpha)
    return picture


def _heat(maps: Tensor, under: Picture | None, alpha: float) -> Picture:
    """Return maps (1 or 3, H, W) between their least and largest value as colours from blue to red."""
    import cv2

    low, high = maps.min(), maps.max()
    scaled = (maps - low) / (high - low) * 255 if high > low else torch.zeros_like(maps)
    grey = scaled.round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    heat = cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB)
    return heat if under is None else cv2.addWeighted(under, 1 - alpha, heat, alpha, 0)


def _as_rgb(image: Picture, size: tuple[int, ...]) -> Picture:
    import cv2

    picture = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.ndim == 2 else image
    return picture if picture.shape[:2] == size else cv2.resize(picture, size[::-1])
