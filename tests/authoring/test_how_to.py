"""The toolbox of the how-to, typed off the page: it passes, and the command says what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from toy_toolbox import ROOT, command

PAGE = ROOT / "docs" / "how-to" / "write-a-toolbox.md"
FILE = re.compile(r"^`([\w./-]+\.(?:toml|py))`[^\n]*\n\n```\w+\n(.*?)```", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"```\n\$ (mimctl plugin check my-toolbox)\n(.*?)```", re.DOTALL)


@pytest.mark.slow
def test_toolbox_of_the_page_gives_what_the_page_shows(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    files = dict(FILE.findall(text))
    assert len(files) == 4
    project = tmp_path / "my-toolbox"
    for name, content in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(content, encoding="utf-8")
    (project / "README.md").write_text("# Dots\n")
    (project / "mimctl_dots" / "__init__.py").write_text("")
    shown = SHOWN.search(text)
    assert shown is not None
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    said = subprocess.run(
        command(*shown[1].split()[1:], "--python", sys.executable),
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (said.returncode, said.stdout) == (0, shown[2]), said.stderr
