"""Draw results onto pictures: boxes with labels and scores, masks, in colours that stay apart."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Picture = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]


@cache
def palette(count: int) -> tuple[Colour, ...]:
    """Return `count` RGB colours (0..255) whose hues are spread by the golden ratio, bright enough to read on."""
    hues = (np.arange(count) * 0.61803398875 + 0.02) % 1.0
    hsv = np.stack([hues * 179, np.full(count, 200), np.full(count, 230)], axis=-1).astype(np.uint8)[None]
    return tuple((int(r), int(g), int(b)) for r, g, b in cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0])


def draw_boxes(
    picture: Picture,
    boxes: npt.NDArray[Any],
    labels: Sequence[int],
    *,
    scores: Sequence[float] | None = None,
    classes: Sequence[str] = (),
    colours: Sequence[Colour] | None = None,
) -> Picture:
    """Return a copy of the picture with boxes drawn on it.

    `picture` is (H, W, 3) uint8 RGB, `boxes` (N, 4) as x1, y1, x2, y2 in pixels, `labels` N class indices, `scores`
    N numbers in 0..1. The line width and the text follow the size of the picture. Of names that lie over each other
    the one of the higher score is on top.
    """
    canvas = np.ascontiguousarray(picture).copy()
    height, width = canvas.shape[:2]
    line = max(1, round(min(height, width) / 320))
    chosen = colours or palette(max([len(classes), *(label + 1 for label in labels), 1]))
    order = np.argsort(-_areas(boxes), kind="stable")  # small boxes last, so that they stay visible
    for index in order:
        x1, y1, x2, y2 = (round(float(value)) for value in boxes[index])
        cv2.rectangle(canvas, (x1, y1), (x2, y2), chosen[labels[index] % len(chosen)], line)
    drawing = ImageDraw.Draw(image := Image.fromarray(canvas))
    font = _font(max(10, round(min(height, width) / 36)))
    for index in order if scores is None else np.argsort(scores, kind="stable"):
        label = labels[index]
        name = classes[label] if label < len(classes) else str(label)
        text = name if scores is None else f"{name} {scores[index]:.2f}"
        _write(drawing, text, boxes[index], font, chosen[label % len(chosen)], width=width)
    return np.asarray(image).copy()


def draw_masks(
    picture: Picture, masks: npt.NDArray[np.bool_], labels: Sequence[int], *, opacity: float = 0.5
) -> Picture:
    """Return a copy of the (H, W, 3) picture with (N, H, W) masks laid over it in their classes' colours."""
    canvas = picture.astype(np.float32)
    colours = palette(max([*(label + 1 for label in labels), 1]))
    for mask, label in zip(masks, labels, strict=True):
        canvas[mask] = canvas[mask] * (1 - opacity) + np.array(colours[label], np.float32) * opacity
    return canvas.astype(np.uint8)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _areas(boxes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    areas: npt.NDArray[Any] = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return areas


def _write(
    drawing: ImageDraw.ImageDraw, text: str, box: npt.NDArray[Any], font: Any, colour: Colour, *, width: int
) -> None:
    left, _, right, bottom = drawing.textbbox((0, 0), text, font=font)
    x = min(max(float(box[0]), 0.0), max(width - (right - left) - 4.0, 0.0))
    y = float(box[1]) - bottom - 2
    y = y if y >= 0 else float(box[1])
    drawing.rectangle((x, y, x + right - left + 4, y + bottom + 2), fill=colour)
    ink = (0, 0, 0) if sum(colour) > 330 else (255, 255, 255)
    drawing.text((x + 2 - left, y), text, fill=ink, font=font)
