"""RandomAffine: rotate, scale, shear and shift image and boxes."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mimctl.engine.data.transform import BaseTransform, Sample
from mimctl.engine.registry import TRANSFORMS
from mimctl.vision.transforms.instances import Boxes, boxes_inside, clip_boxes, select_instances

Matrix = NDArray[np.float64]


@TRANSFORMS.register_module()
class RandomAffine(BaseTransform):
    """Map the image by translation · shear · rotation · scaling about its top left corner, each drawn uniformly.

    `border` (x, y) is added on both sides of the canvas; negative values cut a mosaic back to one image's size.
    Angles are in degrees, `max_translate_ratio` is a share of the canvas. Source: YOLOX (Ge et al., 2021).
    """

    def __init__(
        self,
        max_rotate_degree: float = 10.0,
        max_translate_ratio: float = 0.1,
        scaling_ratio_range: tuple[float, float] = (0.5, 1.5),
        max_shear_degree: float = 2.0,
        border: tuple[int, int] = (0, 0),
        border_val: Sequence[float] = (114, 114, 114),
        bbox_clip_border: bool = True,
    ) -> None:
        self.max_rotate_degree = max_rotate_degree
        self.max_translate_ratio = max_translate_ratio
        self.scaling_ratio_range = scaling_ratio_range
        self.max_shear_degree = max_shear_degree
        self.border = border
        self.border_val = tuple(border_val)
        self.bbox_clip_border = bbox_clip_border

    def transform(self, results: Sample) -> Sample:
        """Draw the map and apply it; objects that end up outside are dropped."""
        image = results["img"]
        shape = (image.shape[0] + 2 * self.border[1], image.shape[1] + 2 * self.border[0])
        matrix = self.random_matrix(shape)
        results["img"] = cv2.warpAffine(image, matrix[:2], shape[::-1], borderValue=self.border_val)
        results["img_shape"] = shape
        if len(results["gt_bboxes"]):
            boxes = map_boxes(results["gt_bboxes"], matrix)
            results["gt_bboxes"] = clip_boxes(boxes, shape) if self.bbox_clip_border else boxes
            select_instances(results, boxes_inside(results["gt_bboxes"], shape))
        return results

    def random_matrix(self, shape: tuple[int, int]) -> Matrix:
        """Draw the 3 x 3 matrix for a canvas of (height, width)."""
        angle = math.radians(random.uniform(-self.max_rotate_degree, self.max_rotate_degree))
        scale = random.uniform(*self.scaling_ratio_range)
        shear_x = math.tan(math.radians(random.uniform(-self.max_shear_degree, self.max_shear_degree)))
        shear_y = math.tan(math.radians(random.uniform(-self.max_shear_degree, self.max_shear_degree)))
        shift_x = random.uniform(-self.max_translate_ratio, self.max_translate_ratio) * shape[1]
        shift_y = random.uniform(-self.max_translate_ratio, self.max_translate_ratio) * shape[0]
        cos, sin = math.cos(angle), math.sin(angle)
        turn: Matrix = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        shear: Matrix = np.array([[1, shear_x, 0], [shear_y, 1, 0], [0, 0, 1]])
        shift: Matrix = np.array([[1, 0, shift_x], [0, 1, shift_y], [0, 0, 1]])
        return shift @ shear @ turn @ np.diag([scale, scale, 1.0])


def map_boxes(boxes: Boxes, matrix: Matrix) -> Boxes:
    """Return the upright boxes around boxes mapped by a 3 x 3 affine matrix."""
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    mapped = corners @ matrix[:2, :2].T + matrix[:2, 2]
    around: Boxes = np.concatenate([mapped.min(1), mapped.max(1)], 1).astype(np.float32)
    return around
