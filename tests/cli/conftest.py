"""Runs the command line as people do: a process, its exit code, its stdout, its stderr."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from toy_toolbox import ROOT, Said, command, install_toolbox

Mimctl = Callable[..., Said]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home: no settings of the person who runs the tests."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A target environment of its own: what is installed beside the tests must not show up in them."""
    folder = tmp_path_factory.mktemp("target")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder / "bin" / "python"


@pytest.fixture
def environment(home: Path, tmp_path: Path, interpreter: Path) -> dict[str, str]:
    """An environment in which the toolboxes of `site` are installed and nothing else is set."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    site = os.pathsep.join([str(ROOT), str(tmp_path / "site")])
    return {**kept, "HOME": str(home), "PYTHONPATH": site, "MIMCTL_PYTHON": str(interpreter), "COLUMNS": "80"}


@pytest.fixture
def mimctl(environment: dict[str, str], tmp_path: Path) -> Mimctl:
    """Run `mimctl` in an empty folder."""
    folder = tmp_path / "here"
    folder.mkdir()

    def run(*arguments: str | Path, env: dict[str, str] | None = None, cwd: Path = folder) -> Said:
        done = subprocess.run(
            command(*arguments),
            cwd=cwd,
            env={**environment, **(env or {})},
            capture_output=True,
            text=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
            timeout=240,
        )
        return Said(code=done.returncode, out=done.stdout, err=done.stderr)

    return run


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The folder in which toolboxes are installed."""
    folder = tmp_path / "site"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def toy(site: Path) -> Path:
    """Install the toolbox `toy` and return its package."""
    return install_toolbox(site, "toy")
