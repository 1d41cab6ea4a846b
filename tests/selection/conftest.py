"""Makers of environments and candidates."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from made_environment import make_env, make_file

from mimctl.environment.model import Environment
from mimctl.index.model import IndexFile


@pytest.fixture
def env() -> Callable[..., Environment]:
    """Return the maker of environments."""
    return make_env


@pytest.fixture
def file() -> Callable[[str], IndexFile]:
    """Return the maker of candidates."""
    return make_file
