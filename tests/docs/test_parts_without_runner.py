"""The scripts of `use-parts-without-runner.md` run as they stand and print what stands below them."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "use-parts-without-runner.md").read_text(encoding="utf-8")
SECTIONS = dict(each.split("\n", 1) for each in PAGE.split("\n## ")[1:])
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SCRIPTS = {title: dict(BLOCK.findall(section)) for title, section in SECTIONS.items()}
OF_RANKS = "Several processes"


def test_every_part_has_a_script_that_needs_no_runner() -> None:
    assert all(set(blocks) == {"python", "text"} for blocks in SCRIPTS.values())
    assert not any("mimctl.engine.runner" in blocks["python"] for blocks in SCRIPTS.values())


@pytest.mark.parametrize("title", [title for title in SCRIPTS if title != OF_RANKS])
def test_script_prints_what_the_page_says(
    title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script.py").write_text(SCRIPTS[title]["python"], encoding="utf-8")
    runpy.run_path("script.py", run_name="__main__")
    assert capsys.readouterr().out == SCRIPTS[title]["text"]


def test_script_of_ranks_prints_what_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPTS[OF_RANKS]["python"], encoding="utf-8")
    # As the page says, and with a rendezvous that no other program on this machine meets.
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "script.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == SCRIPTS[OF_RANKS]["text"]
