"""The promise of the op wheels: without a compiler a toolbox installs, and its operators are compiled all the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_tutorial import ROOT
from static_server import serving

COMPILERS = (
    "cc",
    "c++",
    "gcc",
    "g++",
    "clang",
    "clang++",
    "nvcc",
    "cmake",
    "ninja",
    "make",
)  # pip asks rustc for its version


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_install_of_a_toolbox_downloads_its_operators_and_compiles_nothing(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MIMCTL_")}
    environment |= {"MIMCTL_HOME": str(tmp_path / "home"), "MIMCTL_CACHE_DIR": str(tmp_path / "cache")}

    def mimctl(*arguments: str, **more: str) -> str:
        argv = [sys.executable, "-m", "mimctl", *arguments]
        done = subprocess.run(argv, cwd=ROOT, env=environment | more, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    mimctl("wheels", "build", "--out", str(tmp_path / "wheels"))
    mimctl("index", "build", "--wheels", str(tmp_path / "wheels"), "--out", str(tmp_path / "site"))
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    called = tmp_path / "called"
    with serving(tmp_path / "site") as server:
        options = ["--python", str(python), "--index", server.address]
        path = f"{_compilers_that_only_tell(tmp_path / 'bin', called)}{os.pathsep}{environment['PATH']}"
        mimctl("install", "det", "--yes", "--torch", "cpu", *options, PATH=path)
        again = mimctl("install", "det", "--yes", "--torch", "cpu", *options, PATH=path)
    assert not called.exists(), called.read_text(encoding="utf-8")
    assert "nothing to do" in again
    status = subprocess.run([python, "-P", "-m", "mimctl_ops"], capture_output=True, text=True, check=True)
    found = json.loads(status.stdout)
    assert (found["tier"], found["backend"], found["error"]) == ("compiled", "cpu", None)


def _compilers_that_only_tell(folder: Path, called: Path) -> Path:
    """Return a folder of commands that write down that they were called, and fail."""
    folder.mkdir()
    for name in COMPILERS:
        command = folder / name
        command.write_text(f'#!/bin/sh\necho "{name} $*" >> "{called}"\nexit 1\n', encoding="utf-8")
        command.chmod(0o755)
    return folder
