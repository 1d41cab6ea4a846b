"""Loading of a sample: its image, and its annotations as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mimctl.engine.data.transform import BaseTransform, Sample
from mimctl.engine.files import fileio
from mimctl.engine.registry import TRANSFORMS
from mimctl.errors import MimctlError
from mimctl.vision.structures.masks import BitmapMasks, PolygonMasks, polygons_to_bitmap, rle_to_bitmap
from mimctl.vision.transforms.image import decode_image, read_image


@TRANSFORMS.register_module()
class LoadImageFromFile(BaseTransform):
    """Read `img_path` into `img` (uint8, H W C, BGR), and set `img_shape` and `ori_shape` (height, width)."""

    def __init__(
        self,
        to_float32: bool = False,
        color_type: str = "color",
        imdecode_backend: str = "cv2",
        file_client_args: Mapping[str, Any] | None = None,
        ignore_empty: bool = False,
        *,
        backend_args: Mapping[str, Any] | None = None,
    ) -> None:
        self.to_float32 = to_float32
        self.color_type = color_type
        self.imdecode_backend = imdecode_backend
        self.ignore_empty = ignore_empty
        self.backend_args = backend_args or file_client_args

    def transform(self, results: Sample) -> Sample | None:
        """Read the image; with `ignore_empty`, None instead of an error where that fails."""
        try:
            image = read_image(
                results["img_path"],
                color_type=self.color_type,
                backend=self.imdecode_backend,
                backend_args=self.backend_args,
            )
        except MimctlError:
            if self.ignore_empty:
                return None
            raise
        return _with_image(results, image.astype(np.float32) if self.to_float32 else image)


@TRANSFORMS.register_module()
class LoadImageFromNDArray(LoadImageFromFile):
    """Take an image that is already an array in `img` (H, W, C; BGR)."""

    def transform(self, results: Sample) -> Sample | None:
        """Set the shapes; `img_path` becomes None."""
        image = results["img"].astype(np.float32) if self.to_float32 else results["img"]
        results["img_path"] = None
        return _with_image(results, image)


@TRANSFORMS.register_module()
class LoadAnnotations(BaseTransform):
    """Turn `instances` into arrays: `gt_bboxes`, `gt_bboxes_labels`, `gt_ignore_flags`, `gt_masks`, `gt_seg_map`.

    With `poly2mask` masks are bitmaps, else polygons. `box_type` is accepted: boxes are always plain x1 y1 x2 y2.
    """

    def __init__(
        self,
        with_bbox: bool = True,
        with_label: bool = True,
        with_mask: bool = False,
        with_seg: bool = False,
        poly2mask: bool = True,
        box_type: str = "hbox",
        reduce_zero_label: bool = False,
        ignore_index: int = 255,
        imdecode_backend: str = "cv2",
        file_client_args: Mapping[str, Any] | None = None,
        *,
        backend_args: Mapping[str, Any] | None = None,
    ) -> None:
        self.with_bbox, self.with_label = with_bbox, with_label
        self.with_mask, self.with_seg = with_mask, with_seg
        self.poly2mask = poly2mask
        self.box_type = box_type
        self.reduce_zero_label = reduce_zero_label
        self.ignore_index = ignore_index
        self.imdecode_backend = imdecode_backend
        self.backend_args = backend_args or file_client_args

    def transform(self, results: Sample) -> Sample:
        """Load what was asked for."""
        instances = results.get("instances", [])
        if self.with_bbox:
            boxes = np.array([each["bbox"] for each in instances], np.float32).reshape(-1, 4)
            results["gt_bboxes"] = boxes
            results["gt_ignore_flags"] = np.array([each.get("ignore_flag", 0) for each in instances], bool)
        if self.with_label:
            results["gt_bboxes_labels"] = np.array([each["bbox_label"] for each in instances], np.int64)
        if self.with_mask:
            self._load_masks(results, instances)
        if self.with_seg and results.get("seg_map_path") is not None:
            self._load_seg_map(results)
        return results

    def _load_masks(self, results: Sample, instances: list[dict[str, Any]]) -> None:
        height, width = results["ori_shape"]
        codes = [_usable_mask(each.get("mask")) for each in instances]
        flags = [code is None or bool(each.get("ignore_flag", 0)) for code, each in zip(codes, instances, strict=True)]
        results["gt_ignore_flags"] = np.array(flags, bool)
        if self.poly2mask:
            masks = [_bitmap(code, height, width) for code in codes]
            results["gt_masks"] = BitmapMasks(masks, height, width)
        else:
            polygons = [code if isinstance(code, list) else [np.zeros(6)] for code in codes]
            results["gt_masks"] = PolygonMasks(polygons, height, width)

    def _load_seg_map(self, results: Sample) -> None:
        path = results["seg_map_path"]
        found = decode_image(fileio.get(path, self.backend_args), color_type="unchanged", backend=self.imdecode_backend)
        if found is None:
            raise MimctlError(f"{path} is not a readable image", code="unreadable-image")
        seg_map = found.squeeze().copy()
        if results.get("reduce_zero_label", self.reduce_zero_label):
            seg_map[seg_map == 0] = self.ignore_index
            seg_map -= 1
            seg_map[seg_map == self.ignore_index - 1] = self.ignore_index
        for old, new in (results.get("label_map") or {}).items():
            seg_map[found.squeeze() == old] = new
        results["gt_seg_map"] = seg_map
        results["ignore_index"] = self.ignore_index


def _with_image(results: Sample, image: np.ndarray[Any, Any]) -> Sample:
    results["img"] = image
    results["img_shape"] = image.shape[:2]
    results["ori_shape"] = image.shape[:2]
    return results


def _usable_mask(mask: Any) -> Any:
    """Return the polygons that have an area, or a run-length code; None where there is neither."""
    if isinstance(mask, list):
        return [np.asarray(each) for each in mask if len(each) % 2 == 0 and len(each) >= 6] or None
    return mask if isinstance(mask, dict) and "counts" in mask else None


def _bitmap(code: Any, height: int, width: int) -> np.ndarray[Any, Any]:
    if code is None:
        return np.zeros((height, width), np.uint8)
    return polygons_to_bitmap(code, height, width) if isinstance(code, list) else rle_to_bitmap(code)
