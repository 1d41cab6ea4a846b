"""The README's first command in a fresh clone: from nothing to a detector that finds unseen digits."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from small_tutorial import ROOT, Mimctl


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_make_demo_trains_a_detector_from_a_fresh_clone(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True, timeout=300)
    done = subprocess.run(["make", "demo"], cwd=clone, capture_output=True, text=True, timeout=3000, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "nothing to do" in done.stdout + done.stderr
    found = re.search(r"coco/bbox_mAP_50\s+(\d\.\d+)", done.stdout)
    assert found
    assert float(found[1]) >= 0.85
    assert list((clone / "demo" / "pictures").glob("*.jpg"))
    status = subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True)
    assert status.stdout == ""


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_blood_cells_are_found_after_training_on_photographs(test_data: Path, mimctl: Mimctl, tmp_path: Path) -> None:
    options = ("--data", str(test_data / "bccd"), "--gpus", "0", "--seed", "0", "--work-dir", str(tmp_path / "cells"))
    trained = mimctl("train", "det", "rtmdet_nano", *options, cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr[-4000:]
    config = next((tmp_path / "cells").glob("*.py"))
    tested = mimctl("test", "det", str(config), "-C", "best", "--gpus", "0", "--json", cwd=tmp_path)
    assert tested.returncode == 0, tested.stderr[-4000:]
    assert json.loads(tested.stdout)["metrics"]["coco/bbox_mAP_50"] >= 0.6
