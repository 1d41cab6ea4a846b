"""CocoDataset: labels by class order, what is left out, what is ignored, and files with mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mimctl.errors import MimctlError
from mimctl_det.datasets import CocoDataset

DOCUMENT: dict[str, Any] = {
    "images": [
        {"id": 7, "file_name": "a.jpg", "width": 100, "height": 80},
        {"id": 9, "file_name": "b.jpg", "width": 100, "height": 20},
        {"id": 11, "file_name": "sub/c.png", "width": 100, "height": 80},
    ],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 30, "bbox": [10, 20, 30, 40], "area": 1200, "iscrowd": 0},
        {"id": 2, "image_id": 7, "category_id": 5, "bbox": [0, 0, 10, 10], "area": 100, "iscrowd": 1,
         "segmentation": {"size": [80, 100], "counts": [0, 8000]}},
        {"id": 3, "image_id": 7, "category_id": 5, "bbox": [0, 0, 0.5, 10], "area": 5, "iscrowd": 0},
        {"id": 4, "image_id": 7, "category_id": 5, "bbox": [200, 0, 10, 10], "area": 100, "iscrowd": 0},
        {"id": 5, "image_id": 7, "category_id": 8, "bbox": [0, 0, 10, 10], "area": 100, "iscrowd": 0},
        {"id": 6, "image_id": 9, "category_id": 5, "bbox": [1, 1, 5, 5], "iscrowd": 0},
    ],
    "categories": [{"id": 30, "name": "cat"}, {"id": 5, "name": "dog"}, {"id": 8, "name": "mouse"}],
}  # fmt: skip


def dataset(folder: Path, document: Any = None, **options: Any) -> CocoDataset:
    (folder / "ann.json").write_text(json.dumps(document or DOCUMENT))
    metainfo = options.pop("metainfo", {"classes": ("dog", "cat")})
    prefix = {"img": "images/"}
    return CocoDataset(ann_file="ann.json", data_root=str(folder), data_prefix=prefix, metainfo=metainfo, **options)


def test_labels_follow_the_classes_and_boxes_become_corners(tmp_path: Path) -> None:
    info = dataset(tmp_path).get_data_info(0)
    assert info["img_path"] == f"{tmp_path}/images/a.jpg"
    assert (info["img_id"], info["height"], info["width"]) == (7, 80, 100)
    assert [(each["bbox"], each["bbox_label"], each["ignore_flag"]) for each in info["instances"]] == [
        ([10, 20, 40, 60], 1, 0),
        ([0, 0, 10, 10], 0, 1),
    ]
    assert info["instances"][1]["mask"]["size"] == [80, 100]


def test_filter_leaves_out_small_and_empty_images_but_not_in_test_mode(tmp_path: Path) -> None:
    def ids(**options: Any) -> list[int]:
        loaded = dataset(tmp_path, **options)
        return [loaded.get_data_info(place)["img_id"] for place in range(len(loaded))]

    assert ids() == [7, 9, 11]
    assert ids(filter_cfg={"filter_empty_gt": True}) == [7, 9]
    assert ids(filter_cfg={"filter_empty_gt": True, "min_size": 32}) == [7]
    assert ids(filter_cfg={"filter_empty_gt": True, "min_size": 32}, test_mode=True) == [7, 9, 11]


def test_the_default_classes_are_cocos_80() -> None:
    names = CocoDataset.METAINFO["classes"]
    assert len(names) == len(set(names)) == 80
    assert (names[0], names[79]) == ("person", "toothbrush")


def test_a_class_missing_in_the_file_keeps_its_label_free(tmp_path: Path) -> None:
    loaded = dataset(tmp_path, metainfo={"classes": ("bird", "cat")})
    assert loaded.get_cat_ids(0) == [1]


def test_classes_that_are_all_unknown_are_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(MimctlError) as caught:
        dataset(tmp_path, metainfo={"classes": ("cats",)})
    assert caught.value.code == "class-mismatch"
    assert "`cat`" in caught.value.hints[0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda document: document.pop("images"), "COCO format"),
        (lambda document: document["images"][1].pop("height"), "image 9 lacks 'height'"),
        (lambda document: document["annotations"][0].update(bbox=[1, 2]), "annotation 1"),
        (lambda document: document["annotations"][5].pop("bbox"), "annotation 6"),
    ],
)
def test_mistakes_name_the_file_and_the_entry(tmp_path: Path, change: Any, says: str) -> None:
    document = json.loads(json.dumps(DOCUMENT))
    change(document)
    with pytest.raises(MimctlError, match=r"ann\.json") as caught:
        dataset(tmp_path, document)
    assert caught.value.code == "bad-annotations"
    assert says in caught.value.message


def test_test_mode_carries_the_untouched_objects(tmp_path: Path) -> None:
    loaded = dataset(tmp_path, test_mode=True, pipeline=[lambda sample: sample])
    assert [each["bbox_label"] for each in loaded[0]["raw_instances"]] == [1, 0]
    assert "raw_instances" not in dataset(tmp_path, pipeline=[lambda sample: sample])[0]


def test_prompts_are_added_where_asked_for(tmp_path: Path) -> None:
    assert dataset(tmp_path, return_classes=True).get_data_info(0)["text"] == ("dog", "cat")


def test_the_real_sample_of_mmdetection_loads(test_data: Path) -> None:
    path = test_data / "mmdet/tests/data/coco_sample.json"
    loaded = CocoDataset(
        ann_file=str(path), data_prefix={"img": "imgs"}, metainfo={"classes": ("bus", "car")}, test_mode=True
    )
    assert len(loaded) == 4
    kept = CocoDataset(
        ann_file=str(path),
        metainfo={"classes": ("bus", "car")},
        filter_cfg={"filter_empty_gt": True, "min_size": 32},
    )
    assert len(kept) == 2
