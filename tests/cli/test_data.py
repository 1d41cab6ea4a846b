"""`--data DIR`: a folder of photographs becomes a config, or a report of what is wrong with it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from toy_toolbox import ROOT

from mimctl.config import Config


def test_a_folder_that_cannot_be_trained_on_gets_a_report_before_anything_starts(mimctl, toy, tmp_path):
    here = tmp_path / "here"
    (here / "photos").mkdir()
    said = mimctl("train", "toy", "toy_small", "--data", "photos", "--gpus", "0")
    assert (said.code, said.out) == (1, "")
    assert "error[bad-data]: `photos` cannot be trained on as it is\n" in said.err
    assert "problem: no image was found\n" in said.err
    assert [path.name for path in here.iterdir()] == ["photos"]


def test_a_folder_that_does_not_exist_is_an_error(mimctl, toy):
    said = mimctl("train", "toy", "toy_small", "--data", "nowhere", "--gpus", "0")
    assert said.code == 1
    assert "error[data-not-found]: `nowhere` does not exist\n" in said.err


def test_data_prints_what_is_in_a_folder(mimctl, toy, tmp_path):
    folder = tmp_path / "here" / "my photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"")
    said = mimctl("data", "toy", folder)
    assert said.code == 0
    assert said.out == (
        "layout: toy\nclasses: 2 (cat, dog)\n"
        "train: 1 images, 3 boxes\nval: 1 images, 3 boxes\ntest: 1 images, 3 boxes\n"
    )


@pytest.fixture
def det(environment, site) -> dict[str, str]:
    """An environment in which the detection toolbox of this checkout is installed, in the tests' own interpreter."""
    info = site / "mimctl_det-0.1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[mimctl.plugins]\ndet = mimctl_det\n")
    path = f"{environment['PYTHONPATH']}:{ROOT / 'plugins' / 'det'}:{ROOT / 'plugins' / 'ops'}"
    return {"PYTHONPATH": path, "MIMCTL_PYTHON": sys.executable}


def plan_of(mimctl, det, *arguments) -> dict[str, object]:
    said = mimctl("train", "det", "rtmdet_nano", "--gpus", "0", "--dry-run", "--json", *arguments, env=det)
    assert said.code == 0, said.err
    document = json.loads(said.out)
    assert isinstance(document, dict)
    return document


def test_a_voc_folder_becomes_a_whole_config(mimctl, det, test_data, tmp_path):
    pytest.importorskip("PIL")
    folder = test_data / "bccd"
    document = plan_of(
        mimctl, det, "--data", folder, "--weights", "none", "--epochs", "20", "--batch", "4", "--imgsz", "320"
    )
    work_dir = tmp_path / "here" / "work_dirs" / "rtmdet_nano_bccd"
    path = work_dir / "rtmdet_nano_bccd.py"
    assert document["data"]["classes"] == ["Platelets", "RBC", "WBC"]
    assert document["spec"]["config"] == str(path)
    config = Config.fromstring(document["files"][str(path)], ".py")
    assert config.model.bbox_head.num_classes == 3
    assert config.train_cfg.max_epochs == 20
    assert config.train_dataloader.batch_size == 4
    assert config.load_from is None
    assert not work_dir.exists()


def test_what_a_person_types_wins_over_what_follows_from_other_options(mimctl, det, test_data):
    pytest.importorskip("PIL")
    document = plan_of(
        mimctl,
        det,
        "--data",
        test_data / "bccd",
        "--weights",
        "none",
        "--epochs",
        "20",
        "--cfg-options",
        "train_cfg.max_epochs=7",
    )
    (text,) = document["files"].values()
    assert Config.fromstring(text, ".py").train_cfg.max_epochs == 7


def test_automatic_weights_that_are_not_at_hand_are_an_error_never_a_start_from_scratch(mimctl, det, test_data):
    pytest.importorskip("PIL")
    said = mimctl("train", "det", "rtmdet_nano", "--data", test_data / "bccd", "--gpus", "0", env=det)
    assert (said.code, said.out) == (4, "")
    assert "error[weights-not-at-hand]: weights to start `rtmdet_nano` from are not at hand" in said.err
    assert "hint: start from scratch: `--weights none`" in said.err


def test_no_weights_means_no_pretrained_backbone_either(mimctl, det, test_data):
    pytest.importorskip("PIL")
    arguments = ["train", "det", "rtmdet_s", "--data", test_data / "bccd", "--gpus", "0", "--dry-run", "--json"]
    said = mimctl(*arguments, "--weights", "none", env=det)
    assert said.code == 0, said.err
    (text,) = json.loads(said.out)["files"].values()
    assert "Pretrained" not in text


def test_weights_by_path_are_what_the_run_starts_from(mimctl, det, test_data, tmp_path):
    pytest.importorskip("PIL")
    path: Path = tmp_path / "here" / "w.pth"
    path.write_bytes(b"")
    document = plan_of(mimctl, det, "--data", test_data / "bccd", "--weights", "w.pth")
    (text,) = document["files"].values()
    assert Config.fromstring(text, ".py").load_from == str(path)
    said = mimctl("train", "det", "rtmdet_nano", "--weights", "gone.pth", "--gpus", "0", env=det)
    assert said.code == 2
    assert "error[checkpoint-not-found]: weights `gone.pth` do not exist" in said.err
