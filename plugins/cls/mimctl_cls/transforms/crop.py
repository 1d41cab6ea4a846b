"""Random parts of an image: of a fixed size, or of a random size that is then resized."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from mimctl.engine.data.transform import BaseTransform, Sample
from mimctl.engine.registry import TRANSFORMS
from mimctl.errors import ConfigError
from mimctl.vision.transforms.image import INTERPOLATIONS, Image, resize_image

PADDINGS = {
    "constant": cv2.BORDER_CONSTANT,
    "edge": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT_101,
    "symmetric": cv2.BORDER_REFLECT,
}
Window = tuple[int, int, int, int]
"""Top, left, height and width in pixels."""


@TRANSFORMS.register_module()
class RandomCrop(BaseTransform):
    """Cut a random window of `crop_size` (one edge, or height and width) out of the image.

    First the image is padded with `pad_val`: by `padding` (one number for all sides, left/right and top/bottom, or
    left, top, right, bottom), then, with `pad_if_needed`, on both sides up to the window's size. An image that is
    smaller than the window stays whole.
    """

    def __init__(
        self,
        crop_size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        pad_val: float | Sequence[float] = 0,
        padding_mode: str = "constant",
    ) -> None:
        if padding_mode not in PADDINGS:
            raise ConfigError(
                f"unknown padding_mode `{padding_mode}`", code="bad-argument", causes=[f"known: {', '.join(PADDINGS)}"]
            )
        self.crop_size = _pair(crop_size, "crop_size")
        self.padding = None if padding is None else _sides(padding)
        self.pad_if_needed = pad_if_needed
        self.pad_val = pad_val
        self.padding_mode = padding_mode

    def transform(self, results: Sample) -> Sample:
        """Pad, draw the window and crop."""
        image = results["img"]
        if self.padding is not None:
            image = self._padded(image, *self.padding)
        if self.pad_if_needed:
            down = math.ceil(max(0, self.crop_size[0] - image.shape[0]) / 2)
            across = math.ceil(max(0, self.crop_size[1] - image.shape[1]) / 2)
            image = self._padded(image, across, down, across, down)
        results["img"] = _cut(image, self.random_window(image.shape[:2]))
        results["img_shape"] = results["img"].shape[:2]
        return results

    def random_window(self, shape: tuple[int, int]) -> Window:
        """Draw the window in an image of (height, width)."""
        height, width = min(self.crop_size[0], shape[0]), min(self.crop_size[1], shape[1])
        if (height, width) == tuple(shape):
            return 0, 0, height, width
        return _placed(shape, height, width)

    def _padded(self, image: Image, left: int, top: int, right: int, bottom: int) -> Image:
        value: Any = self.pad_val
        if isinstance(value, int | float) and image.ndim == 3:
            value = (value,) * image.shape[2]
        return cv2.copyMakeBorder(image, top, bottom, left, right, PADDINGS[self.padding_mode], value=value)


@TRANSFORMS.register_module()
class RandomResizedCrop(BaseTransform):
    """Cut out a random window and resize it to `scale` (one edge, or height and width).

    The window has a share of the area drawn from `crop_ratio_range` and a ratio width / height drawn, by its
    logarithm, from `aspect_ratio_range`. After `max_attempts` that do not fit, it is the largest in the middle whose
    ratio lies in that range. Source: Szegedy et al., "Going deeper with convolutions" (2015).
    """

    def __init__(
        self,
        scale: int | Sequence[int],
        crop_ratio_range: tuple[float, float] = (0.08, 1.0),
        aspect_ratio_range: tuple[float, float] = (3.0 / 4.0, 4.0 / 3.0),
        max_attempts: int = 10,
        interpolation: str = "bilinear",
        backend: str = "cv2",
    ) -> None:
        if interpolation not in INTERPOLATIONS:
            raise ConfigError(
                f"unknown interpolation `{interpolation}`",
                code="bad-argument",
                causes=[f"known: {', '.join(INTERPOLATIONS)}"],
            )
        for low, high in (crop_ratio_range, aspect_ratio_range):
            if not 0 < low <= high:
                raise ConfigError(f"({low}, {high}) is no range of ratios: (least, most)", code="bad-argument")
        self.scale = _pair(scale, "scale")
        self.crop_ratio_range = tuple(crop_ratio_range)
        self.aspect_ratio_range = tuple(aspect_ratio_range)
        self.max_attempts = max_attempts
        self.interpolation = interpolation
        self.backend = backend

    def transform(self, results: Sample) -> Sample:
        """Draw the window, crop and resize."""
        part = _cut(results["img"], self.random_window(results["img"].shape[:2]))
        results["img"] = resize_image(
            part, (self.scale[1], self.scale[0]), interpolation=self.interpolation, backend=self.backend
        )
        results["img_shape"] = results["img"].shape[:2]
        return results

    def random_window(self, shape: tuple[int, int]) -> Window:
        """Draw the window in an image of (height, width)."""
        logarithms = [math.log(each) for each in self.aspect_ratio_range]
        for _ in range(self.max_attempts):
            area = np.random.uniform(*self.crop_ratio_range) * shape[0] * shape[1]
            ratio = math.exp(np.random.uniform(*logarithms))
            width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < width <= shape[1] and 0 < height <= shape[0]:
                return _placed(shape, height, width)
        return self.middle_window(shape)

    def middle_window(self, shape: tuple[int, int]) -> Window:
        """Return the largest window in the middle whose ratio is allowed."""
        least, most = self.aspect_ratio_range
        height, width = shape
        if width / height < least:
            height = round(width / least)
        elif width / height > most:
            width = round(height * most)
        return (shape[0] - height) // 2, (shape[1] - width) // 2, height, width


def _placed(shape: tuple[int, int], height: int, width: int) -> Window:
    top = int(np.random.randint(0, shape[0] - height + 1))
    left = int(np.random.randint(0, shape[1] - width + 1))
    return top, left, height, width


def _cut(image: Image, window: Window) -> Image:
    top, left, height, width = window
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def _pair(value: int | Sequence[int], name: str) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or min(pair) <= 0:
        raise ConfigError(f"{name} is an edge in pixels, or (height, width), not {value!r}", code="bad-argument")
    return pair[0], pair[1]


def _sides(padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    sides = (padding,) * 4 if isinstance(padding, int) else tuple(padding) * (2 if len(padding) == 2 else 1)
    if len(sides) != 4 or min(sides) < 0:
        raise ConfigError(f"padding is one number, two or four, not {padding!r}", code="bad-argument")
    return sides[0], sides[1], sides[2], sides[3]
