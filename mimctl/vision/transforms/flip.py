"""Mirroring of image, boxes, masks and segmentation map by chance."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mimctl.engine.data.transform import BaseTransform, Sample
from mimctl.engine.registry import TRANSFORMS
from mimctl.errors import ConfigError
from mimctl.vision.transforms.image import Image
from mimctl.vision.transforms.instances import flip_boxes

FLIP_CODES = {"horizontal": 1, "vertical": 0, "diagonal": -1}


@TRANSFORMS.register_module()
class RandomFlip(BaseTransform):
    """Mirror with probability `prob` in `direction` (`horizontal`, `vertical`, `diagonal`).

    With several directions one probability is shared equally among them, or each has its own. Sets `flip` and
    `flip_direction` (None where not mirrored). `swap_seg_labels` pairs labels of the segmentation map that change
    places.
    """

    def __init__(
        self,
        prob: float | Sequence[float] | None = None,
        direction: str | Sequence[str | None] = "horizontal",
        swap_seg_labels: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        directions = [direction] if isinstance(direction, str) else list(direction)
        unknown = [each for each in directions if each not in FLIP_CODES]
        if unknown:
            raise ConfigError(
                f"unknown direction `{unknown[0]}`", code="bad-argument", causes=[f"known: {', '.join(FLIP_CODES)}"]
            )
        total = 0.0 if prob is None else prob
        shares = [total / len(directions)] * len(directions) if isinstance(total, int | float) else list(total)
        if len(shares) != len(directions) or not 0 <= sum(shares) <= 1 + 1e-9:
            raise ConfigError(f"prob {prob} does not fit the directions {directions}", code="bad-argument")
        self.prob = prob
        self.directions = directions
        self.bounds = np.cumsum(shares)
        self.swap_seg_labels = swap_seg_labels

    def transform(self, results: Sample) -> Sample:
        """Draw the direction and mirror."""
        direction = self.random_direction()
        results["flip"] = direction is not None
        results["flip_direction"] = direction
        if direction is None:
            return results
        shape = results["img"].shape[:2]
        results["img"] = flip_image(results["img"], direction)
        for key in ("gt_bboxes", "proposals"):
            if results.get(key) is not None:
                results[key] = flip_boxes(results[key], shape, direction)
        if results.get("gt_masks") is not None:
            results["gt_masks"] = results["gt_masks"].flip(direction)
        if results.get("gt_seg_map") is not None:
            results["gt_seg_map"] = self._flip_seg_map(results["gt_seg_map"], direction)
        return results

    def random_direction(self) -> str | None:
        """Draw a direction, or None for no mirroring."""
        place = int(np.searchsorted(self.bounds, np.random.random_sample(), side="right"))
        return self.directions[place] if place < len(self.directions) else None

    def _flip_seg_map(self, seg_map: Image, direction: str) -> Image:
        flipped = flip_image(seg_map, direction)
        if self.swap_seg_labels is None:
            return flipped
        swapped = flipped.copy()
        for one, other in self.swap_seg_labels:
            swapped[flipped == one], swapped[flipped == other] = other, one
        return swapped


def flip_image(image: Image, direction: str) -> Image:
    """Return the image mirrored."""
    return cv2.flip(image, FLIP_CODES[direction])
