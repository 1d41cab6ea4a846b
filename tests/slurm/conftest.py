"""A user on the login node of this session's Slurm."""

from __future__ import annotations

from pathlib import Path

import pytest
from login_node import Login


@pytest.fixture
def login(cluster: dict[str, str], tmp_path: Path) -> Login:
    """Return a user with an own home in an own folder."""
    return Login.at(tmp_path, **cluster)
