"""Resize and crop in one: only the window that the crop keeps is computed.

After a mosaic most of a resized image is thrown away by the crop that follows; `Compose` joins the two where the
result is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mimctl.engine.data.transform import BaseTransform, Sample
from mimctl.vision.transforms.image import INTERPOLATIONS, Image

if TYPE_CHECKING:
    from mimctl.vision.transforms.crop import RandomCrop
    from mimctl.vision.transforms.resize import RandomResize

LOOK_BACK = 16  # source pixels


class RandomResizedWindow(BaseTransform):
    """RandomResize followed by RandomCrop: the same draws and boxes, pixels equal up to rounding."""

    def __init__(self, resize: RandomResize, crop: RandomCrop) -> None:
        self.resize = resize
        self.crop = crop

    def transform(self, results: Sample) -> Any:
        """Resize and crop; samples with masks or a segmentation map go through both transforms in full."""
        image = results["img"]
        if image.ndim != 3 or any(results.get(key) is not None for key in ("gt_masks", "gt_seg_map", "proposals")):
            return self.crop(self.resize(results))
        results["img"] = _SizeOnly(image.shape)
        resized = self.resize(results)
        shape = resized["img_shape"]
        corners = self.crop.random_window(shape)
        how = INTERPOLATIONS[self.resize.resize.interpolation]
        resized["img"] = resize_window(image, shape, corners, interpolation=how)
        return self.crop.finish(resized, corners)


class _SizeOnly:
    """Stand in for an image whose pixels are not computed yet."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape


def resize_window(
    image: Image, shape: tuple[int, int], corners: tuple[int, int, int, int], *, interpolation: int = cv2.INTER_LINEAR
) -> Image:
    """Return `resize(image, shape)[top:bottom, left:right]`, computed from the part of the image it needs.

    `shape` is (height, width), `corners` left, top, right, bottom in the resized image. The part starts at a pixel
    that falls on a pixel of the result as nearly as possible (within a few hundredths of a pixel).
    """
    left, top, right, bottom = corners
    y1, y2, above, fy = _source(top, bottom, image.shape[0], shape[0])
    x1, x2, before, fx = _source(left, right, image.shape[1], shape[1])
    part = cv2.resize(image[y1:y2, x1:x2], None, fx=fx, fy=fy, interpolation=interpolation)
    return np.ascontiguousarray(part[above : above + bottom - top, before : before + right - left])


def _source(start: int, end: int, length: int, new_length: int) -> tuple[int, int, int, float]:
    """Return start and end of the part of an edge, where the window begins in the resized part, and the factor."""
    factor = new_length / length
    needed = max(int((start + 0.5) / factor - 0.5), 0)
    first = min(range(max(needed - LOOK_BACK, 0), needed + 1), key=lambda x: abs(x * factor - round(x * factor)))
    last = min(int((end + 0.5) / factor) + 3, length)
    return first, last, start - round(first * factor), factor
