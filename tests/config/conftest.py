"""Small config files in a temporary folder, and those of published wheels."""

from __future__ import annotations

import os
import zipfile
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


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return package → folder of its configs, unpacked from the wheels that the environment names."""
    given = os.environ.get("MIMCTL_TEST_CONFIGS")
    if not given:
        pytest.skip("MIMCTL_TEST_CONFIGS names no wheels of mmdet 3.3.0 and mmpretrain 1.2.0")
    found: dict[str, Path] = {}
    for each in map(Path, given.split(os.pathsep)):
        for wheel in sorted(each.glob("*.whl")) if each.is_dir() else [each]:
            target = tmp_path_factory.mktemp(wheel.name.partition("-")[0])
            with zipfile.ZipFile(wheel) as archive:
                names = [name for name in archive.namelist() if "/configs/" in name]
                archive.extractall(target, names)
            package = next((name.partition("/")[0] for name in names if "/.mim/configs/" in name), "")
            found[package] = target / package / ".mim" / "configs"
    return found
