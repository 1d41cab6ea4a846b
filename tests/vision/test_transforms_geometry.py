"""Geometry: resize, crop, flip and pad move image, boxes, masks and segmentation map together."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from mimctl.engine.data import Compose
from mimctl.errors import ConfigError
from mimctl.vision.structures.masks import BitmapMasks, PolygonMasks
from mimctl.vision.transforms import (
    CenterCrop,
    FilterAnnotations,
    Pad,
    RandomChoiceResize,
    RandomCrop,
    RandomFlip,
    RandomResize,
    Resize,
    TestTimeAug,
)
from mimctl.vision.transforms.window import RandomResizedWindow

BOX = [10, 20, 50, 60]


def sample(height: int = 80, width: int = 120, boxes: Any = (BOX,), **more: Any) -> dict[str, Any]:
    image = np.zeros((height, width, 3), np.uint8)
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = 255
    count = len(boxes)
    return {
        "img": image,
        "img_shape": (height, width),
        "ori_shape": (height, width),
        "gt_bboxes": np.array(boxes, np.float32).reshape(-1, 4),
        "gt_bboxes_labels": np.arange(count),
        "gt_ignore_flags": np.zeros(count, bool),
        **more,
    }


def bitmap(results: dict[str, Any]) -> BitmapMasks:
    return BitmapMasks((results["img"][None, :, :, 0] > 127).astype(np.uint8), *results["img"].shape[:2])


def box_of(image: Any) -> list[float]:
    rows, columns = np.nonzero(image[..., 0] > 127)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_resize_keeps_the_ratio_within_the_room() -> None:
    results = Resize((60, 60), keep_ratio=True)(sample())
    assert results["img"].shape == (40, 60, 3)
    assert results["img_shape"] == (40, 60)
    assert results["scale_factor"] == (0.5, 0.5)
    assert results["gt_bboxes"].tolist() == [[5, 10, 25, 30]]
    assert results["gt_bboxes"].dtype == np.float32


def test_resize_tells_the_factor_really_reached() -> None:
    # 333 x 500 into 100 x 100: factor 0.2, 333 * 0.2 + 0.5 = 67.1 -> 67
    results = Resize((100, 100), keep_ratio=True)(sample(333, 500))
    assert results["img"].shape[:2] == (67, 100)
    assert results["scale_factor"] == pytest.approx((0.2, 67 / 333))


def test_resize_without_ratio_and_by_factor() -> None:
    assert Resize((30, 40))(sample())["img"].shape == (40, 30, 3)
    assert Resize(scale_factor=0.25)(sample())["img"].shape == (20, 30, 3)
    with pytest.raises(ConfigError):
        Resize()


def test_resize_takes_masks_and_segmentation_along() -> None:
    start = sample()
    start.update(gt_masks=bitmap(start), gt_seg_map=start["img"][..., 0] // 255)
    results = Resize((60, 40))(start)
    assert results["gt_masks"].get_bboxes().tolist() == [[5, 10, 25, 30]]
    assert results["gt_seg_map"].shape == (40, 60)
    assert set(np.unique(results["gt_seg_map"])) == {0, 1}


@pytest.mark.parametrize(
    ("direction", "box"),
    [
        ("horizontal", [70, 20, 110, 60]),
        ("vertical", [10, 20, 50, 60]),
        ("diagonal", [70, 20, 110, 60]),
    ],
)
def test_flip_moves_boxes_and_masks_with_the_picture(direction: str, box: list[int]) -> None:
    start = sample()
    polygon = [[10, 20, 50, 20, 50, 60, 10, 60]]
    start.update(gt_masks=PolygonMasks([polygon], 80, 120))
    results = RandomFlip(prob=1.0, direction=direction)(start)
    assert box_of(results["img"]) == box
    assert results["gt_bboxes"].tolist() == [box]
    assert results["gt_masks"].get_bboxes().tolist() == [box]
    assert results["flip_direction"] == direction


def test_flip_shares_its_probability_among_directions() -> None:
    np.random.seed(0)
    flip = RandomFlip(prob=[0.3, 0.5], direction=["horizontal", "vertical"])
    drawn = [flip.random_direction() for _ in range(2000)]
    assert [drawn.count(each) / 2000 for each in ("horizontal", "vertical", None)] == pytest.approx(
        [0.3, 0.5, 0.2], abs=0.04
    )
    with pytest.raises(ConfigError):
        RandomFlip(prob=[0.8, 0.9], direction=["horizontal", "vertical"])


def test_crop_keeps_boxes_in_step_with_pixels() -> None:
    np.random.seed(1)
    for _ in range(20):
        start = sample()
        start["gt_masks"] = bitmap(start)
        results = RandomCrop((90, 50))(start)
        assert results["img"].shape == (50, 90, 3)
        assert results["gt_bboxes"].tolist() == [box_of(results["img"])]
        assert results["gt_masks"].get_bboxes().tolist() == [box_of(results["img"])]


def test_crop_refuses_windows_without_objects_unless_allowed() -> None:
    np.random.seed(0)
    corner = [(0, 0, 2, 2)]
    refused = [RandomCrop((20, 20))(sample(boxes=corner)) for _ in range(30)]
    assert any(each is None for each in refused)
    allowed = [RandomCrop((20, 20), allow_negative_crop=True)(sample(boxes=corner)) for _ in range(30)]
    assert min(len(each["gt_bboxes"]) for each in allowed) == 0
    assert all(
        len(each["gt_bboxes"]) == len(each["gt_bboxes_labels"]) == len(each["gt_ignore_flags"]) for each in allowed
    )


@pytest.mark.parametrize(
    ("crop_type", "size", "low", "high"),
    [
        ("relative", (0.5, 0.25), (20, 60), (20, 60)),
        ("relative_range", (0.5, 0.5), (40, 60), (80, 120)),
        ("absolute_range", (30, 60), (30, 30), (60, 60)),
    ],
)
def test_crop_sizes(crop_type: str, size: Any, low: Any, high: Any) -> None:
    np.random.seed(0)
    crop = RandomCrop(size, crop_type=crop_type, allow_negative_crop=True)
    for _ in range(20):
        height, width = crop(sample())["img"].shape[:2]
        assert low[0] <= height <= high[0]
        assert low[1] <= width <= high[1]


def test_crop_recomputes_boxes_from_masks() -> None:
    image = sample()
    image["gt_masks"] = PolygonMasks([[[0, 0, 120, 0, 0, 80]]], 80, 120)  # a triangle with its right angle at 0, 0
    image["gt_bboxes"] = np.array([[0, 0, 120, 80]], np.float32)
    results = CenterCrop((60, 40))(image)
    assert results["gt_bboxes"].tolist() == [[0, 0, 60, 40]]
    # the hypotenuse passes the window's centre: it is cut from (60, 0) to (0, 40)
    assert results["gt_masks"].areas.tolist() == [pytest.approx(60 * 40 / 2)]


def test_pad_extends_right_and_down() -> None:
    start = sample()
    start.update(gt_masks=bitmap(start), gt_seg_map=np.zeros((80, 120), np.uint8))
    results = Pad(size=(128, 96), pad_val={"img": (114, 1, 2)})(start)
    assert results["img"].shape == (96, 128, 3)
    assert results["img"][95, 127].tolist() == [114, 1, 2]
    assert results["gt_bboxes"].tolist() == [BOX]
    assert results["gt_masks"].masks.shape == (1, 96, 128)
    assert results["gt_seg_map"][95, 127] == 255
    assert results["img_shape"] == (96, 128)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"size_divisor": 32}, (96, 128)),
        ({"pad_to_square": True}, (120, 120)),
        ({"pad_to_square": True, "size_divisor": 32}, (128, 128)),
        ({"size": (100, 100)}, (100, 120)),
    ],
)
def test_pad_sizes(options: Any, shape: Any) -> None:
    assert Pad(**options)(sample())["img"].shape[:2] == shape


def test_random_sizes_lie_in_their_range() -> None:
    np.random.seed(0)
    one = RandomResize(scale=(100, 50), ratio_range=(0.5, 2.0), keep_ratio=True)
    drawn = [one.random_scale() for _ in range(200)]
    assert 50 <= min(w for w, _ in drawn) < 60
    assert 190 < max(w for w, _ in drawn) <= 200
    assert all(abs(w - 2 * h) <= 1 for w, h in drawn)
    two = RandomResize(scale=[(100, 60), (200, 80)], keep_ratio=True)
    drawn = [two.random_scale() for _ in range(200)]
    assert {min(w for w, _ in drawn), max(w for w, _ in drawn)} <= set(range(100, 201))
    assert all(60 <= h <= 80 for _, h in drawn)
    choice = RandomChoiceResize(scales=[(30, 20), (60, 40)], keep_ratio=False)
    assert {choice(sample())["img"].shape[:2] for _ in range(20)} == {(20, 30), (40, 60)}


def test_resize_and_crop_in_one_equals_one_after_the_other(test_data: Any) -> None:
    image = cv2.imread(str(next(iter(sorted((test_data / "bccd/BCCD/JPEGImages").glob("*.jpg"))))))
    resize = {"type": "RandomResize", "scale": (640, 640), "ratio_range": (0.5, 2.0), "keep_ratio": True}
    crop = {"type": "RandomCrop", "crop_size": (320, 320), "allow_negative_crop": True}
    joined = Compose([resize, crop])
    assert isinstance(joined.transforms[0], RandomResizedWindow)
    apart = [Compose(resize), Compose(crop)]
    for seed in range(12):
        results = []
        for steps in ([joined], apart):
            np.random.seed(seed)
            data: Any = sample(*image.shape[:2], boxes=[(10, 20, 300, 400), (500, 100, 600, 200)])
            data["img"] = image
            for step in steps:
                data = step(data)
            results.append(data)
        one, other = results
        np.testing.assert_array_equal(one["gt_bboxes"], other["gt_bboxes"])
        assert {key: one[key] for key in ("img_shape", "scale_factor", "scale")} == {
            key: other[key] for key in ("img_shape", "scale_factor", "scale")
        }
        difference = np.abs(one["img"].astype(int) - other["img"].astype(int))
        assert difference.mean() < 0.5
        assert difference.max() <= 12


def test_masks_go_through_both_steps() -> None:
    np.random.seed(0)
    start = sample()
    start["gt_masks"] = bitmap(start)
    pipeline = Compose(
        [
            {"type": "RandomResize", "scale": (240, 160), "ratio_range": (0.9, 1.1), "keep_ratio": True},
            {"type": "RandomCrop", "crop_size": (200, 140)},
        ]
    )
    results = pipeline(start)
    assert results["gt_masks"].masks.shape[1:] == results["img"].shape[:2]


def test_filter_drops_small_objects() -> None:
    boxes = [(0, 0, 1, 9), (5, 5, 20, 20)]
    assert FilterAnnotations(min_gt_bbox_wh=(1, 1))(sample(boxes=boxes))["gt_bboxes_labels"].tolist() == [1]
    assert FilterAnnotations(min_gt_bbox_wh=(50, 50))(sample(boxes=boxes)) is None
    assert len(FilterAnnotations(min_gt_bbox_wh=(50, 50), keep_empty=False)(sample(boxes=boxes))["gt_bboxes"]) == 0


def test_test_time_augmentation_runs_every_combination() -> None:
    augment = TestTimeAug(
        [
            [{"type": "Resize", "scale": (60, 40)}, {"type": "Resize", "scale": (30, 20)}],
            [{"type": "RandomFlip", "prob": 1.0}, {"type": "RandomFlip", "prob": 0.0}],
        ]
    )
    results = augment(sample())
    assert [image.shape[:2] for image in results["img"]] == [(40, 60), (40, 60), (20, 30), (20, 30)]
    assert results["flip"] == [True, False, True, False]
