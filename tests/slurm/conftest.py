"""A user on the login node of this session's Slurm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from login_node import Login
from mini_slurm import empty_queue


@pytest.fixture
def login(cluster: dict[str, str], tmp_path: Path) -> Iterator[Login]:
    """Return a user with an own home in an own folder; no job outlives the test."""
    yield Login.at(tmp_path, **cluster)
    empty_queue(cluster)
