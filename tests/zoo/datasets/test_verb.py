"""`mimctl download --dataset` as a person types it: exit code, stdout, stderr."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def mimctl(tmp_path: Path) -> Any:
    """Return a function that runs `mimctl` in a folder of its own."""
    work = tmp_path / "work place"
    work.mkdir()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "plugins/cls", ROOT / "plugins/det"))),
        "MIMCTL_HOME": str(tmp_path / "home"),
        "MIMCTL_CACHE_DIR": str(tmp_path / "cache"),
        "MIMCTL_PYTHON": sys.executable,
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "mimctl", *arguments]
        return subprocess.run(argv, cwd=work, env=environment, capture_output=True, text=True, timeout=240)

    run.work = work  # type: ignore[attr-defined]
    return run


def test_stdout_is_the_folder_and_the_second_time_is_nothing_to_do(mimctl: Any, published: Any) -> None:
    done = mimctl("download", "cls", "--dataset", str(published.description), "--dest", "my photos")
    folder = mimctl.work / "my photos"
    assert (done.returncode, done.stdout) == (0, f"{folder}\n"), done.stderr
    assert "licence: CC0; https://photos.example" in done.stderr
    assert f"train on it: `mimctl train cls CONFIG --data {folder / 'photos'}`" in done.stderr
    again = mimctl("download", "--dataset", str(published.description), "--dest", "my photos")
    assert (again.returncode, again.stdout, again.stderr) == (0, f"{folder}\n", "nothing to do\n")


def test_json_says_what_became_of_each_file(mimctl: Any, published: Any) -> None:
    done = mimctl("download", "--dataset", str(published.description), "--part", "val,notes", "--json")
    data = json.loads(done.stdout)
    assert data["data"] == str(mimctl.work / "data" / "photos")
    assert data["train"] == {"cls": str(mimctl.work / "data" / "photos" / "photos")}
    assert data["files"][0] == {"part": "val", "name": "val.zip", "check": "sha256", "state": "new"}
    assert [each["name"] for each in data["files"]] == ["val.zip", "splits.txt", "notes.tar"]
    assert (data["new"], data["licence"]) == (True, "CC0")


def test_a_mirror_takes_the_place_of_the_publisher(mimctl: Any, published: Any, tmp_path: Path) -> None:
    elsewhere = tmp_path / "mirror"
    elsewhere.mkdir()
    for name, body in published.bodies.items():
        (elsewhere / name).write_bytes(body)
    done = mimctl("download", "--dataset", str(published.description), "--mirror", str(elsewhere), "--offline")
    assert done.returncode == 0, done.stderr
    assert published.asked == []


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (
            ("--dataset", "mnits"),
            2,
            "error[unknown-dataset]: no data set `mnits` is known\n\nhint: did you mean `mnist`",
        ),
        (("cls", "--dataset", "coco2071"), 2, "error[unknown-dataset]"),
        (("--dataset", "coco2017", "--part", "vall"), 2, "data set `coco2017` has no part `vall`"),
        (("clss", "--dataset", "mnist"), 1, "error[plugin-not-installed]"),
        (("det", "rtmdet_s", "--dataset", "mnist"), 2, "`--dataset` fetches no models"),
        (("mnist",), 2, "hint: `mnist` is a data set: `mimctl download --dataset mnist`"),
        (("det", "rtmdet_s", "--part", "val"), 2, "are for `--dataset NAME`"),
        ((), 2, "error[missing-argument]"),
        (("--dataset", "mnist", "--offline"), 4, "error[offline]"),
    ],
)
def test_mistakes_are_one_clear_error(arguments: tuple[str, ...], code: int, error: str, mimctl: Any) -> None:
    done = mimctl("download", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert error in done.stderr


@pytest.mark.parametrize(
    ("toolbox", "config", "name"),
    [
        ("cls", "lenet5_mnist", "mnist"),
        ("cls", "resnet18_8xb16_cifar10", "cifar10"),
        ("det", "rtmdet_s_8xb32-300e_coco", "coco2017"),
    ],
)
def test_a_training_without_its_data_says_how_to_fetch_it(toolbox: str, config: str, name: str, mimctl: Any) -> None:
    done = mimctl("train", toolbox, config, "--gpus", "0")
    assert done.returncode == 1
    assert "error[data-not-found]" in done.stderr
    assert f"\nhint: fetch it: `mimctl download --dataset {name}`\n" in done.stderr
    assert done.stderr.count("fetch it:") == 1


def test_all_are_listed_and_those_of_a_toolbox_alone(mimctl: Any) -> None:
    done = mimctl("download", "--list-datasets")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].split()[:3] == ["data", "set", "to"]
    assert any(line.startswith("coco2017 ") and "20.4 GB" in line for line in lines)
    det = json.loads(mimctl("download", "det", "--list-datasets", "--json").stdout)["datasets"]
    names = {each["name"] for each in det}
    assert {"coco2017", "voc2007"} <= names
    assert "mnist" not in names
    mmdet = json.loads(mimctl("download", "mmdet", "--list-datasets", "--json").stdout)["datasets"]
    assert {"lvis-v1", "coco2017", "bccd"} <= {each["name"] for each in mmdet}
    assert mimctl("download", "--list-datasets", "-q").stdout.splitlines() == sorted(
        line.split()[0] for line in lines[1:]
    )


def test_real_digits_have_the_published_hash_and_are_read(mimctl: Any, test_data: Path) -> None:
    mirror = test_data / "mnist"
    done = mimctl("download", "--dataset", "mnist", "--part", "test", "--mirror", str(mirror), "--offline", "--json")
    assert done.returncode == 0, done.stderr
    assert [(each["check"], each["state"]) for each in json.loads(done.stdout)["files"]] == [("sha256", "new")] * 2
    report = mimctl("data", "cls", "data/mnist").stdout.splitlines()
    assert {"layout: idx", "train: 8000 images", "val: 2000 images"} <= set(report)


def test_names_are_completed_by_the_shell(mimctl: Any, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "_MIMCTL_COMPLETE": "bash_complete",
        "COMP_WORDS": "mimctl download --dataset voc",
        "COMP_CWORD": "3",
        "MIMCTL_HOME": str(tmp_path / "home"),
    }
    done = subprocess.run([sys.executable, "-m", "mimctl"], env=environment, capture_output=True, text=True, timeout=99)
    assert [line.partition(",")[2] for line in done.stdout.splitlines()] == ["voc2007", "voc2012"]
