"""The tutorial's verbs on a handful of scenes, as a person types them: train, test, infer, and what they leave."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "tutorial" / "make_digits.py"
SHORT = ["--cfg-options", "train_dataloader.num_workers=0", "val_dataloader.num_workers=0"]


def mimctl(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mimctl", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with small scenes and a training of two epochs over them."""
    folder = tmp_path_factory.mktemp("tutorial")
    counts = ["--train", "48", "--val", "8", "--test", "8", "--size", "96"]
    subprocess.run([sys.executable, str(SCRIPT), "data/digits", *counts], cwd=folder, check=True, timeout=120)
    options = ["--gpus", "0", "--epochs", "2", "--seed", "1", *SHORT]
    done = mimctl("train", "det", "rtmdet_nano_digits", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_scenes_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        command = [sys.executable, str(SCRIPT), str(tmp_path / name), "--train", "3", "--val", "1", "--test", "1"]
        subprocess.run(command, check=True, timeout=120, capture_output=True)
    for path in sorted((tmp_path / "one").rglob("*.*")):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_training_leaves_config_checkpoint_and_scalars(place: Path) -> None:
    run = place / "work_dirs" / "rtmdet_nano_digits"
    scalars = [json.loads(line) for path in run.glob("*/vis_data/scalars.json") for line in path.open()]
    losses = [row["loss"] for row in scalars if "loss" in row]
    assert (run / "rtmdet_nano_digits.py").is_file()
    assert Path((run / "last_checkpoint").read_text().strip()).name == "epoch_2.pth"
    assert losses
    assert all(0 < loss < 100 for loss in losses)


def test_the_config_that_is_left_behind_is_an_ordinary_one(place: Path) -> None:
    config = place / "work_dirs" / "rtmdet_nano_digits" / "rtmdet_nano_digits.py"
    shown = mimctl("train", "det", str(config), "--gpus", "0", "--dry-run", cwd=place)
    assert shown.returncode == 0, shown.stderr
    assert "mimctl.engine.child" in shown.stdout


def test_testing_prints_the_metrics_of_a_coco_evaluation(place: Path) -> None:
    done = mimctl("test", "det", "rtmdet_nano_digits", "-C", "last", "--gpus", "0", "--json", cwd=place)
    assert done.returncode == 0, done.stderr
    metrics = json.loads(done.stdout)["metrics"]
    assert 0 <= metrics["coco/bbox_mAP_50"] <= 1


def test_inference_writes_a_picture_and_prints_boxes(place: Path) -> None:
    checkpoint = "work_dirs/rtmdet_nano_digits/epoch_2.pth"
    image = "data/digits/test/00001.jpg"
    done = mimctl("infer", "det", checkpoint, image, "--score-thr", "0.01", "--out-dir", "seen", "--json", cwd=place)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["images"][0]
    assert cv2.imread(found["picture"]).shape == (96, 96, 3)
    assert found["boxes"]
    assert all(0 <= number <= 96 for box in found["boxes"] for number in box["box"])
    assert set(found["boxes"][0]) == {"label", "class", "score", "box"}


def test_resuming_continues_where_the_run_stopped(place: Path) -> None:
    done = mimctl("train", "det", "rtmdet_nano_digits", "--gpus", "0", "--epochs", "3", "--resume", *SHORT, cwd=place)
    assert done.returncode == 0, done.stderr
    assert "epoch 3 of 3" in done.stderr + done.stdout
    assert "epoch 1 of 3" not in done.stderr + done.stdout


def test_a_misspelled_override_stops_before_any_process(place: Path) -> None:
    done = mimctl("train", "det", "rtmdet_nano_digits", "--cfg-options", "model.backone.depth=1", cwd=place)
    assert done.returncode == 2
    assert "model.backone" in done.stderr
    assert "backbone" in done.stderr
