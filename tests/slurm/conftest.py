"""A Slurm for this folder's tests, and a user on its login node."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from login_node import TOY, Login
from mini_slurm import mini_slurm


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return the environment variables of a Slurm that runs while the tests do."""
    with mini_slurm(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


@pytest.fixture
def login(cluster: dict[str, str], tmp_path: Path) -> Login:
    """Return a user with an own home in an own folder."""
    shutil.copy(Path(__file__).parent.parent / "engine" / "toy_experiment.py", tmp_path)
    (tmp_path / "toy.py").write_text(TOY)
    environment = {
        **os.environ,
        **cluster,
        "MIMCTL_HOME": str(tmp_path / "home"),
        "MIMCTL_PYTHON": sys.executable,
        "OMP_NUM_THREADS": "1",
    }
    return Login(tmp_path, environment)
