"""`mimctl plugin new`: what it writes passes every check and trains before a line of it is changed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from toy_toolbox import ROOT, Said, command


def run(folder: Path, *arguments: str, site: Path | None = None) -> Said:
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    paths = os.pathsep.join(map(str, [ROOT, *([site, folder / "mimctl-my-dots"] if site else [])]))
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": paths, "MIMCTL_PYTHON": sys.executable}
    done = subprocess.run(command(*arguments), cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    return Said(code=done.returncode, out=done.stdout, err=done.stderr)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def test_new_toolbox_has_no_mistake(here):
    said = run(here, "plugin", "new", "my_dots")
    assert said.code == 0, said.err
    assert "mimctl-my-dots/mimctl_my_dots/plugin.toml" in said.out.splitlines()
    project = here / "mimctl-my-dots"
    assert {path.name for path in project.iterdir()} == {"README.md", "mimctl_my_dots", "pyproject.toml", "tests"}
    left = [path for path in project.rglob("*") if path.is_file() and re.search(r"@\w+@", path.read_text())]
    assert left == [], "a mark of the template is left"
    checked = json.loads(run(here, "plugin", "check", "mimctl-my-dots", "--no-run", "--no-write", "--json").out)
    assert {each["status"] for each in checked["findings"]} == {"ok"}, checked


@pytest.mark.slow
def test_new_toolbox_keeps_its_contract_and_trains(here, tmp_path):
    run(here, "plugin", "new", "my_dots")
    checked = run(here, "plugin", "check", "mimctl-my-dots")
    assert checked.code == 0, checked.out
    info = tmp_path / "site" / "mimctl_my_dots-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "entry_points.txt").write_text("[mimctl.plugins]\nmy_dots = mimctl_my_dots\n")
    (info / "direct_url.json").write_text(json.dumps({"url": (here / "mimctl-my-dots").as_uri()}))
    arguments = ("train", "my_dots", "my_dots_small", "--gpus", "0", "--json")
    said = run(here, *arguments, site=info.parent)
    assert said.code == 0, said.err
    assert json.loads(said.out)["metrics"]["my_dots/error"] < 0.15, "means of [0, 1) alone are off by 0.25"
    own = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=here / "mimctl-my-dots",
        env={**os.environ, "PYTHONPATH": str(ROOT), "MIMCTL_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert own.returncode == 0, own.stdout


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("My-Dots", "lower-case letters"),
        ("engine", "is a name of the engine's own"),
        ("mmdet", "`mmdet` is a name of mimctl-det"),
        ("seg", "`seg` is a name of mimctl-seg"),
        ("../dots", "lower-case letters"),
    ],
)
def test_name_that_is_none_or_taken_is_refused(here, name, words):
    said = run(here, "plugin", "new", name)
    assert (said.code, words in said.err) == (2, True), said.err
    assert list(here.iterdir()) == []


def test_folder_with_files_is_left_as_it_is(here):
    (here / "work").mkdir()
    (here / "work" / "thesis.txt").write_text("mine")
    said = run(here, "plugin", "new", "dots", "--dir", "work")
    assert (said.code, "is there already" in said.err) == (2, True)
    assert [path.name for path in (here / "work").iterdir()] == ["thesis.txt"]
    assert run(here, "plugin", "new", "dots", "--dir", "fresh/folder").code == 0
