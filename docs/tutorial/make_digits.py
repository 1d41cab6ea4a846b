"""Compose the tutorial's data set: scenes of real scanned handwritten digits, with boxes and masks, in COCO format.

The digits are the 1,797 scans of the UCI "Optical Recognition of Handwritten Digits" test set that scikit-learn
carries. Scans of the validation and test scenes never occur in training scenes. The same seed gives the same bytes.

    python make_digits.py DIR [--train 2400] [--val 100] [--test 200] [--size 128] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPLIT_OF_SCANS = {"train": (0, 1297), "val": (1297, 1497), "test": (1497, 1797)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Digit:
    """One digit placed in a scene: its class, its pixels' mask (scene-sized, bool) and its tight box (x, y, w, h)."""

    label: int
    mask: np.ndarray
    box: tuple[int, int, int, int]


def compose_scene(scans: np.ndarray, labels: np.ndarray, size: int, rng: np.random.Generator) -> Any:
    """Return a (size, size, 3) uint8 BGR picture and its digits, which overlap little."""
    picture = paint_background(size, rng)
    digits: list[Digit] = []
    taken = np.zeros((size, size), bool)
    for _ in range(int(rng.integers(5, 14))):
        index = int(rng.integers(len(scans)))
        alpha = draw_scan(scans[index], size, rng)
        mask = alpha > 0.4
        if mask.sum() < 30 or (taken & mask).sum() > 0.03 * mask.sum():
            continue
        taken |= cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        ink = pick_ink(picture, mask, rng)
        picture = picture * (1 - alpha[..., None]) + ink * alpha[..., None]
        digits.append(Digit(label=int(labels[index]), mask=mask, box=tight_box(mask)))
    noise = rng.normal(0, rng.uniform(1, 8), picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8), digits


def paint_background(size: int, rng: np.random.Generator) -> np.ndarray:
    """Return a smooth random colour field, (size, size, 3) float, sometimes with ruled lines as on paper."""
    cells = int(rng.integers(2, 6))
    field = rng.uniform(0, 255, 3) + rng.normal(0, rng.uniform(5, 35), (cells, cells, 3))
    picture = np.clip(cv2.resize(field.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC), 0, 255)
    if rng.random() < 0.4:
        step, offset = int(rng.integers(12, 32)), int(rng.integers(12))
        line = picture.mean(axis=(0, 1)) + rng.normal(0, 30, 3)
        axis = picture if rng.random() < 0.5 else picture.transpose(1, 0, 2)  # a view: rows or columns
        axis[offset::step] = np.clip(line, 0, 255)
    return picture


def draw_scan(scan: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Place one 8 x 8 scan (values 0..16) at a random place, scale and small angle; return its opacity (size, size)."""
    side = float(rng.uniform(0.16, 0.42)) * size
    stretch = side / 8 * np.array([rng.uniform(0.75, 1.0), 1.0])
    angle, shear = np.deg2rad(rng.uniform(-15, 15)), rng.uniform(-0.15, 0.15)
    rotate = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = rotate @ np.array([[1, shear], [0, 1]]) @ np.diag(stretch)
    centre = rng.uniform(0.5 * side, size - 0.5 * side, 2)
    offset = centre - linear @ np.array([3.5, 3.5])
    warped = cv2.warpAffine(
        np.pad(scan / 16.0, 2).astype(np.float32),
        np.hstack([linear, (offset - linear @ [2, 2])[:, None]]),
        (size, size),
        flags=cv2.INTER_CUBIC,
    )
    return np.clip(warped * 1.6 - 0.25, 0, 1)


def pick_ink(picture: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a BGR colour that stands out from what lies under the mask."""
    under = picture[mask].mean(axis=0)
    for _ in range(20):
        ink = rng.uniform(0, 255, 3)
        if abs(float((ink - under).mean())) > 60:
            return ink
    return np.full(3, 0.0 if under.mean() > 127 else 255.0)


def tight_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Return (x, y, width, height) of the true pixels."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)


def polygons(mask: np.ndarray) -> list[list[float]]:
    """Return the mask's outer contours as COCO polygons [x1, y1, x2, y2, …]."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return [contour.reshape(-1).astype(float).tolist() for contour in contours if len(contour) >= 3]


def write_split(out: Path, split: str, count: int, size: int, seed: int) -> None:
    """Write `count` scenes as `<out>/<split>/*.jpg` and `<out>/annotations/<split>.json`."""
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    data = load_digits()
    first, last = SPLIT_OF_SCANS[split]
    scans, labels = data.images[first:last], data.target[first:last]
    rng = np.random.default_rng([seed, sorted(SPLIT_OF_SCANS).index(split)])
    (out / split).mkdir(parents=True, exist_ok=True)
    (out / "annotations").mkdir(exist_ok=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(count):
        picture, digits = compose_scene(scans, labels, size, rng)
        name = f"{number:05d}.jpg"
        cv2.imwrite(str(out / split / name), picture, [cv2.IMWRITE_JPEG_QUALITY, 92])
        images.append({"id": number, "file_name": name, "width": size, "height": size})
        for digit in digits:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": digit.label,
                    "bbox": digit.box,
                    "area": int(digit.mask.sum()),
                    "segmentation": polygons(digit.mask),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": label, "name": name} for label, name in enumerate(CLASSES)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (out / "annotations" / f"{split}.json").write_text(json.dumps(document), encoding="utf-8")


def main() -> None:
    """Read the command line and write all three splits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path)
    for split, count in (("train", 2400), ("val", 100), ("test", 200)):
        parser.add_argument(f"--{split}", type=int, default=count, help=f"number of {split} scenes")
    parser.add_argument("--size", type=int, default=128, help="side of a scene in pixels")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for split in SPLIT_OF_SCANS:
        write_split(arguments.out, split, getattr(arguments, split), arguments.size, arguments.seed)
    print(f"wrote {arguments.train} + {arguments.val} + {arguments.test} scenes to {arguments.out}")


if __name__ == "__main__":
    main()
