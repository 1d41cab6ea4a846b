"""Mosaic: four images around a random centre of a canvas twice as large."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from mimctl.engine.data.memory import SampleCache
from mimctl.engine.data.transform import BaseTransform, Sample
from mimctl.engine.registry import TRANSFORMS
from mimctl.errors import ConfigError
from mimctl.vision.transforms.cache import taken
from mimctl.vision.transforms.image import Image, blank_image, resize_image
from mimctl.vision.transforms.instances import (
    boxes_inside,
    clip_boxes,
    join_instances,
    move_boxes,
    scale_boxes,
    select_instances,
)


@TRANSFORMS.register_module()
class Mosaic(BaseTransform):
    """Join a sample with three others of `results["mix_results"]` (put there by MultiImageMixDataset).

    `img_scale` (width, height) is the room of each image; the result is twice as large, and its centre is drawn from
    `center_ratio_range` times `img_scale`. Source: YOLOv4 (Bochkovskiy et al., 2020).
    """

    def __init__(
        self,
        img_scale: tuple[int, int] = (640, 640),
        center_ratio_range: tuple[float, float] = (0.5, 1.5),
        bbox_clip_border: bool = True,
        pad_val: float | Sequence[float] = 114.0,
        prob: float = 1.0,
    ) -> None:
        if not 0 <= prob <= 1:
            raise ConfigError("a probability lies between 0 and 1", code="bad-argument", causes=[f"got {prob}"])
        self.img_scale = img_scale
        self.center_ratio_range = center_ratio_range
        self.bbox_clip_border = bbox_clip_border
        self.pad_val = pad_val
        self.prob = prob

    def get_indexes(self, dataset: Any) -> list[int]:
        """Draw the indices of the three other samples."""
        return [random.randint(0, len(dataset) - 1) for _ in range(3)]

    def transform(self, results: Sample) -> Sample:
        """Join the four images."""
        if random.uniform(0, 1) > self.prob:
            return results
        return self._join(results, [self._fit(each) for each in (results, *results["mix_results"])])

    def _fit(self, sample: Sample) -> Sample:
        """Return image and objects of a sample, resized to fit into `img_scale`."""
        height, width = sample["img"].shape[:2]
        ratio = min(self.img_scale[1] / height, self.img_scale[0] / width)
        image = resize_image(sample["img"], (int(width * ratio), int(height * ratio)))
        fitted = taken(sample, img=image, gt_bboxes=scale_boxes(sample["gt_bboxes"], (ratio, ratio)))
        if "gt_masks" in fitted:
            fitted["gt_masks"] = fitted["gt_masks"].resize(image.shape[:2])
        return fitted

    def _join(self, results: Sample, fitted: Sequence[Sample]) -> Sample:
        width, height = self.img_scale
        shape = (int(height * 2), int(width * 2))
        center_x = int(random.uniform(*self.center_ratio_range) * width)
        center_y = int(random.uniform(*self.center_ratio_range) * height)
        canvas = blank_image(*shape, self.pad_val, like=results["img"])
        placed = [self._place(canvas, sample, corner, (center_x, center_y)) for corner, sample in enumerate(fitted)]
        results.update(placed[0])
        join_instances(results, placed[1:])
        results["img"] = canvas
        results["img_shape"] = shape
        select_instances(results, boxes_inside(results["gt_bboxes"], shape))
        return results

    def _place(self, canvas: Image, sample: Sample, corner: int, center: tuple[int, int]) -> Sample:
        """Paint one image beside the centre (0 top left, 1 top right, 2 bottom left, 3 bottom right)."""
        height, width = sample["img"].shape[:2]
        left = center[0] - width if corner in (0, 2) else center[0]
        top = center[1] - height if corner in (0, 1) else center[1]
        x1, x2 = max(left, 0), min(left + width, canvas.shape[1])
        y1, y2 = max(top, 0), min(top + height, canvas.shape[0])
        canvas[y1:y2, x1:x2] = sample["img"][y1 - top : y2 - top, x1 - left : x2 - left]
        boxes = move_boxes(sample["gt_bboxes"], left, top)
        moved = taken(sample, gt_bboxes=clip_boxes(boxes, canvas.shape) if self.bbox_clip_border else boxes)
        if "gt_masks" in moved:
            moved["gt_masks"] = _shift_masks(moved["gt_masks"], canvas.shape[:2], left, top)
        return moved


@TRANSFORMS.register_module()
class CachedMosaic(Mosaic):
    """Mosaic with images that passed by before instead of ones loaded for it.

    Each sample costs one loaded image. While fewer than five are cached the sample stays as it is. Source: RTMDet
    (Lyu et al., 2022).
    """

    remembers_samples = True

    def __init__(
        self,
        img_scale: tuple[int, int] = (640, 640),
        center_ratio_range: tuple[float, float] = (0.5, 1.5),
        bbox_clip_border: bool = True,
        pad_val: float | Sequence[float] = 114.0,
        prob: float = 1.0,
        max_cached_images: int = 40,
        random_pop: bool = True,
    ) -> None:
        super().__init__(img_scale, center_ratio_range, bbox_clip_border, pad_val, prob)
        if max_cached_images < 4:
            raise ConfigError(f"a mosaic needs at least 4 cached images, not {max_cached_images}", code="bad-argument")
        self.cache = SampleCache(max_cached_images, random_pop=random_pop)

    def transform(self, results: Sample) -> Sample:
        """Cache the sample (already resized), and join it with three cached ones."""
        fitted = self._fit(results)
        self.cache.push(fitted)
        if len(self.cache) <= 4 or random.uniform(0, 1) > self.prob:
            return results
        others = [self.cache[random.randint(0, len(self.cache) - 1)] for _ in range(3)]
        return self._join(results, [fitted, *others])


def _shift_masks(masks: Any, shape: tuple[int, int], left: int, top: int) -> Any:
    across = masks.translate((masks.height, shape[1]), left, "horizontal")
    return across.translate(shape, top, "vertical")
