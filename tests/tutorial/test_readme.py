"""What the README shows is run: its commands on stand-ins for people's own files, its Python as it stands."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
from pathlib import Path

import pytest
from small_tutorial import ROOT, Mimctl

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.partition("#")[0].strip() for _, text in BLOCKS for line in text.splitlines() if line.startswith("mimctl ")
]
NETWORK = "mimctl download det --config rtmdet_s"  # tests/zoo does this against a mirror
CHECKPOINT = "rtmdet_s_8xb32-300e_coco_20220905_161602-387a891e"


@pytest.fixture
def desk(place: Path, tmp_path: Path) -> Path:
    """Return a folder that holds what the README's commands name."""
    shutil.copytree(place / "data", tmp_path / "data")
    shutil.copytree(place / "data" / "digits", tmp_path / "my_photos")
    shutil.copy(place / "data" / "digits" / "test" / "00001.jpg", tmp_path / "photo.jpg")
    shutil.copy(place / "zoo" / "rtmdet_nano_digits.py", tmp_path / "cfg.py")
    (tmp_path / "work_dirs" / "cfg").mkdir(parents=True)
    shutil.copy(
        place / "work_dirs" / "rtmdet_nano_digits" / "epoch_2.pth", tmp_path / "work_dirs" / "cfg" / "best_x.pth"
    )
    shutil.copy(place / "work_dirs" / "rtmdet_nano_digits" / "epoch_2.pth", tmp_path / f"{CHECKPOINT}.pth")
    shutil.copytree(place / "zoo", tmp_path / "zoo")
    return tmp_path


@pytest.mark.parametrize("command", [each for each in COMMANDS if not each.startswith(NETWORK)])
def test_a_command_of_the_readme_runs(command: str, desk: Path, mimctl: Mimctl) -> None:
    words = shlex.split(command)[1:]
    if words[0] in ("install", "train", "test") and "--dry-run" not in words:
        words.append("--dry-run")
    done = mimctl(*words, cwd=desk)
    assert done.returncode == 0, done.stderr


def test_the_python_of_the_readme_runs(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = [text for language, text in BLOCKS if language == "python"]
    monkeypatch.chdir(desk)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, "README.md", "exec"), {})
    assert "tensor" in printed.getvalue()
