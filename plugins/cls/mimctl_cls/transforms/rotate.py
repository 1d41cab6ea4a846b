"""Rotate: turn the image about a point by a fixed or a random angle."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mimctl.engine.data.transform import BaseTransform, Sample
from mimctl.engine.registry import TRANSFORMS
from mimctl.errors import ConfigError
from mimctl.vision.transforms.image import INTERPOLATIONS


@TRANSFORMS.register_module()
class Rotate(BaseTransform):
    """With probability `prob`, turn the image clockwise by `angle` degrees about `center` (x, y; its middle).

    Without `angle` the angle is `magnitude_level` of `total_level` on the way through `magnitude_range`; the level is
    drawn anew for each image, from a normal distribution where `magnitude_std` is above 0, evenly from 0 to the level
    where it is "inf". With `random_negative_prob` it is turned the other way. New pixels have the value `pad_val`.
    Source of the magnitudes: Cubuk et al., "RandAugment" (2020).
    """

    def __init__(
        self,
        angle: float | None = None,
        center: tuple[float, float] | None = None,
        scale: float = 1.0,
        pad_val: float | Sequence[float] = 128,
        prob: float = 0.5,
        random_negative_prob: float = 0.5,
        interpolation: str = "nearest",
        magnitude_level: float = 10,
        magnitude_range: tuple[float, float] | None = None,
        magnitude_std: float | str = 0.0,
        total_level: float = 10,
    ) -> None:
        if (angle is None) == (magnitude_range is None):
            raise ConfigError("Rotate needs either `angle` or `magnitude_range`", code="bad-argument")
        self.angle = angle
        self.center = center
        self.scale = scale
        self.pad_val = pad_val
        self.prob = prob
        self.random_negative_prob = random_negative_prob
        self.interpolation = interpolation
        self.magnitude_level = magnitude_level
        self.magnitude_range = magnitude_range
        self.magnitude_std = magnitude_std
        self.total_level = total_level

    def transform(self, results: Sample) -> Sample:
        """Draw the angle and turn the image."""
        if np.random.rand() > self.prob:
            return results
        image = results["img"]
        height, width = image.shape[:2]
        angle = self.angle if self.angle is not None else self.random_magnitude()
        if np.random.rand() < self.random_negative_prob:
            angle = -angle
        center = self.center or ((width - 1) * 0.5, (height - 1) * 0.5)
        value = self.pad_val
        if isinstance(value, int | float) and image.ndim == 3:
            value = (value,) * image.shape[2]
        results["img"] = cv2.warpAffine(
            image,
            cv2.getRotationMatrix2D(center, -angle, self.scale),
            (width, height),
            flags=INTERPOLATIONS[self.interpolation],
            borderValue=value,
        )
        return results

    def random_magnitude(self) -> float:
        """Draw the angle in degrees."""
        assert self.magnitude_range is not None
        level: float = self.magnitude_level
        if isinstance(self.magnitude_std, str):
            level = np.random.uniform(0, level)
        elif self.magnitude_std > 0:
            level = min(max(np.random.normal(level, self.magnitude_std), 0), self.total_level)
        low, high = self.magnitude_range
        return level / self.total_level * (high - low) + low
