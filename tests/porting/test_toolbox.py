"""A small toolbox written against the old names: it does not import, is ported by its import lines, and trains."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from toy_toolbox import ROOT, command

FIELD = Path(__file__).parent / "field"


@pytest.fixture
def project(tmp_path):
    """The toolbox, its script, its config and its data."""
    np = pytest.importorskip("numpy")
    folder = tmp_path / "project"
    shutil.copytree(FIELD, folder, ignore=shutil.ignore_patterns("__pycache__"))
    images = folder / "data" / "images"
    images.mkdir(parents=True)
    seeds = []
    for number in range(8):
        np.save(images / f"{number}.npy", np.full((3, 8, 8), float(number % 2), np.float32))
        seeds.append({"file": f"{number}.npy", "label": number % 2})
    (folder / "data" / "seeds.json").write_text(json.dumps({"seeds": seeds}))
    return folder


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(arguments, cwd=project, env=env, capture_output=True, text=True, timeout=300)


def test_a_toolbox_is_ported_by_its_import_lines_alone_and_trains(project):
    pytest.importorskip("torch")
    train = (sys.executable, "train.py", "config.py", "work")
    before = run(project, *train)
    assert "No module named 'mmengine'" in before.stderr

    ported = run(project, *command("port", ".", "--write"))
    assert (ported.returncode, ported.stderr.count("left ")) == (0, 0), ported.stderr
    assert "note config.py:2: `custom_imports` names `mmdet.models`" in ported.stderr
    assert run(project, *command("port", ".", "--check")).returncode == 0

    after = run(project, *train)
    assert after.returncode == 0, after.stderr[-3000:]
    # 8 seeds, 2 at a time, 2 epochs; every third batch is told of.
    assert [line for line in after.stdout.splitlines() if ": " in line or line == "rested"][-4:] == [
        "rested",
        "rested",
        "seeds: 16",
        "iterations: 8",
    ]
    assert list((project / "work").glob("*.pth"))
    ops = (
        "import torch; from grain.models import keep_best\n"
        "boxes = torch.tensor([[0., 0, 4, 4], [0, 0, 4, 3.9], [5, 5, 9, 9]])\n"
        "print(keep_best(boxes, torch.tensor([0.9, 0.8, 0.7])).tolist())"
    )
    assert run(project, sys.executable, "-c", ops).stdout == "[0, 2]\n"


def test_only_import_lines_and_their_uses_differ(project):
    run(project, *command("port", ".", "--write"))
    for path in sorted(FIELD.rglob("*.py")):
        old = path.read_text().splitlines()
        new = (project / path.relative_to(FIELD)).read_text().splitlines()
        changed = [line for line in old if line not in new]
        assert all("mmengine" in line or "mmcv" in line or "mmdet" in line for line in changed), changed
        assert len(old) == len(new), path
