"""Find data that lie outside the repository, reference values and real images, by environment variables."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _outside(variable: str, default: str) -> Path:
    path = Path(os.environ.get(variable) or ROOT.parent / "shared" / default)
    if not path.is_dir():
        pytest.skip(f"no {default} folder at {path}; set {variable}")
    return path


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Return the folder of real data sets (with a manifest.json), or skip."""
    return _outside("MIMCTL_TEST_DATA", "data")


@pytest.fixture(scope="session")
def test_reference() -> Path:
    """Return the folder of reference values of OpenMMLab models, or skip."""
    return _outside("MIMCTL_TEST_REFERENCE", "reference")
