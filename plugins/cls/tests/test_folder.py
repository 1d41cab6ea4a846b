"""Folders of people's own classified images: recognised, counted, split, and refused with a report of mistakes."""

from __future__ import annotations

import gzip
import os
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mimctl.spec import RunSpec
from mimctl_cls.folder import describe


def report(folder: Path, work_dir: Path, **options: Any) -> dict[str, Any]:
    spec = RunSpec(
        plugin="cls",
        package="mimctl_cls",
        action="data",
        entry="mimctl_cls.folder:describe",
        mimctl_version="0",
        work_dir=str(work_dir),
        options={"dir": str(folder), **options},
    )
    return describe(spec)


def write_image(path: Path, seed: int | None = None) -> None:
    """Write an image of its own content: noise from a seed, which is the path's where none is given."""
    noise = np.random.default_rng(seed if seed is not None else list(str(path).encode()))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise.integers(0, 255, (8, 8, 3), np.uint8)).save(path)


def make(root: Path, counts: dict[str, int]) -> Path:
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            write_image(root / name / f"{number}.png")
    return root


def test_class_folders_are_split_class_by_class_and_outside_the_data(tmp_path: Path) -> None:
    root = make(tmp_path / "mine", {"cat": 20, "dog": 10, "owl": 3})
    before = sorted(root.rglob("*"))
    first = report(root, tmp_path / "run", split_seed=3)
    again = report(root, tmp_path / "run2", split_seed=3)
    other = report(root, tmp_path / "run3", split_seed=4)
    assert (first["ok"], first["layout"], first["classes"]) == (True, "folders", ["cat", "dog", "owl"])
    assert first["splits"]["train"]["per_class"] == {"cat": 16, "dog": 8, "owl": 2}
    assert first["splits"]["val"]["per_class"] == {"cat": 4, "dog": 2, "owl": 1}
    assert first["splits"]["test"] == first["splits"]["val"]
    lists = [Path(each["splits"]["train"]["ann_file"]).read_text() for each in (first, again, other)]
    assert lists[0] == lists[1] != lists[2]
    val = Path(first["splits"]["val"]["ann_file"]).read_text()
    assert not set(val.splitlines()) & set(lists[0].splitlines())
    assert Counter(line.rpartition(" ")[2] for line in val.splitlines()) == {"0": 4, "1": 2, "2": 1}
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("training", "valid", "testing"), ("Train", "validation", "")]
)
def test_folders_of_splits_are_kept(tmp_path: Path, names: tuple[str, str, str]) -> None:
    counts = {f"{names[0]}/a": 4, f"{names[0]}/b": 5, f"{names[1]}/a": 2, f"{names[1]}/b": 1}
    if names[2]:
        counts |= {f"{names[2]}/a": 3}
    found = report(make(tmp_path / "mine", counts), tmp_path / "run")
    assert found["ok"]
    assert found["made_split"] is None
    images = [found["splits"][split]["images"] for split in ("train", "val", "test")]
    assert images == [9, 3, 3]
    assert [found["splits"][each]["data_prefix"] for each in ("train", "val")] == list(names[:2])
    assert found["splits"]["train"]["ann_file"] is None
    assert not (tmp_path / "run").exists()
    if names[2]:
        assert found["notes"] == ["the split `test` has no image of `b`"]


def test_training_folder_alone_is_divided(tmp_path: Path) -> None:
    found = report(make(tmp_path / "mine", {"train/a": 10, "train/b": 10, "test/a": 2}), tmp_path / "run")
    assert [found["splits"][name]["images"] for name in ("train", "val", "test")] == [16, 4, 2]
    val = found["splits"]["val"]
    lines = Path(val["ann_file"]).read_text().splitlines()
    assert all((tmp_path / "mine" / val["data_prefix"] / line.rpartition(" ")[0]).is_file() for line in lines)


def test_folder_in_a_folder_is_found(tmp_path: Path) -> None:
    make(tmp_path / "download" / "images", {"a": 3, "b": 3})
    (tmp_path / "download" / "licence.txt").write_text("free")
    assert report(tmp_path / "download", tmp_path / "run")["root"] == str(tmp_path / "download" / "images")


def test_what_is_wrong_is_said_before_training(tmp_path: Path) -> None:
    root = make(tmp_path / "mine", {"cat": 12, "dog": 12, "empty": 0})
    (root / "cat" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0nothing")
    (root / "dog" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (root / "dog" / "cut.png").write_bytes((root / "dog" / "0.png").read_bytes()[:70])
    found = report(root, tmp_path / "run")
    assert not found["ok"]
    said = "\n".join(found["problems"])
    assert f"{root}/empty: the class folder holds no image" in said
    assert f"{root}/cat/broken.jpg: the image cannot be read" in said
    assert f"{root}/dog/cut.png: the image cannot be read" in said
    assert f"{root}/dog/gone.png: the image is missing" in said
    assert found["num_problems"] == 4


def test_one_class_alone_is_nothing_to_learn(tmp_path: Path) -> None:
    found = report(make(tmp_path / "mine", {"cat": 12}), tmp_path / "run")
    assert found["problems"] == ["there is one class alone, `cat`: nothing has to be told apart"]


def test_class_that_training_lacks_is_a_mistake(tmp_path: Path) -> None:
    counts = {"train/a": 4, "train/b": 4, "val/a": 2, "val/fox": 2}
    found = report(make(tmp_path / "mine", counts), tmp_path / "run")
    assert found["problems"] == [f"{tmp_path}/mine/val/fox: `fox` is no class of the training images"]


def test_same_images_are_told(tmp_path: Path) -> None:
    root = make(tmp_path / "mine", {"train/a": 3, "train/b": 3, "val/a": 2, "val/b": 2})
    write_image(root / "val/a/9.png", seed=5)
    write_image(root / "train/b/9.png", seed=5)
    write_image(root / "train/a/8.png", seed=6)
    write_image(root / "train/b/8.png", seed=6)
    found = report(root, tmp_path / "run")
    assert found["ok"]
    assert sorted(found["notes"]) == [
        "the same image is in `train` and `val`: train/b/9.png, val/a/9.png",
        "the same image is in the classes `a` and `b`: train/a/8.png, train/b/8.png",
    ]


def test_rare_class_is_told(tmp_path: Path) -> None:
    found = report(make(tmp_path / "mine", {"cat": 30, "dog": 3}), tmp_path / "run")
    assert found["ok"]
    assert found["notes"] == ["`dog` has 3 images, and `cat` 30"]


def test_lists_of_imagenets_form(tmp_path: Path) -> None:
    root = make(tmp_path / "mine", {"train": 4, "val": 2, "test": 2})
    (root / "meta").mkdir()
    (root / "meta/train.txt").write_text("".join(f"{n}.png {n % 2}\n" for n in range(4)))
    (root / "meta/val.txt").write_text("0.png 1\n1.png 0\n")
    (root / "meta/test.txt").write_text("0.png\n1.png\n")
    (root / "meta/classes.txt").write_text("nut\nbolt\n")
    found = report(root, tmp_path / "run")
    assert (found["ok"], found["layout"], found["classes"]) == (True, "lists", ["nut", "bolt"])
    assert found["splits"]["val"]["ann_file"] == "meta/val.txt"
    assert found["splits"]["val"]["data_prefix"] == "val"
    assert found["splits"]["test"] == found["splits"]["val"]
    (root / "meta/classes.txt").unlink()
    assert report(root, tmp_path / "run")["classes"] == ["class_0", "class_1"]


def test_list_with_mistakes_names_file_and_line(tmp_path: Path) -> None:
    root = make(tmp_path / "mine", {"images": 3})
    (root / "train.txt").write_text("0.png 0\n1.png 1\nmissing.png 1\n2.png two\n")
    found = report(root, tmp_path / "run")
    assert found["problems"][:2] == [
        f"{root}/train.txt:3: there is no image {root}/images/missing.png",
        f"{root}/train.txt:4: a line is `path label`, label a number",
    ]
    (root / "train.txt").write_text("0.png 0\n1.png 2\n2.png 0\n")
    (root / "classes.txt").write_text("nut\nbolt\n")
    assert f"{root}: label 2 of 2 named classes" in report(root, tmp_path / "run")["problems"]


def idx(array: np.ndarray[Any, Any]) -> bytes:
    return gzip.compress(struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes())


def write_digits(root: Path, stem: str, labels: list[int]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / f"{stem}-images-idx3-ubyte.gz").write_bytes(idx(np.zeros((len(labels), 28, 28), np.uint8)))
    (root / f"{stem}-labels-idx1-ubyte.gz").write_bytes(idx(np.array(labels, np.uint8)))


def test_test_files_of_mnist_alone_are_divided_in_order(tmp_path: Path) -> None:
    write_digits(tmp_path / "mnist", "t10k", [*range(10)] * 2)
    found = report(tmp_path / "mnist", tmp_path / "run")
    assert (found["ok"], found["layout"], found["holds_arrays"]) == (True, "idx", True)
    train, val = found["splits"]["train"], found["splits"]["val"]
    assert (train["dataset_type"], train["extra"]) == ("MNIST", {"test_mode": True, "indices": 16})
    assert (val["images"], val["extra"]) == (4, {"test_mode": True, "indices": -4})
    assert val["per_class"]["6 - six"] == 1
    assert found["notes"] == ["only `t10k-…` is there: its first 16 pictures train, its last 4 validate"]


def test_all_files_of_mnist_are_taken_as_published(tmp_path: Path) -> None:
    root = tmp_path / "FashionMNIST" / "raw"
    write_digits(root, "t10k", [*range(10)])
    write_digits(root, "train", [*range(10)] * 3)
    found = report(tmp_path / "FashionMNIST", tmp_path / "run")
    assert found["classes"][0] == "T-shirt/top"
    assert [found["splits"][name]["images"] for name in ("train", "val", "test")] == [30, 10, 10]
    assert [found["splits"][name]["extra"] for name in ("train", "val")] == [{"test_mode": False}, {"test_mode": True}]
    assert found["splits"]["train"]["dataset_type"] == "FashionMNIST"
    assert found["splits"]["train"]["data_root"] == str(root)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "is no whole gzip file"),
        (lambda path: path.write_bytes(idx(np.array([1, 2], np.uint8))), "holds 2 labels for 20 pictures"),
        (lambda path: path.write_bytes(idx(np.array([11] * 20, np.uint8))), "label 11 of 10 classes"),
        (lambda path: path.unlink(), "`t10k-images` and `t10k-labels` belong together"),
    ],
)
def test_damaged_files_of_mnist_are_said(tmp_path: Path, damage: Any, says: str) -> None:
    write_digits(tmp_path / "mnist", "t10k", [*range(10)] * 2)
    damage(tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz")
    found = report(tmp_path / "mnist", tmp_path / "run")
    assert not found["ok"]
    assert says in found["problems"][0]


def test_data_with_boxes_is_not_taken_for_classes(tmp_path: Path, test_data: Path) -> None:
    assert report(test_data / "bccd", tmp_path / "run")["layout"] is None
    yolo = make(tmp_path / "yolo", {"images/train": 3, "images/val": 2})
    (yolo / "labels/train").mkdir(parents=True)
    (yolo / "labels/train/0.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    roboflow = make(tmp_path / "roboflow", {"train": 3, "valid": 2})
    (roboflow / "train/_annotations.coco.json").write_text("{}")
    for folder in (yolo, roboflow):
        found = report(folder, tmp_path / "run")
        assert found["layout"] is None
        assert "no folders of classes" in found["problems"][0]


def test_empty_folder_is_not_recognised(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert report(tmp_path / "none", tmp_path / "run")["problems"][0].endswith("it holds: nothing")


def test_the_folder_is_read_without_torch(tmp_path: Path) -> None:
    root = make(tmp_path / "mine", {"cat": 3, "dog": 3})
    write_digits(tmp_path / "mnist", "t10k", [*range(10)] * 2)
    code = (
        "import sys; from mimctl.spec import RunSpec; from mimctl_cls.folder import describe\n"
        "for each in sys.argv[1:]:\n"
        "    describe(RunSpec(plugin='cls', package='mimctl_cls', action='data', entry='', mimctl_version='0', "
        f"work_dir={str(tmp_path / 'run')!r}, options={{'dir': each}}))\n"
        "assert 'torch' not in sys.modules"
    )
    path = os.pathsep.join(each for each in sys.path if each)
    subprocess.run(
        [sys.executable, "-c", code, str(root), str(tmp_path / "mnist")],
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )
