"""Resizing of image, boxes, masks and segmentation map: to a fixed size, or to one drawn by chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mimctl.engine.data.transform import BaseTransform, Sample
from mimctl.engine.registry import TRANSFORMS
from mimctl.errors import ConfigError
from mimctl.vision.transforms.crop import RandomCrop
from mimctl.vision.transforms.image import rescaled_size, resize_image
from mimctl.vision.transforms.instances import clip_boxes, scale_boxes
from mimctl.vision.transforms.window import RandomResizedWindow


@TRANSFORMS.register_module()
class Resize(BaseTransform):
    """Resize to `scale` (width, height), or by `scale_factor` (one factor, or x and y).

    With `keep_ratio`, `scale` is the room the image must fit into (long edge, short edge).
    Sets `scale`, `scale_factor` (x, y; those really reached), `img_shape`, `keep_ratio`.
    """

    def __init__(
        self,
        scale: int | tuple[int, int] | None = None,
        scale_factor: float | tuple[float, float] | None = None,
        keep_ratio: bool = False,
        clip_object_border: bool = True,
        backend: str = "cv2",
        interpolation: str = "bilinear",
    ) -> None:
        if scale is None and scale_factor is None:
            raise ConfigError("Resize needs `scale` or `scale_factor`", code="missing-argument")
        self.scale: Any = (scale, scale) if isinstance(scale, int) else scale
        self.scale_factor = (scale_factor, scale_factor) if isinstance(scale_factor, int | float) else scale_factor
        self.keep_ratio = keep_ratio
        self.clip_object_border = clip_object_border
        self.backend = backend
        self.interpolation = interpolation

    def transform(self, results: Sample) -> Sample:
        """Resize everything the sample has."""
        height, width = results["img"].shape[:2] if "img" in results else results["img_shape"]
        wanted = self._wanted((width, height))
        results["scale"] = wanted
        size = self.new_size((width, height), wanted) if self.keep_ratio else (int(wanted[0]), int(wanted[1]))
        factor = (size[0] / width, size[1] / height)
        if isinstance(results.get("img"), np.ndarray):
            results["img"] = resize_image(results["img"], size, interpolation=self.interpolation, backend=self.backend)
        results["img_shape"] = (size[1], size[0])
        results["scale_factor"] = factor
        results["keep_ratio"] = self.keep_ratio
        self._resize_annotations(results, size, factor)
        return results

    def new_size(self, size: tuple[int, int], scale: tuple[int, int]) -> tuple[int, int]:
        """Return (width, height) of an image of `size` that fits into `scale`."""
        return rescaled_size(size, scale)

    def _wanted(self, size: tuple[int, int]) -> tuple[int, int]:
        if self.scale is not None:
            return self.scale[0], self.scale[1]
        assert self.scale_factor is not None
        return int(size[0] * self.scale_factor[0] + 0.5), int(size[1] * self.scale_factor[1] + 0.5)

    def _resize_annotations(self, results: Sample, size: tuple[int, int], factor: tuple[float, float]) -> None:
        shape = (size[1], size[0])
        for key in ("gt_bboxes", "proposals"):
            if results.get(key) is not None:
                boxes = scale_boxes(results[key], factor)
                results[key] = clip_boxes(boxes, shape) if self.clip_object_border else boxes
        if results.get("gt_masks") is not None:
            results["gt_masks"] = results["gt_masks"].resize(shape)
        if results.get("gt_seg_map") is not None:
            results["gt_seg_map"] = resize_image(results["gt_seg_map"], size, interpolation="nearest")


@TRANSFORMS.register_module()
class RandomResize(BaseTransform):
    """Resize (by `resize_type`) to a size drawn for each sample.

    With one `scale` (width, height) and `ratio_range`, both edges times a factor drawn uniformly; with two scales,
    each edge an integer drawn between theirs.
    """

    def __init__(
        self,
        scale: tuple[int, int] | Sequence[tuple[int, int]],
        ratio_range: tuple[float, float] | None = None,
        resize_type: str = "Resize",
        **resize_kwargs: Any,
    ) -> None:
        self.scale: Any = scale
        self.ratio_range = ratio_range
        self.is_single = isinstance(scale[0], int | float)
        if self.is_single and ratio_range is None:
            raise ConfigError("RandomResize with one `scale` needs `ratio_range`", code="missing-argument")
        self.resize = TRANSFORMS.build({"type": resize_type, "scale": 0, **resize_kwargs})

    def transform(self, results: Sample) -> Any:
        """Draw the size and resize."""
        self.resize.scale = self.random_scale()
        return self.resize(results)

    def fuse_with(self, following: Any) -> Any:
        """Return one transform for this and a RandomCrop after it, which computes the cropped window alone."""
        if type(following) is RandomCrop and type(self.resize) is Resize and self.resize.backend == "cv2":
            return RandomResizedWindow(self, following)
        return None

    def random_scale(self) -> tuple[int, int]:
        """Draw (width, height)."""
        if self.is_single:
            assert self.ratio_range is not None
            low, high = self.ratio_range
            ratio = np.random.random_sample() * (high - low) + low
            return int(self.scale[0] * ratio), int(self.scale[1] * ratio)
        edges = []
        for pick in (max, min):
            low, high = sorted(pick(each) for each in self.scale)
            edges.append(int(np.random.randint(low, high + 1)))
        return edges[0], edges[1]


@TRANSFORMS.register_module()
class RandomChoiceResize(BaseTransform):
    """Resize (by `resize_type`) to one of `scales`, drawn for each sample."""

    def __init__(
        self, scales: Sequence[int | tuple[int, int]], resize_type: str = "Resize", **resize_kwargs: Any
    ) -> None:
        self.scales = [(each, each) if isinstance(each, int) else each for each in scales]
        self.resize = TRANSFORMS.build({"type": resize_type, "scale": 0, **resize_kwargs})

    def transform(self, results: Sample) -> Any:
        """Draw the size and resize."""
        index = int(np.random.choice(len(self.scales)))
        self.resize.scale, results["scale_idx"] = self.scales[index], index
        return self.resize(results)
