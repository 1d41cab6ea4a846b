"""Cropping: a random window, or the middle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mimctl.engine.data.transform import BaseTransform, Sample
from mimctl.engine.registry import TRANSFORMS
from mimctl.errors import ConfigError
from mimctl.vision.transforms.image import pad_image
from mimctl.vision.transforms.instances import boxes_inside, clip_boxes, move_boxes, select_instances

CROP_TYPES = ("absolute", "absolute_range", "relative", "relative_range")


@TRANSFORMS.register_module()
class RandomCrop(BaseTransform):
    """Cut a random window out of the image and drop the objects outside of it.

    `crop_size` is (width, height) in pixels (`absolute`), the least and the most of either edge (`absolute_range`), a
    share of the image (`relative`), or the least such share (`relative_range`). Returns None (another sample is
    tried) where no object is left, unless `allow_negative_crop`. `recompute_bbox` takes boxes from the cropped masks.
    """

    def __init__(
        self,
        crop_size: tuple[float, float],
        crop_type: str = "absolute",
        allow_negative_crop: bool = False,
        recompute_bbox: bool = False,
        bbox_clip_border: bool = True,
    ) -> None:
        if crop_type not in CROP_TYPES:
            raise ConfigError(
                f"unknown crop_type `{crop_type}`", code="bad-argument", causes=[f"known: {', '.join(CROP_TYPES)}"]
            )
        if (crop_type.startswith("absolute") and min(crop_size) <= 0) or (
            crop_type.startswith("relative") and (min(crop_size) <= 0 or max(crop_size) > 1)
        ):
            raise ConfigError(f"crop_size {crop_size} makes no sense as {crop_type}", code="bad-argument")
        self.crop_size = crop_size
        self.crop_type = crop_type
        self.allow_negative_crop = allow_negative_crop
        self.recompute_bbox = recompute_bbox
        self.bbox_clip_border = bbox_clip_border

    def transform(self, results: Sample) -> Sample | None:
        """Draw the window and crop."""
        left, top, right, bottom = self.random_window(results["img"].shape[:2])
        # a copy: a view would keep the whole image alive in caches further on
        results["img"] = np.ascontiguousarray(results["img"][top:bottom, left:right])
        return self.finish(results, (left, top, right, bottom))

    def random_window(self, shape: tuple[int, int]) -> tuple[int, int, int, int]:
        """Draw left, top, right, bottom in an image of (height, width)."""
        height, width = self.random_size(shape)
        top = int(np.random.randint(0, max(shape[0] - height, 0) + 1))
        left = int(np.random.randint(0, max(shape[1] - width, 0) + 1))
        return left, top, min(left + width, shape[1]), min(top + height, shape[0])

    def finish(self, results: Sample, corners: tuple[int, int, int, int]) -> Sample | None:
        """Crop everything but the image, which has been cropped; None where no object is left."""
        left, top, right, bottom = corners
        results["img_shape"] = results["img"].shape[:2]
        if results.get("gt_seg_map") is not None:
            results["gt_seg_map"] = results["gt_seg_map"][top:bottom, left:right]
        if results.get("gt_bboxes") is None:
            return results
        return self._crop_objects(results, left, top, right, bottom)

    def random_size(self, shape: Sequence[int]) -> tuple[int, int]:
        """Return (height, width) of the window in an image of (height, width)."""
        height, width = shape[0], shape[1]
        if self.crop_type == "absolute":
            return min(int(self.crop_size[1]), height), min(int(self.crop_size[0]), width)
        if self.crop_type == "absolute_range":
            # crop_size is (least, most) of both edges here, as upstream has it
            least, most = int(self.crop_size[0]), int(self.crop_size[1])
            tall = np.random.randint(min(height, least), min(height, most) + 1)
            wide = np.random.randint(min(width, least), min(width, most) + 1)
            return int(tall), int(wide)
        share_w, share_h = self.crop_size
        if self.crop_type == "relative_range":
            drawn = np.random.rand(2)
            share_h, share_w = share_h + drawn[0] * (1 - share_h), share_w + drawn[1] * (1 - share_w)
        return int(height * share_h + 0.5), int(width * share_w + 0.5)

    def _crop_objects(self, results: Sample, left: int, top: int, right: int, bottom: int) -> Sample | None:
        boxes = move_boxes(results["gt_bboxes"], -left, -top)
        if self.bbox_clip_border:
            boxes = clip_boxes(boxes, results["img_shape"])
        results["gt_bboxes"] = boxes
        inside = boxes_inside(boxes, results["img_shape"])
        if not inside.any() and not self.allow_negative_crop:
            return None
        select_instances(results, inside)
        if results.get("gt_masks") is not None:
            results["gt_masks"] = results["gt_masks"].crop((left, top, right, bottom))
            if self.recompute_bbox:
                results["gt_bboxes"] = results["gt_masks"].get_bboxes()
        return results


@TRANSFORMS.register_module()
class CenterCrop(BaseTransform):
    """Cut the middle out of the image; with `auto_pad`, smaller images are first padded at the right and bottom."""

    def __init__(
        self,
        crop_size: int | tuple[int, int],
        auto_pad: bool = False,
        pad_cfg: dict[str, object] | None = None,
        clip_object_border: bool = True,
    ) -> None:
        self.crop_size = (crop_size, crop_size) if isinstance(crop_size, int) else crop_size
        self.auto_pad = auto_pad
        self.pad_cfg = dict(pad_cfg or {"type": "Pad"})
        self.clip_object_border = clip_object_border

    def transform(self, results: Sample) -> Sample:
        """Crop image, boxes, masks and segmentation map."""
        width, height = self.crop_size
        if self.auto_pad:
            value = self.pad_cfg.get("pad_val", 0)
            results["img"] = pad_image(results["img"], (height, width), value)
        shape = results["img"].shape[:2]
        top, left = max(0, round((shape[0] - height) / 2.0)), max(0, round((shape[1] - width) / 2.0))
        bottom, right = min(shape[0], top + height), min(shape[1], left + width)
        results["img"] = results["img"][top:bottom, left:right]
        results["img_shape"] = results["img"].shape[:2]
        if results.get("gt_seg_map") is not None:
            results["gt_seg_map"] = results["gt_seg_map"][top:bottom, left:right]
        if results.get("gt_bboxes") is not None:
            boxes = move_boxes(results["gt_bboxes"], -left, -top)
            results["gt_bboxes"] = clip_boxes(boxes, results["img_shape"]) if self.clip_object_border else boxes
        if results.get("gt_masks") is not None:
            results["gt_masks"] = results["gt_masks"].crop((left, top, right, bottom))
        return results
