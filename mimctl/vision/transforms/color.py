"""Colour: normalisation and random distortion. Distortions work on uint8 images through look-up tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mimctl.engine.data.transform import BaseTransform, Sample
from mimctl.engine.registry import TRANSFORMS
from mimctl.vision.transforms.image import Image

_LEVELS = np.arange(256)


@TRANSFORMS.register_module()
class Normalize(BaseTransform):
    """Subtract `mean` and divide by `std` per channel, after BGR → RGB where `to_rgb`; the image becomes float32."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], to_rgb: bool = True) -> None:
        self.mean = np.array(mean, np.float32)
        self.std = np.array(std, np.float32)
        self.to_rgb = to_rgb

    def transform(self, results: Sample) -> Sample:
        """Normalise the image and set `img_norm_cfg`."""
        image = results["img"][..., ::-1] if self.to_rgb else results["img"]
        results["img"] = (image.astype(np.float32) - self.mean) / self.std
        results["img_norm_cfg"] = {"mean": self.mean, "std": self.std, "to_rgb": self.to_rgb}
        return results


@TRANSFORMS.register_module()
class YOLOXHSVRandomAug(BaseTransform):
    """Shift hue, saturation and value by amounts drawn up to the deltas (of 0..179, 0..255, 0..255).

    Each of the three is left alone with probability one half. Source: YOLOX (Ge et al., 2021).
    """

    def __init__(self, hue_delta: int = 5, saturation_delta: int = 30, value_delta: int = 30) -> None:
        self.hue_delta = hue_delta
        self.saturation_delta = saturation_delta
        self.value_delta = value_delta

    def transform(self, results: Sample) -> Sample:
        """Distort the image."""
        hue, saturation, value = self.random_shifts()
        if hue or saturation or value:
            table = np.stack(
                [
                    (_LEVELS + hue) % 180,
                    np.clip(_LEVELS + saturation, 0, 255),
                    np.clip(_LEVELS + value, 0, 255),
                ],
                axis=-1,
            )
            results["img"] = _through_hsv(results["img"], table)
        return results

    def random_shifts(self) -> tuple[int, int, int]:
        """Draw the three shifts."""
        deltas = np.array([self.hue_delta, self.saturation_delta, self.value_delta])
        shifts = (np.random.uniform(-1, 1, 3) * deltas * np.random.randint(0, 2, 3)).astype(np.int16)
        return int(shifts[0]), int(shifts[1]), int(shifts[2])


@TRANSFORMS.register_module()
class PhotoMetricDistortion(BaseTransform):
    """Distort brightness, contrast (before or after colour), saturation, hue and channel order, each by a coin.

    `brightness_delta` is in levels, `hue_delta` in degrees. uint8 images stay uint8: values are cut off at 0 and 255
    after each of three steps (upstream keeps floats beyond that range). Source: SSD (Liu et al., 2016).
    """

    def __init__(
        self,
        brightness_delta: int = 32,
        contrast_range: tuple[float, float] = (0.5, 1.5),
        saturation_range: tuple[float, float] = (0.5, 1.5),
        hue_delta: int = 18,
    ) -> None:
        self.brightness_delta = brightness_delta
        self.contrast_range = contrast_range
        self.saturation_range = saturation_range
        self.hue_delta = hue_delta

    def transform(self, results: Sample) -> Sample:
        """Distort the image."""
        image = results["img"]
        if image.dtype != np.uint8:
            image = np.clip(image, 0, 255).astype(np.uint8)
        is_on = np.random.randint(0, 2, 6)
        contrast_first = bool(is_on[1])
        levels = _LEVELS.astype(np.float32)
        if is_on[0]:
            levels = levels + np.random.uniform(-self.brightness_delta, self.brightness_delta)
        alpha = np.random.uniform(*self.contrast_range) if is_on[2] else 1.0
        if contrast_first:
            levels = levels * alpha
        image = cv2.LUT(image, _to_levels(levels))
        if is_on[3] or is_on[4]:
            image = self._distort_colour(image, bool(is_on[3]), bool(is_on[4]))
        if not contrast_first and alpha != 1.0:
            image = cv2.LUT(image, _to_levels(_LEVELS * alpha))
        if is_on[5]:
            image = np.ascontiguousarray(image[..., np.random.permutation(3)])
        results["img"] = image
        return results

    def _distort_colour(self, image: Image, saturation: bool, hue: bool) -> Image:
        factor = np.random.uniform(*self.saturation_range) if saturation else 1.0
        degrees = np.random.uniform(-self.hue_delta, self.hue_delta) if hue else 0.0
        table = np.stack([(_LEVELS + round(degrees / 2)) % 180, _to_levels(_LEVELS * factor), _LEVELS], axis=-1)
        return _through_hsv(image, table)


def _through_hsv(image: Image, table: NDArray[Any]) -> Image:
    """Return a BGR uint8 image after a look-up (256, 3) in HSV, where hue has 180 levels."""
    hsv = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_BGR2HSV), table.astype(np.uint8).reshape(1, 256, 3))
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)


def _to_levels(values: NDArray[Any]) -> NDArray[np.uint8]:
    levels: NDArray[np.uint8] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return levels
