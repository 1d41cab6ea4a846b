"""Small config files in a temporary folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mimctl.config import Config


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a function that writes one file below the temporary folder."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def load(put: Callable[[str, str], Path]) -> Callable[[str], Config]:
    """Return a function that evaluates the text of a Python config."""
    return lambda text: Config.fromfile(put("config.py", text))
