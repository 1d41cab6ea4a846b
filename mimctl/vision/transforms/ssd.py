"""The two transforms of SSD: put the image on a larger canvas, and crop with a least overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mimctl.engine.data.transform import BaseTransform, Sample
from mimctl.engine.registry import TRANSFORMS
from mimctl.vision.transforms.image import Image, blank_image
from mimctl.vision.transforms.instances import Boxes, box_sizes, clip_boxes, move_boxes, select_instances


@TRANSFORMS.register_module()
class Expand(BaseTransform):
    """With probability `prob`, put the image at a random place of a canvas `ratio_range` times as large.

    The canvas has the colour `mean` (RGB where `to_rgb`, else BGR). Source: SSD (Liu et al., 2016).
    """

    def __init__(
        self,
        mean: Sequence[float] = (0, 0, 0),
        to_rgb: bool = True,
        ratio_range: tuple[float, float] = (1, 4),
        seg_ignore_label: int | None = None,
        prob: float = 0.5,
    ) -> None:
        self.mean = tuple(mean)[::-1] if to_rgb else tuple(mean)
        self.ratio_range = ratio_range
        self.seg_ignore_label = seg_ignore_label
        self.prob = prob

    def transform(self, results: Sample) -> Sample:
        """Draw the size and the place, and move everything there."""
        if np.random.uniform(0, 1) > self.prob:
            return results
        height, width = results["img"].shape[:2]
        ratio = np.random.uniform(*self.ratio_range)
        shape = (int(height * ratio), int(width * ratio))
        top = int(np.random.uniform(0, height * ratio - height))
        left = int(np.random.uniform(0, width * ratio - width))
        results["img"] = _placed(results["img"], shape, top, left, self.mean)
        results["img_shape"] = shape
        if "gt_bboxes" in results:
            results["gt_bboxes"] = move_boxes(results["gt_bboxes"], left, top)
        if results.get("gt_masks") is not None:
            masks = results["gt_masks"].translate((height, shape[1]), left, "horizontal")
            results["gt_masks"] = masks.translate(shape, top, "vertical")
        if results.get("gt_seg_map") is not None:
            results["gt_seg_map"] = _placed(results["gt_seg_map"], shape, top, left, self.seg_ignore_label or 0)
        return results


@TRANSFORMS.register_module()
class MinIoURandomCrop(BaseTransform):
    """Crop a random window that overlaps every object by a drawn least IoU, or keep the whole image.

    Objects stay whose centre lies in the window. Edges are at least `min_crop_size` of the image's; their ratio lies
    between 0.5 and 2. Source: SSD (Liu et al., 2016).
    """

    def __init__(
        self,
        min_ious: Sequence[float] = (0.1, 0.3, 0.5, 0.7, 0.9),
        min_crop_size: float = 0.3,
        bbox_clip_border: bool = True,
    ) -> None:
        self.modes = (1.0, *min_ious, 0.0)
        self.min_crop_size = min_crop_size
        self.bbox_clip_border = bbox_clip_border

    def transform(self, results: Sample) -> Sample:
        """Draw windows until one fits; every 50 tries the least overlap is drawn anew."""
        shape = results["img"].shape[:2]
        while True:
            least = float(np.random.choice(self.modes))
            if least == 1.0:
                return results
            for _ in range(50):
                window = self._draw(shape)
                if window is not None and self._fits(window, results["gt_bboxes"], least):
                    return self._crop(results, window)

    def _draw(self, shape: tuple[int, int]) -> tuple[int, int, int, int] | None:
        height, width = shape
        new_width = np.random.uniform(self.min_crop_size * width, width)
        new_height = np.random.uniform(self.min_crop_size * height, height)
        if not 0.5 <= new_height / new_width <= 2:
            return None
        left, top = np.random.uniform(width - new_width), np.random.uniform(height - new_height)
        window = int(left), int(top), int(left + new_width), int(top + new_height)
        return window if window[2] > window[0] and window[3] > window[1] else None

    def _fits(self, window: tuple[int, int, int, int], boxes: Boxes, least: float) -> bool:
        if not len(boxes):
            return True
        return bool(_overlaps(window, boxes).min() >= least and _centres_inside(window, boxes).any())

    def _crop(self, results: Sample, window: tuple[int, int, int, int]) -> Sample:
        left, top, right, bottom = window
        select_instances(results, _centres_inside(window, results["gt_bboxes"]))
        results["gt_bboxes"] = move_boxes(results["gt_bboxes"], -left, -top)
        results["img"] = np.ascontiguousarray(results["img"][top:bottom, left:right])
        results["img_shape"] = results["img"].shape[:2]
        if self.bbox_clip_border:
            results["gt_bboxes"] = clip_boxes(results["gt_bboxes"], results["img_shape"])
        if results.get("gt_masks") is not None:
            results["gt_masks"] = results["gt_masks"].crop(window)
        if results.get("gt_seg_map") is not None:
            results["gt_seg_map"] = results["gt_seg_map"][top:bottom, left:right]
        return results


def _placed(image: Image, shape: tuple[int, int], top: int, left: int, value: object) -> Image:
    canvas = blank_image(*shape, value, like=image)
    canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
    return canvas


def _overlaps(window: tuple[int, int, int, int], boxes: Boxes) -> Boxes:
    corner = np.maximum(boxes[:, :2], np.array(window[:2], np.float32))
    edges = np.clip(np.minimum(boxes[:, 2:], np.array(window[2:], np.float32)) - corner, 0, None)
    shared = edges.prod(1)
    width, height = box_sizes(boxes)
    area = (window[2] - window[0]) * (window[3] - window[1])
    overlaps: Boxes = shared / np.maximum(width * height + area - shared, 1e-6)
    return overlaps


def _centres_inside(window: tuple[int, int, int, int], boxes: Boxes) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    inside: np.ndarray[tuple[int], np.dtype[np.bool_]] = (
        (x > window[0]) & (y > window[1]) & (x < window[2]) & (y < window[3])
    )
    return inside
