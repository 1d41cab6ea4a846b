"""Folders of classes, lists of labels, ImageNet's and multi-label files: read as the field has them, mistakes named."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mimctl.engine.data import build_dataloader
from mimctl.engine.lookup.scopes import use_scope
from mimctl.errors import MimctlError
from mimctl_cls.datasets import BaseDataset, CustomDataset, ImageNet, MultiLabelDataset


def write_image(path: Path, value: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((12, 16, 3), value, np.uint8))


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    for name in ("dog/b.png", "dog/old/a.JPG", "cat/c.png", "owl/d.bmp", "owl/e.webp"):
        write_image(tmp_path / "train" / name)
    (tmp_path / "train/cat/notes.txt").write_text("no picture")
    (tmp_path / "train/.cache").mkdir()
    return tmp_path


def listed(dataset: Any) -> list[tuple[str, int]]:
    prefix = f"{dataset.img_prefix}/"
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    return [(each["img_path"].removeprefix(prefix), each["gt_label"]) for each in infos]


def test_folders_are_the_classes(animals: Path) -> None:
    dataset = CustomDataset(data_root=str(animals), data_prefix="train")
    assert dataset.CLASSES == ("cat", "dog", "owl")
    assert listed(dataset) == [("cat/c.png", 0), ("dog/b.png", 1), ("dog/old/a.JPG", 1), ("owl/d.bmp", 2),
                               ("owl/e.webp", 2)]  # fmt: skip
    assert dataset.get_gt_labels().tolist() == [0, 1, 1, 2, 2]
    assert dataset.get_cat_ids(1) == [1]
    assert dataset.class_to_idx == {"cat": 0, "dog": 1, "owl": 2}


def test_folders_that_bear_names_of_classes_mean_them_in_any_order(animals: Path) -> None:
    classes = ("owl", "fox", "dog", "cat")
    dataset = CustomDataset(data_root=str(animals / "train"), metainfo={"classes": classes})
    assert {name.partition("/")[0]: label for name, label in listed(dataset)} == {"cat": 3, "dog": 2, "owl": 0}


def test_other_folder_names_are_numbered_as_they_sort(animals: Path) -> None:
    dataset = CustomDataset(data_prefix=str(animals / "train"), classes=["Katze", "Hund", "Eule"])
    assert dataset.CLASSES == ("Katze", "Hund", "Eule")
    assert dataset.get_gt_labels().tolist() == [0, 1, 1, 2, 2]


def test_as_many_folders_as_classes_are_needed(animals: Path) -> None:
    with pytest.raises(MimctlError, match="has 3 folders, and there are 2 classes") as caught:
        CustomDataset(data_prefix=str(animals / "train"), metainfo={"classes": ("Katze", "Hund")})
    assert caught.value.code == "class-mismatch"
    assert "folders: cat, dog, owl" in caught.value.causes


def test_without_labels_every_image_below_counts(animals: Path) -> None:
    dataset = CustomDataset(data_prefix=str(animals / "train"), with_label=False, extensions=(".png",))
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    assert [Path(each["img_path"]).name for each in infos] == ["c.png", "b.png"]
    assert all("gt_label" not in each for each in infos)


def test_list_of_paths_and_labels(animals: Path) -> None:
    (animals / "meta.txt").write_text("dog/b.png 1\n\na picture of a cat.png 0\r\n")
    dataset = CustomDataset(
        data_root=str(animals), data_prefix="train", ann_file="meta.txt", classes=("cat", "dog"), serialize_data=False
    )
    assert listed(dataset) == [("dog/b.png", 1), ("a picture of a cat.png", 0)]
    plain = CustomDataset(data_root=str(animals), ann_file="meta.txt", with_label=False)
    assert plain.get_data_info(1)["img_path"] == f"{animals}/a picture of a cat.png 0"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("dog/b.png", "a line is `path label`, not 'dog/b.png'"),
        ("dog/b.png dog", "a line is `path label`"),
        ("dog/b.png -1", "a line is `path label`"),
        ("dog/b.png 1.0", "a line is `path label`"),
        ("dog/b.png 2", "label 2 is outside of 2 classes"),
        ("4", "a line is `path label`"),
    ],
)
def test_mistake_in_a_list_names_its_line(animals: Path, line: str, says: str) -> None:
    (animals / "meta.txt").write_text(f"cat/c.png 0\n{line}\n")
    with pytest.raises(MimctlError) as caught:
        CustomDataset(data_root=str(animals), data_prefix="train", ann_file="meta.txt", classes=("cat", "dog"))
    assert caught.value.code == "bad-annotations"
    assert caught.value.message.startswith(f"{animals}/meta.txt:2: {says}")


def test_binary_list_is_one_error(animals: Path) -> None:
    (animals / "meta.txt").write_bytes(b"\xff\xfe\x00cat 0\n")
    with pytest.raises(MimctlError, match=r"meta\.txt is not utf-8 text"):
        CustomDataset(data_root=str(animals), ann_file="meta.txt")


def test_nothing_to_read_is_said(animals: Path) -> None:
    for arguments, code in (
        ({"data_root": str(animals / "tain")}, "missing-file"),
        ({"data_root": str(animals), "ann_file": "tain.txt"}, "missing-file"),
        ({"data_root": str(animals), "data_prefix": "train", "extensions": (".gif",)}, "empty-dataset"),
        ({}, "missing-argument"),
    ):
        with pytest.raises(MimctlError) as caught:
            CustomDataset(**arguments)
        assert caught.value.code == code


def test_empty_class_folder_is_kept_and_warned_of(animals: Path, caplog: pytest.LogCaptureFixture) -> None:
    (animals / "train/bat").mkdir()
    dataset = CustomDataset(data_prefix=str(animals / "train"))
    assert dataset.CLASSES == ("bat", "cat", "dog", "owl")
    assert sorted(set(dataset.get_gt_labels().tolist())) == [1, 2, 3]


def test_circle_of_links_is_walked_through_once(animals: Path) -> None:
    (animals / "train/dog/round").symlink_to(animals / "train", target_is_directory=True)
    (animals / "train/dog/again").symlink_to(animals / "train/dog", target_is_directory=True)
    dataset = CustomDataset(data_prefix=str(animals / "train"))
    names = [name for name, label in listed(dataset) if label == 1]
    assert len(names) == len(set(names))
    assert len(names) < 8


def test_dangling_link_is_named_when_it_is_read(animals: Path) -> None:
    (animals / "train/cat/gone.png").symlink_to(animals / "nowhere.png")
    dataset = CustomDataset(
        data_prefix=str(animals / "train"), pipeline=[{"type": "LoadImageFromFile"}], test_mode=True
    )
    with pytest.raises(MimctlError, match=r"no file .*cat/gone\.png"):
        [dataset[index] for index in range(len(dataset))]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_unreadable_folder_is_named(animals: Path) -> None:
    (animals / "train/cat").chmod(0)
    try:
        with pytest.raises(MimctlError, match="cat cannot be read"):
            CustomDataset(data_prefix=str(animals / "train"))
    finally:
        (animals / "train/cat").chmod(0o755)


def test_image_that_is_none_is_named_out_of_a_worker(animals: Path) -> None:
    (animals / "train/cat/c.png").write_bytes(b"not a picture")
    loader = {
        "dataset": {
            "type": "CustomDataset",
            "data_prefix": str(animals / "train"),
            "pipeline": [{"type": "LoadImageFromFile"}, {"type": "PackInputs"}],
        },
        "sampler": {"type": "DefaultSampler", "shuffle": False},
        "batch_size": 2,
        "num_workers": 1,
    }
    with use_scope("cls"), pytest.raises(MimctlError, match=r"cat/c\.png is not a readable image"):
        list(build_dataloader(loader, seed=0))


def test_imagenet_reads_folders_or_lists_by_split(tmp_path: Path) -> None:
    classes = ImageNet.METAINFO["classes"]
    assert len(set(classes)) == 999  # two are a crane
    assert (classes[0], classes[999]) == ("tench, Tinca tinca", "toilet tissue, toilet paper, bathroom tissue")
    for name in ("train/n02/a.JPEG", "train/n01/b.JPEG", "val/v.JPEG", "test/t.JPEG"):
        write_image((tmp_path / name).with_suffix(".jpg"))
        (tmp_path / name).with_suffix(".jpg").rename(tmp_path / name)
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta/val.txt").write_text("v.JPEG 65\n")
    train = ImageNet(data_root=str(tmp_path), split="train", metainfo={"classes": ("two", "three")})
    assert listed(train) == [("n01/b.JPEG", 0), ("n02/a.JPEG", 1)]
    val = ImageNet(data_root=str(tmp_path), split="val")
    assert listed(val) == [("v.JPEG", 65)]
    assert val.ann_file == str(tmp_path / "meta/val.txt")
    test = ImageNet(data_root=str(tmp_path), split="test")
    assert "gt_label" not in test.get_data_info(0)
    with pytest.raises(MimctlError, match="there is no split `dev`"):
        ImageNet(data_root=str(tmp_path), split="dev")
    with pytest.raises(MimctlError, match="has 2 folders, and there are 1000 classes"):
        ImageNet(data_root=str(tmp_path), split="train")


def annotations(tmp_path: Path, entries: list[dict[str, Any]]) -> str:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"metainfo": {"classes": ["a", "b", "c"]}, "data_list": entries}))
    return str(path)


def test_multi_label_file(tmp_path: Path) -> None:
    entries = [{"img_path": "x.jpg", "gt_label": [0, 2]}, {"img_path": "y.jpg", "gt_label": []}]
    dataset = MultiLabelDataset(annotations(tmp_path, entries), data_prefix=str(tmp_path))
    assert dataset.CLASSES == ("a", "b", "c")
    assert [dataset.get_cat_ids(index) for index in range(2)] == [[0, 2], []]
    assert dataset.get_data_info(0)["img_path"] == f"{tmp_path}/x.jpg"


@pytest.mark.parametrize("label", [1, [0, 3], [True], ["a"], [1.0], [-1]])
def test_multi_label_file_with_a_wrong_label(tmp_path: Path, label: Any) -> None:
    path = annotations(tmp_path, [{"img_path": "x.jpg", "gt_label": label}])
    with pytest.raises(MimctlError) as caught:
        MultiLabelDataset(path)
    assert caught.value.code == "bad-annotations"
    assert f"{path}: x.jpg" in caught.value.message


def test_base_dataset_reads_the_fields_file(tmp_path: Path) -> None:
    path = annotations(tmp_path, [{"img_path": "x.jpg", "gt_label": 2}])
    dataset = BaseDataset(ann_file=path, data_prefix="pictures", data_root=str(tmp_path))
    assert listed(dataset) == [("x.jpg", 2)]
    (tmp_path / "names.txt").write_text("one\ntwo\n")
    with pytest.raises(MimctlError, match="label 2 is outside of 2 classes"):
        BaseDataset(path, classes=str(tmp_path / "names.txt"))
    categories = {"categories": [{"id": 2, "category_name": "z"}, {"id": 1, "category_name": "y"}]}
    path = tmp_path / "other.json"
    path.write_text(json.dumps({"metainfo": categories, "data_list": [{"img_path": "x.jpg", "gt_label": 1}]}))
    assert BaseDataset(str(path)).CLASSES == ("y", "z")
