"""One small tutorial for all tests of this folder: scenes, an index with the project's models, a short training."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_tutorial import ROOT, SCRIPT, SHORT, Mimctl
from tiny_wheels import write_wheel

from mimctl.site.build import SiteSources, build_site


@pytest.fixture(scope="session")
def mimctl(tmp_path_factory: pytest.TempPathFactory) -> Mimctl:
    """Return a function that runs mimctl in a folder, with an index of the project's own models and a fresh home."""
    index = tmp_path_factory.mktemp("site") / "index"
    wheel = write_wheel(tmp_path_factory.mktemp("wheels"), "mimctl_det-0.1.0-py3-none-any.whl")
    toolboxes = ROOT / "index" / "toolboxes.yaml"
    build_site(SiteSources(wheels=[wheel], zoo=ROOT / "index" / "zoo", toolboxes=toolboxes), index)
    home = tmp_path_factory.mktemp("home")
    places = {"MIMCTL_HOME": str(home), "MIMCTL_CACHE_DIR": str(home / "cache"), "MIMCTL_INDEX_URL": str(index)}
    environment = {**os.environ, **places}

    def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mimctl", *arguments]
        return subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=3000, check=False
        )

    return run


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory, mimctl: Mimctl) -> Path:
    """Return a folder with small scenes, the published model, and a training of two epochs."""
    folder = tmp_path_factory.mktemp("tutorial")
    counts = ["--train", "48", "--val", "8", "--test", "8", "--size", "96"]
    subprocess.run([sys.executable, str(SCRIPT), "data/digits", *counts], cwd=folder, check=True, timeout=240)
    for arguments in (
        ("download", "det", "--config", "rtmdet_nano", "--dest", "zoo"),
        ("train", "det", "rtmdet_nano_digits", "--gpus", "0", "--epochs", "2", "--seed", "1", *SHORT),
    ):
        done = mimctl(*arguments, cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder
