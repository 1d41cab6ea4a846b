"""The tutorial's verbs on a handful of scenes, as a person types them: train, test, infer, and what they leave."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
from small_tutorial import SCRIPT, SHORT, Mimctl


def test_scenes_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        command = [sys.executable, str(SCRIPT), str(tmp_path / name), "--train", "3", "--val", "1", "--test", "1"]
        subprocess.run(command, check=True, timeout=240, capture_output=True)
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


def test_the_config_that_is_left_behind_is_an_ordinary_one(place: Path, mimctl: Mimctl) -> None:
    config = place / "work_dirs" / "rtmdet_nano_digits" / "rtmdet_nano_digits.py"
    shown = mimctl("train", "det", str(config), "--gpus", "0", "--dry-run", cwd=place)
    assert shown.returncode == 0, shown.stderr
    assert "mimctl.engine.child" in shown.stdout


def test_testing_prints_the_metrics_of_a_coco_evaluation(place: Path, mimctl: Mimctl) -> None:
    done = mimctl("test", "det", "rtmdet_nano_digits", "-C", "last", "--gpus", "0", "--json", cwd=place)
    assert done.returncode == 0, done.stderr
    assert 0 <= json.loads(done.stdout)["metrics"]["coco/bbox_mAP_50"] <= 1


def test_the_published_weights_find_digits_in_unseen_scenes(place: Path, mimctl: Mimctl) -> None:
    arguments = ("-C", "zoo/rtmdet_nano_digits.safetensors", "--gpus", "0", "--json")
    done = mimctl("test", "det", "rtmdet_nano_digits", *arguments, cwd=place)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["coco/bbox_mAP_50"] >= 0.8


def test_inference_writes_a_picture_and_prints_boxes(place: Path, mimctl: Mimctl) -> None:
    arguments = ("zoo/rtmdet_nano_digits.safetensors", "data/digits/test/00001.jpg", "--out-dir", "seen", "--json")
    done = mimctl("infer", "det", *arguments, cwd=place)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["images"][0]
    assert cv2.imread(found["picture"]).shape == (96, 96, 3)
    assert found["boxes"]
    assert all(-1 <= number <= 97 for box in found["boxes"] for number in box["box"])
    assert set(found["boxes"][0]) == {"label", "class", "score", "box"}


def test_a_model_of_the_zoo_is_inferred_with_by_its_name(place: Path, mimctl: Mimctl) -> None:
    done = mimctl("infer", "det", "rtmdet_nano", "data/digits/test/00001.jpg", "--json", cwd=place)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"][0]["boxes"]


def test_weights_alone_say_which_config_they_belong_to(place: Path, mimctl: Mimctl, tmp_path: Path) -> None:
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((place / "zoo" / "rtmdet_nano_digits.safetensors").read_bytes())
    image = str(place / "data" / "digits" / "test" / "00001.jpg")
    done = mimctl("infer", "det", str(alone), image, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"][0]["boxes"]


def test_own_data_start_from_the_published_weights(place: Path, mimctl: Mimctl) -> None:
    options = ("--data", "data/digits", "--epochs", "1", "--imgsz", "96", "--batch", "8", "--gpus", "0")
    done = mimctl("train", "det", "rtmdet_nano", *options, "--work-dir", "own", *SHORT, cwd=place)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (place / "own").glob("*.py")]
    assert "weights: 698 tensors loaded" in done.stderr


def test_resuming_continues_where_the_run_stopped(place: Path, mimctl: Mimctl) -> None:
    work_dir = ("--work-dir", "resumed")
    for epochs in ("1", "2"):
        resume = ("--resume",) if epochs == "2" else ()
        options = ("--gpus", "0", "--epochs", epochs, *work_dir, *resume, *SHORT)
        done = mimctl("train", "det", "rtmdet_nano_digits", *options, cwd=place)
        assert done.returncode == 0, done.stderr
    assert "train: epoch 2 of 2" in done.stderr
    assert "train: epoch 1 of 2" not in done.stderr


def test_a_misspelled_override_stops_before_any_process(place: Path, mimctl: Mimctl) -> None:
    done = mimctl("train", "det", "rtmdet_nano_digits", "--cfg-options", "model.backone.depth=1", cwd=place)
    assert done.returncode == 2
    assert "model.backone" in done.stderr
    assert "backbone" in done.stderr
