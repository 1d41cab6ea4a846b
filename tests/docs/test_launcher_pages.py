"""What the pages on launchers start is checked and planned as the words stand there; slow tests start it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from login_node import Login
from page_reader import WITHOUT_GPUS, Reader, stood_in

from mimctl.cli.app import main

PAGES = (
    "train-on-several-gpus.md",
    "train-on-several-nodes.md",
    "train-on-slurm.md",
    "go-on-after-a-preemption.md",
    "sweep.md",
)
STARTING = ("train", "sweep", "gridsearch")


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_starts_can_be_planned(
    page: str,
    cluster: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    reader = Reader(page, Login.at(tmp_path, **cluster))
    monkeypatch.chdir(tmp_path)
    for name, value in reader.environment.items():
        monkeypatch.setenv(name, value)
    planned = 0
    for line in reader.left:
        words = shlex.split(stood_in(line.partition(" && ")[0], WITHOUT_GPUS))
        words = words[1:] if "=" in words[0] else words
        if words[0] == "mimctl" and words[1] in STARTING and words[2] != "report":
            code = main([*words[1:], "--dry-run"])
            said = capfd.readouterr()
            assert code == 0, f"{line}\n{said.err}"
            assert "spec.json" in said.out, line
            planned += 1
    assert planned >= 4
    assert not any(each.name in ("work_dirs", "sweeps") for each in tmp_path.iterdir())
