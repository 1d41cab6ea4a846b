"""The commands of the page on publishing, typed by whoever trains a model and then by a second person elsewhere."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from login_node import Login
from mim_package import write_package
from page_reader import Reader
from static_server import Server
from tiny_wheels import write_wheel

from mimctl import api

SMALL = "--weights none --epochs 2 --imgsz 32 --batch 8 --gpus 0 --seed 0"
"""What is typed too where there is neither a GPU nor a network, and but a few pictures."""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The index of whoever publishes."""
    write_wheel(tmp_path / "wheels", "mimctl_cls-0.1.0-py3-none-any.whl")
    api.build_index([tmp_path / "wheels"], tmp_path / "site")
    return tmp_path / "site"


def write_lamps(folder: Path) -> None:
    """Write pictures of reddish and of bluish lamps."""
    noise = np.random.default_rng(0)
    for name, colour in (("red", (40, 60, 200)), ("blue", (200, 60, 40))):
        (folder / name).mkdir(parents=True)
        for number in range(10):
            picture = np.clip(noise.normal(colour, 25, (40, 48, 3)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / name / f"{number}.jpg"), picture)


def test_a_second_person_gets_the_same_figures(tmp_path: Path, site: Path) -> None:
    write_lamps(tmp_path / "my_folders")
    write_package(tmp_path / "packages", name="mmdet", module="mmdet", version="3.3.0")
    server = Server(site)
    stands_for = {
        "--data my_folders": f"--data my_folders {SMALL}",
        "-C best": "-C best --gpus 0",
        "https://models.example.org/lamps": server.address,
        "--cfg-options": "--gpus 0 --cfg-options",
    }
    packages = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "packages"), "PIP_CONFIG_FILE": os.devnull}
    trainer = Login.at(tmp_path, **packages, MIMCTL_CACHE_DIR=str(tmp_path / "cache"))
    reader = Reader("publish-a-model.md", trainer, stands_for)
    reader.types("mimctl train")
    reader.types("mimctl test")
    told = reader.types("mimctl zoo publish")
    files = [Path(line) for line in told.splitlines() if line.startswith("/")]
    (weights,) = [path for path in files if path.suffix == ".safetensors"]
    assert sorted(path.suffix for path in files) == [".json", ".pth", ".py", ".safetensors", ".yml"]

    reader.stands_for["resnet18_lamps-0123abcd.safetensors"] = weights.name
    reader.folder = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "my_folders", reader.folder / "data" / "lamps")
    shutil.rmtree(tmp_path / "my_folders")
    own = {"MIMCTL_HOME": str(tmp_path / "her"), "MIMCTL_CACHE_DIR": str(tmp_path / "her" / "cache")}
    reader.environment |= own
    reader.types("mimctl settings set index")
    reader.types("mimctl download")
    assert (reader.folder / weights.name).read_bytes() == weights.read_bytes()
    reader.types("mimctl test")
    verified = reader.types("mimctl zoo verify")
    (model,) = json.loads((site / "zoo/cls.json").read_text())["models"]
    published = model["results"][0]["metrics"]
    assert published
    rows = [line for line in verified.splitlines() if line.endswith("same")]
    assert len(rows) == len(published), verified

    reader.types("mimctl zoo import")
    assert "net_s_1x_coco" in (reader.folder / "index/zoo/det.yaml").read_text()
    assert reader.types("mimctl zoo lint") == "nothing is irregular\n"
    assert not reader.left
    server.close()
