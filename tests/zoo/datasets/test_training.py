"""What was fetched trains: look-alikes of known data sets, in archives built like the real ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import lookalike_data
import pytest
from static_server import serving

from mimctl.settings import Settings
from mimctl.zoo.datasets.fetch import FetchedData, fetch_data_set

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of this test."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def fetched(name: str, folder: Path, settings: Settings) -> FetchedData:
    """Bring the look-alike of a data set to where configs look for it."""
    served = folder / "served"
    served.mkdir()
    with serving(served) as server:
        return fetch_data_set(lookalike_data.publish_data_set(name, served, server.address), settings=settings)


def mimctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    places = [ROOT, ROOT / "plugins/cls", ROOT / "plugins/det"]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "MIMCTL_HOME": str(Path.cwd().parent / "home"),
        "MIMCTL_PYTHON": sys.executable,
        "PYTHONPATH": os.pathsep.join(map(str, places)),
    }
    argv = [sys.executable, "-m", "mimctl", *arguments]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize(
    ("name", "toolbox", "report"),
    [
        ("mnist", "cls", ["layout: idx", "classes: 10", "train: 40 images", "val: 20 images"]),
        ("imagenette-160", "cls", ["layout: folders", "classes: 2", "train: 16 images", "val: 8 images"]),
        ("caltech101", "cls", ["layout: folders", "classes: 2 (accordion, anchor)"]),
        (
            "voc2007",
            "det",
            ["layout: voc", "classes: 2 (cat, dog)", "train: 8 images", "test: 4 images"],
        ),
        ("coco2017", "det", ["layout: coco", "classes: 2 (person, dog)", "train: 8 images", "val: 4 images"]),
    ],
)
def test_the_toolbox_reads_the_folder_that_the_entry_names(
    name: str, toolbox: str, report: list[str], here: Path, settings: Settings
) -> None:
    found = fetched(name, here, settings)
    done = mimctl("data", toolbox, str(found.train[toolbox]))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for expected in report:
        assert any(line.startswith(expected) for line in lines), done.stdout


@pytest.mark.slow
def test_a_classifier_trains_on_what_was_fetched(here: Path, settings: Settings) -> None:
    found = fetched("mnist", here, settings)
    options = ("--weights", "none", "--epochs", "1", "--batch", "8", "--gpus", "0")
    done = mimctl("train", "cls", "lenet5_mnist", "--data", str(found.train["cls"]), *options)
    assert done.returncode == 0, done.stderr
    assert list((here / "work_dirs").rglob("epoch_1.pth"))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "config"), [("mnist", "lenet5_mnist"), ("cifar10", "resnet18_8xb16_cifar10")])
def test_a_config_finds_what_was_fetched_without_being_told(
    name: str, config: str, here: Path, settings: Settings
) -> None:
    fetched(name, here, settings)
    quick = ("train_cfg.max_epochs=1", "train_dataloader.num_workers=0", "val_dataloader.num_workers=0")
    done = mimctl("train", "cls", config, "--gpus", "0", "--cfg-options", *quick)
    assert done.returncode == 0, done.stderr
    assert list((here / "work_dirs" / config).glob("epoch_1.pth"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["voc2007", "coco2017"])
def test_a_detector_trains_on_what_was_fetched(name: str, here: Path, settings: Settings) -> None:
    found = fetched(name, here, settings)
    options = ("--weights", "none", "--epochs", "1", "--batch", "4", "--imgsz", "64", "--gpus", "0")
    done = mimctl("train", "det", "rtmdet_nano", "--data", str(found.train["det"]), *options)
    assert done.returncode == 0, done.stderr
    assert list((here / "work_dirs").rglob("epoch_1.pth"))
