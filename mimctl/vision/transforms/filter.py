"""FilterAnnotations: drop objects that are too small after the transforms before it."""

from __future__ import annotations

import numpy as np

from mimctl.engine.data.transform import BaseTransform, Sample
from mimctl.engine.registry import TRANSFORMS
from mimctl.errors import ConfigError
from mimctl.vision.transforms.instances import box_sizes, select_instances


@TRANSFORMS.register_module()
class FilterAnnotations(BaseTransform):
    """Keep objects whose box is larger than `min_gt_bbox_wh` (by_box) and whose mask has the area (by_mask).

    Where none is left, `keep_empty=True` returns None (another sample is tried) and False keeps the sample without
    objects: the argument's meaning upstream, in spite of its name.
    """

    def __init__(
        self,
        min_gt_bbox_wh: tuple[float, float] = (1, 1),
        min_gt_mask_area: int = 1,
        by_box: bool = True,
        by_mask: bool = False,
        keep_empty: bool = True,
    ) -> None:
        if not by_box and not by_mask:
            raise ConfigError("FilterAnnotations needs `by_box` or `by_mask`", code="bad-argument")
        self.min_gt_bbox_wh = min_gt_bbox_wh
        self.min_gt_mask_area = min_gt_mask_area
        self.by_box, self.by_mask = by_box, by_mask
        self.keep_empty = keep_empty

    def transform(self, results: Sample) -> Sample | None:
        """Drop the small objects."""
        boxes = results["gt_bboxes"]
        if len(boxes) == 0:
            return results
        keep = np.ones(len(boxes), bool)
        if self.by_box:
            width, height = box_sizes(boxes)
            keep &= (width > self.min_gt_bbox_wh[0]) & (height > self.min_gt_bbox_wh[1])
        if self.by_mask:
            keep &= results["gt_masks"].areas >= self.min_gt_mask_area
        if not keep.any() and self.keep_empty:
            return None
        select_instances(results, keep)
        return results
