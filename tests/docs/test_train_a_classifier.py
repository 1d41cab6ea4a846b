"""The commands of the page on classifiers, typed in their order in a folder with photographs of two classes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "train-a-classifier.md"
QUICK = ["--epochs", "2", "--imgsz", "32", "--batch", "8", "--gpus", "0", "--seed", "0"]


def commands() -> list[list[str]]:
    """Return the words of each command of the page that works on `my_photos`."""
    lines = re.findall(r"^mimctl (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [shlex.split(line) for line in lines if "my_photos" in line]


def write_photographs(folder: Path) -> None:
    """Write reddish cats and bluish dogs."""
    noise = np.random.default_rng(0)
    for name, colour in (("cat", (40, 60, 200)), ("dog", (200, 60, 40))):
        (folder / name).mkdir(parents=True)
        for number in range(10):
            picture = np.clip(noise.normal(colour, 25, (40, 48, 3)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / name / f"{number}.jpg"), picture)


def test_commands_of_the_page_work_as_typed(tmp_path: Path) -> None:
    write_photographs(tmp_path / "my_photos")
    places = [ROOT, ROOT / "plugins" / "cls"]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "MIMCTL_HOME": str(tmp_path / "home"),
        "PYTHONPATH": os.pathsep.join(map(str, places)),
    }
    typed = commands()
    assert [each[0] for each in typed] == ["data", "train", "test", "infer"]
    printed = []
    for words in typed:
        extra = QUICK if words[0] == "train" else [] if words[0] == "data" else ["--gpus", "0"]
        done = subprocess.run(
            [sys.executable, "-m", "mimctl", *words, *extra],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    assert "classes: 2 (cat, dog)\ntrain: 16 images\nval: 4 images\n" in printed[0]
    assert "accuracy/top1" in printed[2]
    assert printed[3].count("\n  cat ") == 10
    assert printed[3].count("\n  dog ") == 10
