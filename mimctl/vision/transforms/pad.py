"""Padding of image, masks and segmentation map at the right and the bottom."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mimctl.engine.data.transform import BaseTransform, Sample
from mimctl.engine.registry import TRANSFORMS
from mimctl.errors import ConfigError
from mimctl.vision.transforms.image import pad_image


@TRANSFORMS.register_module()
class Pad(BaseTransform):
    """Pad to `size` (width, height), to a square, or so that `size_divisor` divides both edges.

    `pad_val` is the value of the image, or {img, masks, seg}; boxes stay where they are. Sets `pad_shape`,
    `img_shape`, `pad_fixed_size`, `pad_size_divisor`.
    """

    def __init__(
        self,
        size: tuple[int, int] | None = None,
        size_divisor: int | None = None,
        pad_to_square: bool = False,
        pad_val: float | Mapping[str, Any] | None = None,
        padding_mode: str = "constant",
    ) -> None:
        if size is None and size_divisor is None and not pad_to_square:
            raise ConfigError("Pad needs `size`, `size_divisor` or `pad_to_square`", code="missing-argument")
        if size is not None and (size_divisor is not None or pad_to_square):
            raise ConfigError("Pad takes `size` alone", code="bad-argument")
        self.size = size
        self.size_divisor = size_divisor
        self.pad_to_square = pad_to_square
        given = pad_val if isinstance(pad_val, Mapping) else {"img": pad_val or 0}
        self.pad_val: dict[str, Any] = {"img": 0, "masks": 0, "seg": 255, **given}
        self.padding_mode = padding_mode

    def transform(self, results: Sample) -> Sample:
        """Pad everything the sample has."""
        shape = self.target(results["img"].shape[:2])
        image = results["img"]
        value = self.pad_val["img"]
        if isinstance(value, int | float) and image.ndim == 3:
            value = (value,) * image.shape[2]
        results["img"] = pad_image(image, shape, value, mode=self.padding_mode)
        results["pad_shape"] = results["img"].shape
        results["img_shape"] = results["img"].shape[:2]
        results["pad_fixed_size"] = self.size
        results["pad_size_divisor"] = self.size_divisor
        if results.get("gt_masks") is not None:
            results["gt_masks"] = results["gt_masks"].pad(results["img_shape"], pad_val=self.pad_val["masks"])
        if results.get("gt_seg_map") is not None:
            results["gt_seg_map"] = pad_image(results["gt_seg_map"], shape, self.pad_val["seg"], mode=self.padding_mode)
        return results

    def target(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Return (height, width) that an image of `shape` is padded to."""
        if self.size is not None:
            return self.size[1], self.size[0]
        height, width = (max(shape), max(shape)) if self.pad_to_square else shape
        if self.size_divisor is not None:
            height = math.ceil(height / self.size_divisor) * self.size_divisor
            width = math.ceil(width / self.size_divisor) * self.size_divisor
        return height, width
