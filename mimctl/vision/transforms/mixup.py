"""Mix-up for detection: half of a sample, half of another, with the objects of both."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from mimctl.engine.data.memory import SampleCache
from mimctl.engine.data.transform import BaseTransform, Sample
from mimctl.engine.registry import TRANSFORMS
from mimctl.vision.transforms.cache import taken
from mimctl.vision.transforms.flip import flip_image
from mimctl.vision.transforms.image import Image, blank_image, resize_image
from mimctl.vision.transforms.instances import (
    boxes_inside,
    clip_boxes,
    flip_boxes,
    join_instances,
    move_boxes,
    scale_boxes,
    select_instances,
)


@TRANSFORMS.register_module()
class MixUp(BaseTransform):
    """Mix a sample with the one in `results["mix_results"]` (put there by MultiImageMixDataset).

    The other image is fitted into `img_scale` (width, height), scaled by a factor from `ratio_range`, mirrored with
    probability 1 - `flip_ratio`, and a random window of it of the sample's size is mixed in half and half.
    Source: YOLOX (Ge et al., 2021).
    """

    def __init__(
        self,
        img_scale: tuple[int, int] = (640, 640),
        ratio_range: tuple[float, float] = (0.5, 1.5),
        flip_ratio: float = 0.5,
        pad_val: float | Sequence[float] = 114.0,
        max_iters: int = 15,
        bbox_clip_border: bool = True,
    ) -> None:
        self.dynamic_scale = img_scale
        self.ratio_range = ratio_range
        self.flip_ratio = flip_ratio
        self.pad_val = pad_val
        self.max_iters = max_iters
        self.bbox_clip_border = bbox_clip_border

    def get_indexes(self, dataset: Any) -> int:
        """Draw the index of another sample, one with objects if `max_iters` tries find one."""
        index = 0
        for _ in range(self.max_iters):
            index = random.randint(0, len(dataset) - 1)
            if len(dataset.get_data_info(index).get("instances", ())):
                break
        return index

    def transform(self, results: Sample) -> Sample:
        """Mix the two."""
        return self._mix(results, results["mix_results"][0])

    def _mix(self, results: Sample, other: Sample) -> Sample:
        if len(other["gt_bboxes"]) == 0:
            return results
        jitter = random.uniform(*self.ratio_range)
        is_flipped = random.uniform(0, 1) > self.flip_ratio
        image, ratio = self._fit(other["img"], jitter)
        if is_flipped:
            image = flip_image(image, "horizontal")
        window, left, top = self._window(image, results["img"].shape[:2])
        target = results["img"]
        if target.dtype != np.uint8:
            window = window.astype(target.dtype)
        mixed = cv2.addWeighted(target, 0.5, window, 0.5, 0)
        objects = self._objects(other, image.shape[:2], ratio, is_flipped, (left, top), target.shape[:2])
        join_instances(results, [objects])
        results["img"] = mixed
        results["img_shape"] = mixed.shape[:2]
        select_instances(results, boxes_inside(results["gt_bboxes"], mixed.shape))
        return results

    def _fit(self, image: Image, jitter: float) -> tuple[Image, float]:
        """Return the image on its canvas, scaled by the jitter, and the factor its objects are scaled by."""
        width, height = self.dynamic_scale
        ratio = min(height / image.shape[0], width / image.shape[1])
        fitted = resize_image(image, (int(image.shape[1] * ratio), int(image.shape[0] * ratio)))
        if fitted.shape[:2] != (height, width):
            canvas = blank_image(height, width, self.pad_val, like=image)
            canvas[: fitted.shape[0], : fitted.shape[1]] = fitted
            fitted = canvas
        return resize_image(fitted, (int(width * jitter), int(height * jitter))), ratio * jitter

    def _window(self, image: Image, shape: tuple[int, int]) -> tuple[Image, int, int]:
        """Return a random window of (height, width), padded where the image is smaller, with its left and top."""
        height, width = max(image.shape[0], shape[0]), max(image.shape[1], shape[1])
        if (height, width) != image.shape[:2]:
            canvas = blank_image(height, width, self.pad_val, like=image)
            canvas[: image.shape[0], : image.shape[1]] = image
            image = canvas
        top = random.randint(0, height - shape[0]) if height > shape[0] else 0
        left = random.randint(0, width - shape[1]) if width > shape[1] else 0
        return image[top : top + shape[0], left : left + shape[1]], left, top

    def _objects(
        self,
        other: Sample,
        shape: tuple[int, int],
        ratio: float,
        is_flipped: bool,
        corner: tuple[int, int],
        target: tuple[int, int],
    ) -> Sample:
        """Return the other sample's objects where they lie in the window."""
        boxes = scale_boxes(other["gt_bboxes"], (ratio, ratio))
        if self.bbox_clip_border:
            boxes = clip_boxes(boxes, shape)
        if is_flipped:
            boxes = flip_boxes(boxes, shape, "horizontal")
        boxes = move_boxes(boxes, -corner[0], -corner[1])
        if self.bbox_clip_border:
            boxes = clip_boxes(boxes, target)
        moved = taken(other, gt_bboxes=boxes)
        if "gt_masks" in moved:
            masks = moved["gt_masks"]
            masks = masks.resize((int(masks.height * ratio), int(masks.width * ratio)))
            masks = masks.translate(shape, 0)
            masks = masks.flip("horizontal") if is_flipped else masks
            masks = masks.translate((shape[0], target[1]), -corner[0], "horizontal")
            moved["gt_masks"] = masks.translate(target, -corner[1], "vertical")
        return moved


@TRANSFORMS.register_module()
class CachedMixUp(MixUp):
    """Mix-up with an image that passed by before instead of one loaded for it. Source: RTMDet (Lyu et al., 2022)."""

    remembers_samples = True

    def __init__(
        self,
        img_scale: tuple[int, int] = (640, 640),
        ratio_range: tuple[float, float] = (0.5, 1.5),
        flip_ratio: float = 0.5,
        pad_val: float | Sequence[float] = 114.0,
        max_iters: int = 15,
        bbox_clip_border: bool = True,
        max_cached_images: int = 20,
        random_pop: bool = True,
        prob: float = 1.0,
    ) -> None:
        super().__init__(img_scale, ratio_range, flip_ratio, pad_val, max_iters, bbox_clip_border)
        self.cache = SampleCache(max_cached_images, random_pop=random_pop)
        self.prob = prob

    def transform(self, results: Sample) -> Sample:
        """Cache the sample, and mix it with a cached one."""
        self.cache.push(taken(results))
        if len(self.cache) <= 1 or random.uniform(0, 1) > self.prob:
            return results
        return self._mix(results, self.cache[self._index_with_objects()])

    def _index_with_objects(self) -> int:
        index = 0
        for _ in range(self.max_iters):
            index = random.randint(0, len(self.cache) - 1)
            if len(self.cache[index]["gt_bboxes"]):
                break
        return index
