"""Folders of people's own photographs: recognised, counted, split, and refused with a report of their mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mimctl.errors import MimctlError
from mimctl.spec import RunSpec
from mimctl_det.folder import describe

VOC_XML = """<annotation><filename>{name}.jpg</filename><size><width>32</width><height>24</height></size>
<object><name>{label}</name><bndbox><xmin>{x}</xmin><ymin>2</ymin><xmax>20</xmax><ymax>20</ymax></bndbox></object>
</annotation>"""


def report(folder: Path, work_dir: Path, **options: Any) -> dict[str, Any]:
    spec = RunSpec(
        plugin="det",
        package="mimctl_det",
        action="data",
        entry="mimctl_det.folder:describe",
        mimctl_version="0",
        work_dir=str(work_dir),
        options={"dir": str(folder), **options},
    )
    return describe(spec)


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((24, 32, 3), 90, np.uint8))


def make_voc(root: Path, count: int = 6) -> Path:
    for number in range(count):
        write_image(root / "JPEGImages" / f"{number}.jpg")
        xml = VOC_XML.format(name=number, label="cat" if number % 2 else "dog", x=4)
        (root / "Annotations").mkdir(exist_ok=True)
        (root / "Annotations" / f"{number}.xml").write_text(xml)
    return root


def make_coco(root: Path, splits: dict[str, int]) -> Path:
    for split, count in splits.items():
        images, annotations = [], []
        for number in range(count):
            write_image(root / split / f"{number}.jpg")
            images.append({"id": number, "file_name": f"{number}.jpg", "width": 32, "height": 24})
            annotations.append({"id": number, "image_id": number, "category_id": 7, "bbox": [2, 2, 10, 8], "area": 80})
        document = {"images": images, "annotations": annotations, "categories": [{"id": 7, "name": "leaf"}]}
        (root / "annotations").mkdir(exist_ok=True)
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(document))
    return root


def make_yolo(root: Path, splits: dict[str, int], line: str = "1 0.5 0.5 0.25 0.5\n") -> Path:
    for split, count in splits.items():
        for number in range(count):
            write_image(root / "images" / split / f"{number}.jpg")
            label = root / "labels" / split / f"{number}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text(line)
    names = "train: images/train\nval: images/val\nnames: {0: nut, 1: bolt}\n"
    (root / "data.yaml").write_text(names)
    return root


def test_voc_without_lists_is_split_reproducibly_and_outside_the_data(tmp_path: Path) -> None:
    root = make_voc(tmp_path / "mine")
    before = sorted(root.rglob("*"))
    first = report(root, tmp_path / "run", split_seed=3)
    listed = {name: Path(split["ann_file"]).read_text() for name, split in first["splits"].items()}
    again = report(root, tmp_path / "run2", split_seed=3)
    assert first["ok"]
    assert first["layout"] == "voc"
    assert first["classes"] == ["cat", "dog"]
    assert first["splits"]["train"]["images"] + first["splits"]["val"]["images"] == 6
    assert not set(listed["train"].split()) & set(listed["val"].split())
    assert Path(again["splits"]["train"]["ann_file"]).read_text() == listed["train"]
    assert first["made_split"]["seed"] == 3
    assert sorted(root.rglob("*")) == before


def test_voc_lists_are_kept(tmp_path: Path) -> None:
    root = make_voc(tmp_path)
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for split, names in {"train": "0\n1\n2\n3\n", "val": "4\n", "test": "5\n"}.items():
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text(names)
    found = report(root, tmp_path / "run")
    assert [found["splits"][name]["images"] for name in ("train", "val", "test")] == [4, 1, 1]
    assert found["splits"]["train"]["ann_file"] == "ImageSets/Main/train.txt"
    assert found["made_split"] is None


def test_coco_without_validation_divides_the_training_file(tmp_path: Path) -> None:
    root = make_coco(tmp_path / "mine", {"train": 10})
    found = report(root, tmp_path / "run", val_fraction=0.3)
    train = json.loads(Path(found["splits"]["train"]["ann_file"]).read_text())
    val = json.loads(Path(found["splits"]["val"]["ann_file"]).read_text())
    assert found["ok"]
    assert found["layout"] == "coco"
    assert (len(train["images"]), len(val["images"])) == (7, 3)
    assert {each["image_id"] for each in val["annotations"]} == {image["id"] for image in val["images"]}
    assert found["splits"]["train"]["data_prefix"] == {"img": "train"}


def test_coco_with_all_splits_is_taken_as_it_is(tmp_path: Path) -> None:
    root = make_coco(tmp_path / "mine", {"train2017": 3, "val2017": 2})
    found = report(root, tmp_path / "run")
    assert found["splits"]["val"]["ann_file"] == "annotations/instances_val2017.json"
    assert found["splits"]["test"] == found["splits"]["val"]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("named", ["folder", "data.yaml"])
def test_yolo_is_found_by_folder_and_by_its_yaml(tmp_path: Path, named: str) -> None:
    root = make_yolo(tmp_path / "mine", {"train": 3, "val": 2})
    found = report(root if named == "folder" else root / named, tmp_path / "run")
    assert found["ok"], found["problems"]
    assert found["layout"] == "yolo"
    assert found["classes"] == ["nut", "bolt"]
    assert found["splits"]["train"]["per_class"] == {"nut": 0, "bolt": 3}
    assert Path(found["splits"]["val"]["ann_file"]).read_text() == "images/val/0.jpg\nimages/val/1.jpg\n"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("2 0.5 0.5 0.2 0.2\n", "class 2 of 2"),
        ("1 0.5 0.5 0.2\n", "has 4 numbers"),
        ("1 320 240 20 20\n", "coordinates must be 0..1"),
        ("bolt 0.5 0.5 0.2 0.2\n", "is not `class x y width height`"),
    ],
)
def test_yolo_mistakes_name_file_and_line(tmp_path: Path, line: str, what: str) -> None:
    root = make_yolo(tmp_path / "mine", {"train": 3, "val": 1})
    bad = root / "labels" / "train" / "1.txt"
    bad.write_text("0 0.5 0.5 0.1 0.1\n" + line)
    found = report(root, tmp_path / "run")
    assert not found["ok"]
    assert found["problems"][0].startswith(f"{bad}:2: ")
    assert what in found["problems"][0]


def test_broken_voc_files_are_reported(tmp_path: Path) -> None:
    root = make_voc(tmp_path / "mine")
    (root / "Annotations" / "0.xml").write_text("<annotation><object>")
    (root / "JPEGImages" / "1.jpg").unlink()
    whole = (root / "JPEGImages" / "2.jpg").read_bytes()
    (root / "JPEGImages" / "2.jpg").write_bytes(whole[: len(whole) // 2])
    found = report(root, tmp_path / "run")
    text = "\n".join(found["problems"])
    assert not found["ok"]
    assert "0.xml: cannot be read as XML" in text
    assert "1.xml: its image 1.* is not in JPEGImages/" in text
    assert "2.jpg: the image cannot be read" in text


def test_coco_mistakes_are_reported(tmp_path: Path) -> None:
    root = make_coco(tmp_path / "mine", {"train": 4, "val": 2})
    path = root / "annotations" / "instances_train.json"
    document = json.loads(path.read_text())
    document["annotations"][0]["category_id"] = 99
    document["annotations"][1]["bbox"] = [1, 2]
    path.write_text(json.dumps(document))
    (root / "train" / "3.jpg").unlink()
    found = report(root, tmp_path / "run")
    text = "\n".join(found["problems"])
    assert "annotation 0: category 99 is not among the categories" in text
    assert "annotation 1: `bbox` must be [x, y, width, height]" in text
    assert "3.jpg: the image is missing" in text
    assert found["num_problems"] == 3


def test_an_empty_box_is_noted_and_no_mistake(tmp_path: Path) -> None:
    root = make_voc(tmp_path / "mine")
    (root / "Annotations" / "0.xml").write_text(VOC_XML.format(name=0, label="dog", x=20))
    found = report(root, tmp_path / "run")
    assert found["ok"]
    assert found["notes"] == ["0.xml: object 1 (`dog`) has no area and is left out"]


def test_a_folder_of_none_of_these_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("")
    found = report(tmp_path / "mine", tmp_path / "run")
    assert not found["ok"]
    assert found["layout"] is None
    assert "it holds: notes.txt" in found["problems"][0]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MimctlError, match="does not exist") as caught:
        report(tmp_path / "nowhere", tmp_path)
    assert caught.value.code == "data-not-found"


def test_blood_cells_are_read_with_their_own_splits(test_data: Path, tmp_path: Path) -> None:
    found = report(test_data / "bccd", tmp_path)
    assert found["classes"] == ["Platelets", "RBC", "WBC"]
    assert [found["splits"][name]["images"] for name in ("train", "val", "test")] == [205, 87, 72]
    assert found["ok"]
    assert len(found["notes"]) == 2
