"""Affine maps and SSD's transforms: boxes stay on their squares."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from mimctl.vision.structures.masks import BitmapMasks
from mimctl.vision.transforms import Expand, MinIoURandomCrop, RandomAffine
from mimctl.vision.transforms.affine import map_boxes

BOX = [30, 40, 70, 60]


def sample(**more: Any) -> dict[str, Any]:
    image = np.zeros((100, 120, 3), np.uint8)
    image[BOX[1] : BOX[3], BOX[0] : BOX[2]] = 255
    return {
        "img": image,
        "gt_bboxes": np.array([BOX], np.float32),
        "gt_bboxes_labels": np.array([3]),
        "gt_ignore_flags": np.zeros(1, bool),
        **more,
    }


def seen(image: Any) -> list[int]:
    rows, columns = np.nonzero(image[..., 0] > 127)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_a_map_that_changes_nothing() -> None:
    still = RandomAffine(0.0, 0.0, (1.0, 1.0), 0.0)
    results = still(sample())
    np.testing.assert_array_equal(results["img"], sample()["img"])
    assert results["gt_bboxes"].tolist() == [BOX]


def test_scaling_about_the_corner_and_a_negative_border() -> None:
    half = RandomAffine(0.0, 0.0, (0.5, 0.5), 0.0, border=(-30, -25))
    results = half(sample())
    assert results["img"].shape == (50, 60, 3)
    assert results["gt_bboxes"].tolist() == [[15, 20, 35, 30]]


def test_boxes_stay_around_their_squares() -> None:
    random.seed(0)
    for _ in range(20):
        results = RandomAffine(border_val=(0, 0, 0))(sample())
        if len(results["gt_bboxes"]):
            np.testing.assert_allclose(results["gt_bboxes"][0], seen(results["img"]), atol=1.5)
            assert results["gt_bboxes_labels"].tolist() == [3]


def test_a_quarter_turn_of_a_box() -> None:
    turned = map_boxes(np.array([[1, 2, 5, 3]], np.float32), np.array([[0.0, -1, 10], [1, 0, 0], [0, 0, 1]]))
    assert turned.tolist() == [[7, 1, 8, 5]]


def test_expand_moves_boxes_with_the_picture() -> None:
    np.random.seed(0)
    masks = BitmapMasks((sample()["img"][None, ..., 0] > 0).astype(np.uint8), 100, 120)
    for _ in range(10):
        results = Expand(mean=(1, 2, 3), ratio_range=(1, 3), prob=1.0)(sample(gt_masks=masks))
        assert results["gt_bboxes"][0].tolist() == seen(results["img"])
        assert results["gt_masks"].get_bboxes()[0].tolist() == seen(results["img"])
        assert results["img_shape"] == results["img"].shape[:2]
    assert Expand(prob=0.0)(sample())["img"].shape == (100, 120, 3)


def test_crop_with_least_overlap_keeps_objects_by_their_centre() -> None:
    np.random.seed(0)
    sizes = set()
    for _ in range(30):
        results = MinIoURandomCrop(min_ious=(0.1,))(sample())
        sizes.add(results["img"].shape)
        assert results["gt_bboxes"][0].tolist() == seen(results["img"])
    assert len(sizes) > 5


def test_the_least_overlap_is_kept() -> None:
    np.random.seed(1)
    crop = MinIoURandomCrop()
    crop.modes = (0.5,)
    whole = np.array([[0, 0, 120, 100]], np.float32)
    for _ in range(20):
        height, width = crop(sample(gt_bboxes=whole))["img"].shape[:2]
        assert height * width >= 0.5 * 120 * 100
