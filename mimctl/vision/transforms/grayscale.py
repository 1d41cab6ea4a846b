"""Colour to grey, by chance."""

from __future__ import annotations

import random
from collections.abc import Sequence

import cv2
import numpy as np

from mimctl.engine.data.transform import BaseTransform, Sample
from mimctl.engine.registry import TRANSFORMS
from mimctl.errors import ConfigError


@TRANSFORMS.register_module()
class RandomGrayscale(BaseTransform):
    """Replace the image by the mean of its channels, weighted by `channel_weights`, with probability `prob`.

    The result is (H, W), with `keep_channels` as many equal channels as before. `color_format` `hsv` is turned into BGR
    first, in any case.
    """

    def __init__(
        self,
        prob: float = 0.1,
        keep_channels: bool = False,
        channel_weights: Sequence[float] = (1.0, 1.0, 1.0),
        color_format: str = "bgr",
    ) -> None:
        if not 0 <= prob <= 1:
            raise ConfigError("a probability lies between 0 and 1", code="bad-argument", causes=[f"got {prob}"])
        if color_format not in ("bgr", "rgb", "hsv"):
            raise ConfigError(f"an image is bgr, rgb or hsv, not {color_format!r}", code="bad-argument")
        self.prob = prob
        self.keep_channels = keep_channels
        self.channel_weights = channel_weights
        self.color_format = color_format

    def transform(self, results: Sample) -> Sample:
        """Return the sample with its image as uint8, grey or as it was."""
        image = results["img"]
        if self.color_format == "hsv":
            image = cv2.cvtColor(image, cv2.COLOR_HSV2BGR)
        image = image[..., None] if image.ndim == 2 else image
        channels = image.shape[2]
        if random.random() < self.prob and channels > 1:
            if len(self.channel_weights) != channels:
                raise ValueError(f"{len(self.channel_weights)} weights for {channels} channels")
            weights = np.array(self.channel_weights) / sum(self.channel_weights)
            grey = (image * weights).sum(axis=2).astype(np.uint8)
            results["img"] = np.repeat(grey[..., None], channels, axis=2) if self.keep_channels else grey
            return results
        results["img"] = image.astype(np.uint8)
        return results
