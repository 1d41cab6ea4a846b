"""Pixels: loading of real pictures, colour distortion, normalisation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mimctl.errors import ConfigError, MimctlError
from mimctl.vision.transforms import (
    LoadAnnotations,
    LoadImageFromFile,
    LoadImageFromNDArray,
    Normalize,
    PhotoMetricDistortion,
    YOLOXHSVRandomAug,
)


@pytest.fixture
def photograph(test_data: Path) -> Path:
    return sorted((test_data / "bccd/BCCD/JPEGImages").glob("*.jpg"))[0]


def test_a_photograph_is_read_alike_by_both_back_ends(photograph: Path) -> None:
    results = LoadImageFromFile()({"img_path": str(photograph)})
    assert results["img"].shape == (480, 640, 3)
    assert results["img"].dtype == np.uint8
    assert results["img_shape"] == results["ori_shape"] == (480, 640)
    other = LoadImageFromFile(imdecode_backend="pillow", to_float32=True)({"img_path": str(photograph)})
    assert other["img"].dtype == np.float32
    assert np.abs(results["img"] - other["img"]).mean() < 1.0  # the JPEG decoders may differ
    grey = LoadImageFromFile(color_type="grayscale")({"img_path": str(photograph)})
    assert grey["img"].shape == (480, 640)


def test_a_picture_turned_by_its_orientation_tag_is_read_upright(tmp_path: Path) -> None:
    from PIL import Image

    image = Image.fromarray(np.full((10, 20, 3), 9, np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    results = LoadImageFromFile()({"img_path": str(tmp_path / "turned.jpg")})
    assert results["img"].shape == (20, 10, 3)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n broken"])
@pytest.mark.parametrize("backend", ["cv2", "pillow"])
def test_an_unreadable_image_is_named(tmp_path: Path, content: bytes, backend: str) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(MimctlError, match=r"broken\.png") as caught:
        LoadImageFromFile(imdecode_backend=backend)({"img_path": str(path)})
    assert caught.value.code == "unreadable-image"
    assert LoadImageFromFile(ignore_empty=True, imdecode_backend=backend)({"img_path": str(path)}) is None


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(MimctlError, match=r"none\.jpg") as caught:
        LoadImageFromFile()({"img_path": str(tmp_path / "none.jpg")})
    assert caught.value.code == "missing-file"


def test_unknown_options_are_refused(photograph: Path) -> None:
    for options in ({"color_type": "colour"}, {"imdecode_backend": "gd"}):
        with pytest.raises(ConfigError):
            LoadImageFromFile(**options)({"img_path": str(photograph)})


def test_an_array_is_taken_as_it_is() -> None:
    results = LoadImageFromNDArray()({"img": np.zeros((4, 5, 3), np.uint8)})
    assert results["ori_shape"] == (4, 5)


def test_annotations_become_arrays() -> None:
    square, crowd = [2, 2, 6, 2, 6, 6, 2, 6], {"size": [8, 10], "counts": [0, 8, 72]}
    instances = [
        {"bbox": [2, 2, 6, 6], "bbox_label": 3, "ignore_flag": 0, "mask": [square]},
        {"bbox": [0, 0, 1, 8], "bbox_label": 1, "ignore_flag": 1, "mask": crowd},
        {"bbox": [0, 0, 3, 3], "bbox_label": 2, "ignore_flag": 0, "mask": [[1, 1, 2, 2]]},
    ]
    results = LoadAnnotations(with_mask=True)({"instances": instances, "ori_shape": (8, 10)})
    assert results["gt_bboxes"].tolist() == [[2, 2, 6, 6], [0, 0, 1, 8], [0, 0, 3, 3]]
    assert results["gt_bboxes_labels"].tolist() == [3, 1, 2]
    assert results["gt_ignore_flags"].tolist() == [False, True, True]  # the last has no usable mask
    assert results["gt_masks"].areas.tolist() == [16, 8, 0]
    polygons = LoadAnnotations(with_mask=True, poly2mask=False)({"instances": instances[:1], "ori_shape": (8, 10)})
    assert polygons["gt_masks"].areas.tolist() == [16]


def test_annotations_of_an_empty_image_have_the_right_shapes() -> None:
    results = LoadAnnotations(with_mask=True)({"instances": [], "ori_shape": (8, 10)})
    assert results["gt_bboxes"].shape == (0, 4)
    assert results["gt_bboxes_labels"].dtype == np.int64
    assert results["gt_masks"].masks.shape == (0, 8, 10)


def test_a_segmentation_map_is_read_and_its_zero_label_reduced(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "map.png"), np.array([[0, 1], [2, 255]], np.uint8))
    given: dict[str, Any] = {"instances": [], "seg_map_path": str(tmp_path / "map.png")}
    options = {"with_bbox": False, "with_label": False, "with_seg": True}
    assert LoadAnnotations(**options)(dict(given))["gt_seg_map"].tolist() == [[0, 1], [2, 255]]
    reduced = LoadAnnotations(**options, reduce_zero_label=True)(dict(given))
    assert reduced["gt_seg_map"].tolist() == [[255, 0], [1, 255]]


def test_hsv_shifts_equal_the_arithmetic_on_the_picture(photograph: Path) -> None:
    image = cv2.imread(str(photograph))
    augment = YOLOXHSVRandomAug()
    for seed in range(5):
        np.random.seed(seed)
        shifts = augment.random_shifts()
        np.random.seed(seed)
        found = augment({"img": image})["img"]
        hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV).astype(np.int16)
        hsv[..., 0] = (hsv[..., 0] + shifts[0]) % 180
        hsv[..., 1:] = np.clip(hsv[..., 1:] + np.array(shifts[1:], np.int16), 0, 255)
        expected = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2BGR) if any(shifts) else image
        np.testing.assert_array_equal(found, expected)
        assert abs(shifts[0]) <= 5
        assert max(map(abs, shifts)) <= 30


def test_photometric_distortion_stays_in_uint8_and_without_ranges_changes_nothing(photograph: Path) -> None:
    image = cv2.imread(str(photograph))
    np.random.seed(0)
    kept = image.copy()
    means = [PhotoMetricDistortion()({"img": image})["img"].mean() for _ in range(10)]
    assert np.ptp(means) > 5
    np.testing.assert_array_equal(image, kept)
    still = PhotoMetricDistortion(0, (1.0, 1.0), (1.0, 1.0), 0)({"img": np.full((4, 4, 3), 77, np.uint8)})["img"]
    assert still.dtype == np.uint8
    assert (still == 77).all()


def test_normalize_subtracts_and_divides_after_turning_to_rgb() -> None:
    image = np.zeros((1, 1, 3), np.uint8)
    image[0, 0] = (10, 20, 30)
    results = Normalize(mean=[30, 20, 10], std=[1, 2, 4], to_rgb=True)({"img": image})
    assert results["img"].tolist() == [[[0, 0, 0]]]
    results = Normalize(mean=[0, 0, 0], std=[10, 10, 10], to_rgb=False)({"img": image})
    assert results["img"].tolist() == [[[1, 2, 3]]]
