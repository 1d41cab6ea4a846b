"""YOLODataset: boxes and polygons as shares of the picture, listed or found, with mistakes named by line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mimctl.errors import MimctlError
from mimctl_det.datasets import YOLODataset


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two pictures, the second without a label file."""
    for name in ("images/train", "labels/train"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"images/train/{name}.jpg"), np.zeros((50, 100, 3), np.uint8))
    (tmp_path / "labels/train/a.txt").write_text("1 0.5 0.5 0.2 0.4\n\n0 0.1 0.2 0.3 0.2 0.3 0.6\n0 0.5 0.5 0 0.1\n")
    return tmp_path


def dataset(folder: Path, **options: Any) -> YOLODataset:
    return YOLODataset(data_root=str(folder), metainfo={"classes": ("x", "y")}, **options)


def test_shares_become_pixels(folder: Path) -> None:
    loaded = dataset(folder, data_prefix={"img": "images/train"})
    box, polygon = loaded.get_data_info(0)["instances"]
    assert box["bbox"] == pytest.approx([40, 15, 60, 35])
    assert (box["bbox_label"], polygon["bbox_label"]) == (1, 0)
    assert polygon["bbox"] == pytest.approx([10, 10, 30, 30])
    assert polygon["mask"] == [pytest.approx([10, 10, 30, 10, 30, 30])]
    assert loaded.get_data_info(1)["instances"] == []
    assert len(dataset(folder, data_prefix={"img": "images/train"}, filter_cfg={"filter_empty_gt": True})) == 1


def test_a_list_of_images_is_relative_to_the_root_or_absolute(folder: Path) -> None:
    (folder / "list.txt").write_text(f"images/train/b.jpg\n{folder}/images/train/a.jpg\n")
    loaded = dataset(folder, ann_file="list.txt", data_prefix={"img": ""})
    assert [len(loaded.get_data_info(place)["instances"]) for place in (0, 1)] == [0, 2]


def test_labels_may_lie_under_a_prefix_of_their_own(folder: Path) -> None:
    (folder / "labels/train").rename(folder / "elsewhere")
    loaded = dataset(folder, data_prefix={"img": "images/train", "ann": "elsewhere"})
    assert loaded.get_cat_ids(0) == [1, 0]


@pytest.mark.parametrize("line", ["1 0.5 0.5", "x 0.5 0.5 0.2 0.4", "2 0.5 0.5 0.2 0.4", "0 1 2 3 4 5 6 7"])
def test_mistakes_name_file_and_line(folder: Path, line: str) -> None:
    (folder / "labels/train/b.txt").write_text(f"0 0.5 0.5 0.2 0.4\n{line}\n")
    with pytest.raises(MimctlError, match=r"b\.txt:2") as caught:
        dataset(folder, data_prefix={"img": "images/train"})
    assert caught.value.code == "bad-annotations"


def test_a_missing_or_broken_picture_is_named(folder: Path) -> None:
    (folder / "list.txt").write_text("images/train/c.jpg\n")
    with pytest.raises(MimctlError, match=r"c\.jpg") as caught:
        dataset(folder, ann_file="list.txt")
    assert caught.value.code == "missing-file"
    (folder / "images/train/c.jpg").write_bytes(b"broken")
    with pytest.raises(MimctlError, match=r"c\.jpg") as caught:
        dataset(folder, ann_file="list.txt")
    assert caught.value.code == "unreadable-image"
