"""Instance masks while a sample is being transformed: as bitmaps (N, H, W) or as polygons.

Both have the same operations and bear MMDetection's names and semantics; every operation returns new masks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

Polygon = NDArray[np.float64]


class Masks(Protocol):
    """What a transform may ask of masks; sizes are (height, width), boxes xyxy in pixels."""

    height: int
    width: int

    def __len__(self) -> int: ...
    def __getitem__(self, index: Any) -> Masks: ...
    def resize(self, out_shape: tuple[int, int], interpolation: str = "nearest") -> Masks: ...
    def flip(self, flip_direction: str = "horizontal") -> Masks: ...
    def pad(self, out_shape: tuple[int, int], pad_val: int = 0) -> Masks: ...
    def crop(self, bbox: Sequence[int]) -> Masks: ...
    def translate(self, out_shape: tuple[int, int], offset: int, direction: str = "horizontal") -> Masks: ...
    def get_bboxes(self) -> NDArray[np.float32]: ...


class BitmapMasks:
    """Masks as a uint8 array (N, height, width) of 0 and 1."""

    def __init__(self, masks: NDArray[np.uint8] | Sequence[NDArray[np.uint8]], height: int, width: int) -> None:
        self.height, self.width = height, width
        stacked = np.stack(list(masks)) if len(masks) else np.zeros((0, height, width), np.uint8)
        if stacked.shape[1:] != (height, width):
            raise ValueError(f"masks of {stacked.shape[1:]} for an image of {(height, width)}")
        self.masks = stacked.astype(np.uint8, copy=False)

    def __len__(self) -> int:
        return len(self.masks)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return iter(self.masks)

    def __getitem__(self, index: Any) -> BitmapMasks:
        chosen = self.masks[index].reshape(-1, self.height, self.width)
        return BitmapMasks(chosen, self.height, self.width)

    @property
    def areas(self) -> NDArray[np.int64]:
        """Return the number of pixels of each mask."""
        areas: NDArray[np.int64] = self.masks.sum((1, 2), dtype=np.int64)
        return areas

    def rescale(self, scale: float | tuple[int, int], interpolation: str = "nearest") -> BitmapMasks:
        """Resize keeping the ratio: by a factor, or to fit inside (long edge, short edge)."""
        return self.resize(_rescaled(self.height, self.width, scale), interpolation)

    def resize(self, out_shape: tuple[int, int], interpolation: str = "nearest") -> BitmapMasks:
        """Resize to (height, width)."""
        how = cv2.INTER_NEAREST if interpolation == "nearest" else cv2.INTER_LINEAR
        resized = [cv2.resize(mask, out_shape[::-1], interpolation=how) for mask in self.masks]
        return BitmapMasks(np.array(resized, np.uint8).reshape(-1, *out_shape), *out_shape)

    def flip(self, flip_direction: str = "horizontal") -> BitmapMasks:
        """Mirror: `horizontal`, `vertical` or `diagonal` (both)."""
        vertical = -1 if flip_direction in ("vertical", "diagonal") else 1
        horizontal = -1 if flip_direction in ("horizontal", "diagonal") else 1
        return BitmapMasks(self.masks[:, ::vertical, ::horizontal], self.height, self.width)

    def pad(self, out_shape: tuple[int, int], pad_val: int = 0) -> BitmapMasks:
        """Extend at the right and the bottom to (height, width)."""
        padded = np.full((len(self), *out_shape), pad_val, np.uint8)
        padded[:, : self.height, : self.width] = self.masks
        return BitmapMasks(padded, *out_shape)

    def crop(self, bbox: Sequence[int]) -> BitmapMasks:
        """Cut out x1, y1, x2, y2 (pixels, the end left out)."""
        x1, y1, x2, y2 = _inside(bbox, self.height, self.width)
        return BitmapMasks(self.masks[:, y1:y2, x1:x2], y2 - y1, x2 - x1)

    def translate(
        self, out_shape: tuple[int, int], offset: int, direction: str = "horizontal", border_value: int = 0
    ) -> BitmapMasks:
        """Move by whole pixels to the right (`horizontal`) or down (`vertical`), on a canvas of (height, width)."""
        dx, dy = (offset, 0) if direction == "horizontal" else (0, offset)
        moved = np.full((len(self), *out_shape), border_value, np.uint8)
        y1, y2 = max(0, dy), min(out_shape[0], self.height + dy)
        x1, x2 = max(0, dx), min(out_shape[1], self.width + dx)
        if y2 > y1 and x2 > x1:
            moved[:, y1:y2, x1:x2] = self.masks[:, y1 - dy : y2 - dy, x1 - dx : x2 - dx]
        return BitmapMasks(moved, *out_shape)

    def expand(self, expanded_h: int, expanded_w: int, top: int, left: int) -> BitmapMasks:
        """Put the masks on a larger canvas with their corner at (left, top)."""
        canvas = np.zeros((len(self), expanded_h, expanded_w), np.uint8)
        canvas[:, top : top + self.height, left : left + self.width] = self.masks
        return BitmapMasks(canvas, expanded_h, expanded_w)

    def get_bboxes(self) -> NDArray[np.float32]:
        """Return the boxes (N, 4) around the masks; an empty mask has the box 0, 0, 0, 0."""
        boxes = np.zeros((len(self), 4), np.float32)
        for number, mask in enumerate(self.masks):
            columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
            if len(columns):
                boxes[number] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        return boxes

    def to_ndarray(self) -> NDArray[np.uint8]:
        """Return the array (N, height, width)."""
        return self.masks

    def to_bitmap(self) -> BitmapMasks:
        """Return the masks themselves."""
        return self

    def to_tensor(self, dtype: torch.dtype, device: torch.device | str) -> torch.Tensor:
        """Return a tensor (N, height, width)."""
        return torch.as_tensor(np.ascontiguousarray(self.masks), dtype=dtype, device=device)

    @classmethod
    def cat(cls, masks: Sequence[BitmapMasks]) -> BitmapMasks:
        """Join masks of one size."""
        return cls(np.concatenate([each.masks for each in masks]), masks[0].height, masks[0].width)


class PolygonMasks:
    """Masks as polygons: for each object a list of flat arrays x1, y1, x2, y2, … in pixels."""

    def __init__(self, masks: Sequence[Sequence[Any]], height: int, width: int) -> None:
        self.height, self.width = height, width
        self.masks: list[list[Polygon]] = [
            [np.asarray(polygon, np.float64).reshape(-1) for polygon in polygons] for polygons in masks
        ]

    def __len__(self) -> int:
        return len(self.masks)

    def __iter__(self) -> Iterator[list[Polygon]]:
        return iter(self.masks)

    def __getitem__(self, index: Any) -> PolygonMasks:
        chosen = np.atleast_1d(np.arange(len(self))[index])
        return PolygonMasks([self.masks[each] for each in chosen], self.height, self.width)

    @property
    def areas(self) -> NDArray[np.float64]:
        """Return the area of each object (the sum of its polygons' areas)."""
        return np.array([sum(map(_polygon_area, polygons)) for polygons in self.masks], np.float64)

    def rescale(self, scale: float | tuple[int, int], interpolation: str = "nearest") -> PolygonMasks:
        """Resize keeping the ratio: by a factor, or to fit inside (long edge, short edge)."""
        return self.resize(_rescaled(self.height, self.width, scale))

    def resize(self, out_shape: tuple[int, int], interpolation: str = "nearest") -> PolygonMasks:
        """Resize to (height, width)."""
        factor = np.array([out_shape[1] / self.width, out_shape[0] / self.height])
        return self._mapped(lambda points: points * factor, out_shape)

    def flip(self, flip_direction: str = "horizontal") -> PolygonMasks:
        """Mirror: `horizontal`, `vertical` or `diagonal` (both)."""
        sign, shift = np.ones(2), np.zeros(2)
        if flip_direction in ("horizontal", "diagonal"):
            sign[0], shift[0] = -1, self.width
        if flip_direction in ("vertical", "diagonal"):
            sign[1], shift[1] = -1, self.height
        return self._mapped(lambda points: points * sign + shift, (self.height, self.width))

    def pad(self, out_shape: tuple[int, int], pad_val: int = 0) -> PolygonMasks:
        """Extend at the right and the bottom to (height, width)."""
        return self._mapped(lambda points: points, out_shape)

    def crop(self, bbox: Sequence[int]) -> PolygonMasks:
        """Cut out x1, y1, x2, y2 (pixels); an object outside becomes one polygon without area."""
        x1, y1, x2, y2 = _inside(bbox, self.height, self.width)
        size = np.array([x2 - x1, y2 - y1])
        clipped = [
            [_clip_polygon(polygon.reshape(-1, 2) - (x1, y1), size) for polygon in polygons] for polygons in self.masks
        ]
        kept = [[each for each in polygons if len(each)] or [np.zeros(6)] for polygons in clipped]
        return PolygonMasks(kept, y2 - y1, x2 - x1)

    def translate(self, out_shape: tuple[int, int], offset: int, direction: str = "horizontal") -> PolygonMasks:
        """Move to the right (`horizontal`) or down (`vertical`); points stay within (height, width)."""
        shift = np.array([offset, 0]) if direction == "horizontal" else np.array([0, offset])
        size = np.array(out_shape[::-1])
        return self._mapped(lambda points: np.clip(points + shift, 0, size), out_shape)

    def get_bboxes(self) -> NDArray[np.float32]:
        """Return the boxes (N, 4) around the polygons."""
        boxes = np.zeros((len(self), 4), np.float32)
        for number, polygons in enumerate(self.masks):
            points = np.concatenate(polygons).reshape(-1, 2)
            boxes[number] = *points.min(0), *points.max(0)
        return boxes

    def to_bitmap(self) -> BitmapMasks:
        """Return the masks as bitmaps of the image's size."""
        return BitmapMasks(self.to_ndarray(), self.height, self.width)

    def to_ndarray(self) -> NDArray[np.uint8]:
        """Return an array (N, height, width)."""
        drawn = [polygons_to_bitmap(polygons, self.height, self.width) for polygons in self.masks]
        return np.stack(drawn) if drawn else np.zeros((0, self.height, self.width), np.uint8)

    def to_tensor(self, dtype: torch.dtype, device: torch.device | str) -> torch.Tensor:
        """Return a tensor (N, height, width)."""
        return torch.as_tensor(self.to_ndarray(), dtype=dtype, device=device)

    @classmethod
    def cat(cls, masks: Sequence[Self]) -> PolygonMasks:
        """Join masks of one size."""
        return cls([each for part in masks for each in part.masks], masks[0].height, masks[0].width)

    def _mapped(self, function: Any, out_shape: tuple[int, int]) -> PolygonMasks:
        moved = [[function(polygon.reshape(-1, 2)) for polygon in polygons] for polygons in self.masks]
        return PolygonMasks(moved, *out_shape)


def polygons_to_bitmap(polygons: Sequence[Polygon], height: int, width: int) -> NDArray[np.uint8]:
    """Return the union of polygons as a bitmap, pixel for pixel as COCO's tools rasterise them.

    Source: COCO API `rleFrPoly`: edges are walked on a grid five times as fine, and a column's crossings toggle it.
    """
    union = np.zeros((height, width), np.uint8)
    for polygon in polygons:
        if len(polygon) >= 6:
            union |= _rasterise(np.asarray(polygon, np.float64).reshape(-1, 2), height, width)
    return union


def rle_to_bitmap(rle: dict[str, Any]) -> NDArray[np.uint8]:
    """Return the bitmap of COCO's run-length code: `size` (height, width), `counts` a list or the packed string."""
    height, width = (int(each) for each in rle["size"])
    counts = rle["counts"]
    runs = _unpack_counts(counts) if isinstance(counts, str | bytes) else counts
    flat = np.repeat(np.arange(len(runs)) % 2, runs).astype(np.uint8)
    return flat.reshape(width, height).T


def _rasterise(points: NDArray[np.float64], height: int, width: int) -> NDArray[np.uint8]:
    fine = (points * 5 + 0.5).astype(np.int64)  # truncation towards zero, as in C
    closed = np.vstack([fine, fine[:1]])
    walked = [_walk(start, end) for start, end in itertools.pairwise(closed)]
    xs, ys = (np.concatenate([each[axis] for each in walked]) for axis in (0, 1))
    turns = np.flatnonzero(xs[1:] != xs[:-1]) + 1
    column = (np.where(xs[turns] < xs[turns - 1], xs[turns], xs[turns] - 1) + 0.5) / 5 - 0.5
    row = np.ceil(np.clip((np.minimum(ys[turns], ys[turns - 1]) + 0.5) / 5 - 0.5, 0, height)).astype(np.int64)
    real = (np.floor(column) == column) & (column >= 0) & (column <= width - 1)
    crossings = column[real].astype(np.int64) * height + row[real]
    toggles = np.bincount(crossings, minlength=height * width + 1)[: height * width]
    return (np.cumsum(toggles) & 1).astype(np.uint8).reshape(width, height).T


def _walk(start: NDArray[np.int64], end: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    (x1, y1), (x2, y2) = start.tolist(), end.tolist()
    dx, dy = abs(x2 - x1), abs(y2 - y1)
    swapped = (dx >= dy and x1 > x2) or (dx < dy and y1 > y2)
    if swapped:
        x1, y1, x2, y2 = x2, y2, x1, y1
    slope = ((y2 - y1) / dx if dx else 0.0) if dx >= dy else (x2 - x1) / dy
    steps = np.arange(max(dx, dy) + 1)
    if swapped:
        steps = steps[::-1]
    if dx >= dy:
        return steps + x1, (y1 + slope * steps + 0.5).astype(np.int64)
    return (x1 + slope * steps + 0.5).astype(np.int64), steps + y1


def _unpack_counts(packed: str | bytes) -> list[int]:
    """Return the runs of COCO's packed string: six bits a character, differences from the run before the last."""
    text = packed.encode("ascii") if isinstance(packed, str) else packed
    runs: list[int] = []
    position = 0
    while position < len(text):
        value, shift, more = 0, 0, True
        while more:
            bits = text[position] - 48
            value |= (bits & 0x1F) << shift
            more = bool(bits & 0x20)
            position, shift = position + 1, shift + 5
            if not more and bits & 0x10:
                value |= -1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs


def _polygon_area(polygon: Polygon) -> float:
    x, y = polygon[0::2], polygon[1::2]
    return float(0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))))


def _clip_polygon(points: NDArray[np.float64], size: NDArray[np.int64]) -> NDArray[np.float64]:
    """Clip a polygon (K, 2) to 0..size, edge of the window by edge (Sutherland and Hodgman, 1974)."""
    for axis, sign, bound in ((0, 1, 0.0), (0, -1, float(size[0])), (1, 1, 0.0), (1, -1, float(size[1]))):
        if not len(points):
            break
        distance = sign * (points[:, axis] - bound)
        kept: list[NDArray[np.float64]] = []
        for number in range(len(points)):
            before, here = distance[number - 1], distance[number]
            if (before >= 0) != (here >= 0):
                share = before / (before - here)
                kept.append(points[number - 1] + share * (points[number] - points[number - 1]))
            if here >= 0:
                kept.append(points[number])
        points = np.array(kept).reshape(-1, 2)
    return points.reshape(-1)


def _inside(bbox: Sequence[int], height: int, width: int) -> tuple[int, int, int, int]:
    x1, x2 = (min(max(int(each), 0), width) for each in (bbox[0], bbox[2]))
    y1, y2 = (min(max(int(each), 0), height) for each in (bbox[1], bbox[3]))
    return x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)


def _rescaled(height: int, width: int, scale: float | tuple[int, int]) -> tuple[int, int]:
    factor = scale
    if isinstance(factor, tuple):
        factor = min(max(factor) / max(height, width), min(factor) / min(height, width))
    return int(height * factor + 0.5), int(width * factor + 0.5)
