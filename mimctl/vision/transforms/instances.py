"""The fields of a sample that run along its objects: boxes, labels, ignore flags and masks, kept in step.

Boxes are float32 arrays (N, 4), x1 y1 x2 y2 in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimctl.engine.data.transform import Sample

Boxes = NDArray[np.float32]
INSTANCE_KEYS = ("gt_bboxes", "gt_bboxes_labels", "gt_ignore_flags", "gt_masks")


def select_instances(results: Sample, keep: NDArray[np.bool_]) -> None:
    """Keep only the objects where `keep` (N,) is true."""
    if keep.all():
        return
    for key in INSTANCE_KEYS:
        if key in results:
            results[key] = results[key][keep]


def join_instances(results: Sample, others: Sequence[Sample]) -> None:
    """Append the objects of other samples; masks must have been brought to one size."""
    for key in INSTANCE_KEYS:
        if key not in results:
            continue
        parts = [results[key], *(each[key] for each in others)]
        results[key] = type(parts[0]).cat(parts) if key == "gt_masks" else np.concatenate(parts)


def scale_boxes(boxes: Boxes, scale: tuple[float, float]) -> Boxes:
    """Return boxes multiplied by (x, y) factors."""
    return boxes * np.array([scale[0], scale[1]] * 2, np.float32)


def move_boxes(boxes: Boxes, dx: float, dy: float) -> Boxes:
    """Return boxes moved by pixels."""
    return boxes + np.array([dx, dy, dx, dy], np.float32)


def clip_boxes(boxes: Boxes, shape: Sequence[int]) -> Boxes:
    """Return boxes cut off at an image of (height, width)."""
    height, width = shape[:2]
    return np.clip(boxes, 0, np.array([width, height, width, height], np.float32))


def flip_boxes(boxes: Boxes, shape: Sequence[int], direction: str) -> Boxes:
    """Return boxes mirrored in an image of (height, width): `horizontal`, `vertical` or `diagonal` (both)."""
    height, width = shape[:2]
    flipped = boxes.copy()
    if direction in ("horizontal", "diagonal"):
        flipped[:, 0], flipped[:, 2] = width - boxes[:, 2], width - boxes[:, 0]
    if direction in ("vertical", "diagonal"):
        flipped[:, 1], flipped[:, 3] = height - boxes[:, 3], height - boxes[:, 1]
    return flipped


def boxes_inside(boxes: Boxes, shape: Sequence[int]) -> NDArray[np.bool_]:
    """Tell which boxes share some area with an image of (height, width)."""
    height, width = shape[:2]
    inside: NDArray[np.bool_] = (boxes[:, 0] < width) & (boxes[:, 1] < height) & (boxes[:, 2] > 0) & (boxes[:, 3] > 0)
    return inside


def box_sizes(boxes: Boxes) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return widths and heights."""
    return boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
