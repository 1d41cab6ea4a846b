"""Masks: polygons rasterised as COCO's own tools do, run-length codes, and both kinds under the same operations."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mimctl.vision.structures.masks import BitmapMasks, PolygonMasks, polygons_to_bitmap, rle_to_bitmap

coder = pytest.importorskip("pycocotools.mask", reason="the peer of the comparison")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pycocotools")


def test_polygons_are_rasterised_pixel_for_pixel_like_coco() -> None:
    generator = np.random.default_rng(0)
    for _ in range(100):
        height, width = (int(each) for each in generator.integers(10, 300, 2))
        corners = int(generator.integers(3, 12))
        points = (generator.uniform(-0.05, 1.05, (corners, 2)) * [width, height]).round(2).reshape(-1)
        expected = coder.decode(coder.merge(coder.frPyObjects([points.tolist()], height, width)))
        np.testing.assert_array_equal(polygons_to_bitmap([points], height, width), expected)


def test_real_polygons_and_codes_are_rasterised_like_coco(test_data: Path) -> None:
    compared = 0
    for path in sorted((test_data / "mmdet").rglob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict) or "annotations" not in document:
            continue
        sizes = {image["id"]: (image["height"], image["width"]) for image in document["images"]}
        for each in document["annotations"][:50]:
            code = each.get("segmentation")
            if not code or each["image_id"] not in sizes:
                continue
            packed = coder.frPyObjects(code, *sizes[each["image_id"]])
            packed = coder.merge(packed) if isinstance(packed, list) else packed
            expected = coder.decode(packed)
            np.testing.assert_array_equal(rle_to_bitmap(packed), expected)
            if isinstance(code, list):
                arrays = [np.array(polygon) for polygon in code]
                np.testing.assert_array_equal(polygons_to_bitmap(arrays, *sizes[each["image_id"]]), expected)
            else:
                np.testing.assert_array_equal(rle_to_bitmap(code), expected)
            compared += 1
    if not compared:
        pytest.skip("no COCO annotations with masks in the test data")


@pytest.fixture
def pair() -> tuple[BitmapMasks, PolygonMasks]:
    """Return two rectangles, as bitmaps and as polygons."""
    boxes = [(4, 6, 20, 18), (10, 2, 30, 10)]
    polygons = [[[x1, y1, x2, y1, x2, y2, x1, y2]] for x1, y1, x2, y2 in boxes]
    both = PolygonMasks(polygons, 24, 32)
    return both.to_bitmap(), both


def test_both_kinds_agree_under_every_operation(pair: tuple[BitmapMasks, PolygonMasks]) -> None:
    for bitmap, polygon in zip(
        *(
            [
                masks,
                masks.flip("horizontal"),
                masks.flip("vertical"),
                masks.flip("diagonal"),
                masks.resize((48, 64)),
                masks.rescale(2.0),
                masks.pad((30, 40)),
                masks.crop((8, 4, 16, 12)),
                masks.translate((24, 40), 5, "horizontal"),
                masks.translate((30, 32), 3, "vertical"),
                masks[np.array([False, True])],
                masks[[1, 0]],
                type(masks).cat([masks, masks]),
            ]
            for masks in pair
        ),
        strict=True,
    ):
        assert (bitmap.height, bitmap.width, len(bitmap)) == (polygon.height, polygon.width, len(polygon))
        np.testing.assert_array_equal(bitmap.to_ndarray(), polygon.to_ndarray())
        np.testing.assert_array_equal(bitmap.get_bboxes(), polygon.get_bboxes())
        np.testing.assert_allclose(bitmap.areas, polygon.areas)


def test_an_object_outside_of_the_crop_has_no_area(pair: tuple[BitmapMasks, PolygonMasks]) -> None:
    for masks in pair:
        cropped = masks.crop((0, 12, 8, 24))
        assert cropped.areas.tolist() == [4 * 6, 0]


def test_masks_become_a_tensor(pair: tuple[BitmapMasks, PolygonMasks]) -> None:
    assert pair[0].to_tensor(torch.float32, "cpu").sum() == pair[1].to_tensor(torch.float32, "cpu").sum()


def test_masks_of_another_size_than_the_image_are_refused() -> None:
    with pytest.raises(ValueError, match="masks of"):
        BitmapMasks(np.zeros((1, 4, 4), np.uint8), 4, 5)
