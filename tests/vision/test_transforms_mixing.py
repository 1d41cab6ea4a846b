"""Mosaic and mix-up: where the pieces and their boxes land, and what the caches hold."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from mimctl.engine.data import SampleIndex
from mimctl.engine.data.randomness import seeded
from mimctl.errors import ConfigError
from mimctl.vision.structures.masks import BitmapMasks
from mimctl.vision.transforms import CachedMixUp, CachedMosaic, MixUp, Mosaic


def piece(value: int, height: int = 64, width: int = 64, box: Any = (8, 8, 40, 40), **more: Any) -> dict[str, Any]:
    """Return a dark sample with one bright square whose colour tells the samples apart."""
    image = np.full((height, width, 3), value, np.uint8)
    boxes = [box] if box else []
    masks = np.zeros((len(boxes), height, width), np.uint8)
    for number, (x1, y1, x2, y2) in enumerate(boxes):
        image[y1:y2, x1:x2] = value + 100
        masks[number, y1:y2, x1:x2] = 1
    return {
        "img": image,
        "img_shape": (height, width),
        "gt_bboxes": np.array(boxes, np.float32).reshape(-1, 4),
        "gt_bboxes_labels": np.full(len(boxes), value),
        "gt_ignore_flags": np.zeros(len(boxes), bool),
        "gt_masks": BitmapMasks(masks, height, width),
        **more,
    }


def bright_box(image: Any, value: int) -> list[int]:
    rows, columns = np.nonzero(image[..., 0] == value + 100)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_mosaic_puts_four_pieces_around_the_centre_with_boxes_on_their_squares() -> None:
    random.seed(3)
    for _ in range(10):
        mosaic = Mosaic(img_scale=(64, 64), pad_val=7)
        results = mosaic({**piece(10), "mix_results": [piece(20), piece(30), piece(40)]})
        assert results["img"].shape == (128, 128, 3)
        for box, label, mask in zip(
            results["gt_bboxes"], results["gt_bboxes_labels"], results["gt_masks"].get_bboxes(), strict=True
        ):
            assert box.tolist() == bright_box(results["img"], label) == mask.tolist()


def test_mosaic_resizes_pieces_into_their_room() -> None:
    random.seed(0)
    mosaic = Mosaic(img_scale=(64, 32), center_ratio_range=(1.0, 1.0))
    results = mosaic({**piece(10, 64, 64), "mix_results": [piece(20, 32, 64)] * 3})
    # a square of 64 fits into 64 x 32 at half its size, and its corner lies at the centre (64, 32)
    assert results["gt_bboxes"][0].tolist() == [32 + 4, 0 + 4, 32 + 20, 0 + 20]
    assert results["img"].shape == (64, 128, 3)


def test_cached_mosaic_waits_for_five_images_and_keeps_inputs_whole() -> None:
    random.seed(0)
    mosaic = CachedMosaic(img_scale=(64, 64), max_cached_images=8)
    for number in range(20):
        given = piece(number + 1)
        before = given["img"].copy()
        results = mosaic(dict(given))
        np.testing.assert_array_equal(given["img"], before)
        assert results["img"].shape[0] == (64 if number < 4 else 128)
        assert len(mosaic.cache) == min(number + 1, 8)
    with pytest.raises(ConfigError):
        CachedMosaic(max_cached_images=3)


def test_caches_start_empty_in_each_epoch() -> None:
    mosaic = CachedMosaic(img_scale=(64, 64))
    for epoch, size in ((0, 1), (0, 2), (1, 1)):
        with seeded(SampleIndex(0, 0, epoch, size)):
            mosaic(piece(1))
        assert len(mosaic.cache) == size


def test_mixup_is_half_of_each_with_the_boxes_of_both() -> None:
    random.seed(0)
    mix = MixUp(img_scale=(64, 64), ratio_range=(1.0, 1.0), flip_ratio=1.0)
    results = mix({**piece(10), "mix_results": [piece(50, box=(20, 30, 50, 60))]})
    assert results["img"][0, 0, 0] == 30
    assert results["gt_bboxes"].tolist() == [[8, 8, 40, 40], [20, 30, 50, 60]]
    assert results["gt_bboxes_labels"].tolist() == [10, 50]
    assert results["gt_masks"].get_bboxes().tolist() == results["gt_bboxes"].tolist()


def test_mixup_mirrors_boxes_and_masks() -> None:
    random.seed(0)
    mix = MixUp(img_scale=(64, 64), ratio_range=(1.0, 1.0), flip_ratio=0.0)
    results = mix({**piece(10), "mix_results": [piece(50, box=(20, 30, 50, 60))]})
    assert results["gt_bboxes"][1].tolist() == [64 - 50, 30, 64 - 20, 60]
    assert results["gt_masks"].get_bboxes()[1].tolist() == [14, 30, 44, 60]


@pytest.mark.parametrize("ratio", [0.5, 1.7])
def test_mixup_scaled_boxes_lie_in_the_window_on_their_square(ratio: float) -> None:
    random.seed(1)
    mix = MixUp(img_scale=(64, 64), ratio_range=(ratio, ratio), flip_ratio=1.0, pad_val=0)
    for _ in range(10):
        results = mix({**piece(0, box=None), "mix_results": [piece(0, box=(10, 10, 50, 50))]})
        rows, columns = np.nonzero(results["img"][..., 0] > 25)
        seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(results["gt_bboxes"][0], seen, atol=1.0)


def test_mixup_leaves_the_sample_where_the_other_has_no_objects() -> None:
    results = MixUp(img_scale=(64, 64))({**piece(10), "mix_results": [piece(50, box=None)]})
    assert results["img"][0, 0, 0] == 10


def test_cached_mixup_prefers_images_with_objects() -> None:
    random.seed(0)
    mix = CachedMixUp(img_scale=(64, 64), ratio_range=(1.0, 1.0), max_cached_images=4, random_pop=False)
    for number in range(8):
        results = mix(piece(number, box=(8, 8, 40, 40) if number % 2 else None))
        assert len(mix.cache) == min(number + 1, 4)
    assert 1 <= len(results["gt_bboxes"]) <= 2
