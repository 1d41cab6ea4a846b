"""VOC datasets: real blood-cell pictures, the difficult flag, sizes and files with mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mimctl.errors import MimctlError
from mimctl_det.datasets import VOCDataset, XMLDataset

OBJECT = (
    "<object><name>{name}</name><difficult>{difficult}</difficult>"
    "<bndbox><xmin>{x1}</xmin><ymin>5</ymin><xmax>20</xmax><ymax>15</ymax></bndbox></object>"
)


def write(
    folder: Path, key: str, *objects: str, size: str = "<size><width>40</width><height>30</height></size>"
) -> None:
    for name in ("JPEGImages", "Annotations"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "Annotations" / f"{key}.xml").write_text(f"<annotation>{size}{''.join(objects)}</annotation>")
    cv2.imwrite(str(folder / "JPEGImages" / f"{key}.png"), np.zeros((30, 40, 3), np.uint8))
    (folder / "list.txt").write_text(f"{key}\n")


def dataset(folder: Path, **options: Any) -> XMLDataset:
    return XMLDataset(
        ann_file="list.txt",
        data_root=str(folder),
        data_prefix={"sub_data_root": ""},
        metainfo={"classes": ("a", "b")},
        **options,
    )


def test_corners_count_from_one_and_images_of_any_suffix_are_found(tmp_path: Path) -> None:
    write(tmp_path, "x", OBJECT.format(name="b", difficult=0, x1=11), OBJECT.format(name="c", difficult=0, x1=1))
    info = dataset(tmp_path).get_data_info(0)
    assert info["instances"] == [{"bbox": [10, 4, 19, 14], "bbox_label": 1, "ignore_flag": 0}]
    assert info["img_path"] == f"{tmp_path}/JPEGImages/x.png"
    assert (info["height"], info["width"]) == (30, 40)


def test_difficult_and_small_objects_are_ignored_and_flat_ones_left_out(tmp_path: Path) -> None:
    write(tmp_path, "x", *(OBJECT.format(name="a", difficult=d, x1=x) for d, x in ((1, 5), (0, 12), (0, 20))))
    loaded = dataset(tmp_path, filter_cfg={"bbox_min_size": 9})
    assert [each["ignore_flag"] for each in loaded.get_data_info(0)["instances"]] == [1, 1]
    assert [each["ignore_flag"] for each in dataset(tmp_path, test_mode=True).get_data_info(0)["instances"]] == [1, 0]


@pytest.mark.parametrize("size", ["", "<size><width>0</width><height>0</height></size>"])
def test_the_size_comes_from_the_picture_where_the_file_is_silent(tmp_path: Path, size: str) -> None:
    write(tmp_path, "x", OBJECT.format(name="a", difficult=0, x1=5), size=size)
    assert dataset(tmp_path).get_data_info(0)["height"] == 30


@pytest.mark.parametrize("text", ["<annotation><object>", "<annotation><object><name>a</name></object></annotation>"])
def test_mistakes_name_the_file(tmp_path: Path, text: str) -> None:
    write(tmp_path, "x")
    (tmp_path / "Annotations" / "x.xml").write_text(text)
    with pytest.raises(MimctlError, match=r"x\.xml") as caught:
        dataset(tmp_path)
    assert caught.value.code == "bad-annotations"


def test_missing_files_are_named(tmp_path: Path) -> None:
    write(tmp_path, "x", OBJECT.format(name="a", difficult=0, x1=5))
    (tmp_path / "list.txt").write_text("x\ny\n")
    with pytest.raises(MimctlError, match=r"y\.xml") as caught:
        dataset(tmp_path)
    assert caught.value.code == "missing-file"


def test_the_voc_sample_of_mmdetection_loads(test_data: Path) -> None:
    loaded = VOCDataset(
        data_root=str(test_data / "mmdet/tests/data/VOCdevkit"),
        ann_file="VOC2007/ImageSets/Main/trainval.txt",
        data_prefix={"sub_data_root": "VOC2007/"},
        test_mode=True,
    )
    assert loaded.metainfo["dataset_type"] == "VOC2007"
    assert len(loaded.metainfo["classes"]) == 20
    assert len(loaded) == 1
    assert loaded.get_data_info(0)["instances"]


def test_blood_cells_have_their_counts(test_data: Path) -> None:
    counts = {}
    for split in ("train", "val", "test"):
        loaded = VOCDataset(
            data_root=str(test_data / "bccd/BCCD"),
            ann_file=f"ImageSets/Main/{split}.txt",
            data_prefix={"sub_data_root": ""},
            metainfo={"classes": ("RBC", "WBC", "Platelets")},
        )
        counts[split] = len(loaded)
        for place in range(len(loaded)):
            info = loaded.get_data_info(place)
            boxes = np.array([each["bbox"] for each in info["instances"]])
            assert (boxes[:, 2:] > boxes[:, :2]).all()
            assert (boxes[:, 2] <= info["width"]).all()
    assert counts == {"train": 205, "val": 87, "test": 72}
