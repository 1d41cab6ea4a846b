"""The commands of the page on data sets, typed in their order, with look-alikes of what they fetch."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import lookalike_data
import pytest
from static_server import serving

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "download-a-data-set.md"
TEXT = PAGE.read_text(encoding="utf-8")
NEEDED = ("mnist", "coco2017", "imagenette-160")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A folder to type in, and a mimctl whose table leads to the look-alikes."""
    package = tmp_path / "installed" / "mimctl"
    shutil.copytree(ROOT / "mimctl", package, ignore=shutil.ignore_patterns("__pycache__"))
    here = tmp_path / "here"
    here.mkdir()
    served = tmp_path / "served"
    with serving(served) as server:
        for name in NEEDED:
            text = lookalike_data.publish(name, served, server.address)
            (package / "zoo" / "datasets" / "table" / f"{name}.toml").write_text(text, encoding="utf-8")
        (here / "street.toml").write_text(text.replace('folder = "data/', 'folder = "data/street/'), encoding="utf-8")
        places = [package.parent, ROOT / "plugins/cls", ROOT / "plugins/det"]
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "MIMCTL_HOME": str(tmp_path / "home"),
            "MIMCTL_PYTHON": sys.executable,
            "PYTHONPATH": os.pathsep.join(map(str, places)),
        }
        yield SimpleNamespace(here=here, environment=environment, server=server)


def run(place: SimpleNamespace, *argv: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *argv], cwd=place.here, env=place.environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done


def shortened(words: list[str]) -> list[str]:
    """Return the words of a command, of a training with what makes it short."""
    if words[0] != "train":
        return words
    if "--data" in words:
        return [*words, "--epochs", "1", "--imgsz", "32", "--batch", "8", "--gpus", "0"]
    loaders = [f"{each}_dataloader.num_workers=0" for each in ("train", "val")]
    return [*words, "--gpus", "0", "--cfg-options", "train_cfg.max_epochs=1", *loaders]


def test_commands_of_the_page_work_as_typed(place: SimpleNamespace) -> None:
    commands = [shlex.split(line) for line in re.findall(r"^mimctl (.*)$", TEXT, re.MULTILINE)]
    assert {each[0] for each in commands} == {"download", "data", "train"}
    assert len(commands) >= 10
    for words in commands:
        done = run(place, "-m", "mimctl", *shortened(words))
        if words[0] == "download" and "--dataset" in words:
            assert Path(done.stdout.strip()).is_dir()
    there = {path.relative_to(place.here).as_posix() for path in place.here.glob("data/*")}
    assert {"data/mnist", "data/coco", "data/imagenette", "data/imagenette-160", "data/street"} <= there
    assert sorted(path.name for path in (place.here / "data/coco").glob("[!.]*")) == [
        "annotations",
        "train2017",
        "val2017",
    ]
    assert (place.here / "usb/imagenette/.archives/imagenette2-160.tgz").is_file()
    asked = place.server.asked
    assert asked.count("/train2017.zip") == 1
    assert asked.count("/imagenette2-160.tgz") == 3, "for two folders and street.toml; not for the mirror's"


def test_the_python_of_the_page_works(place: SimpleNamespace) -> None:
    source = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert source is not None
    done = run(place, "-c", source[1])
    folder = place.here / "data" / "mnist"
    assert done.stdout == f"{folder} {folder} {['sha256'] * 4}\n"
