"""Gives the build its one dependency: the oldest torch that the backend being built works with."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PROJECT = Path(__file__).resolve().parent.parent


def dynamic_metadata(field: str, settings: Mapping[str, Any] | None = None) -> list[str]:
    """Return `dependencies` for scikit-build-core; raise ValueError for any other field."""
    if field != "dependencies":
        raise ValueError(f"no fact for the field {field!r}")
    is_compiled = os.environ.get("MIMCTL_OPS_BACKEND", "cpu") != "python"
    return [f"torch>={_compiled_min_torch() if is_compiled else _python_min_torch()}"]


def _compiled_min_torch() -> str:
    found = re.search(r'set\(MIMCTL_OPS_MIN_TORCH "([0-9.]+)"\)', (_PROJECT / "CMakeLists.txt").read_text("utf-8"))
    if found is None:
        raise ValueError("CMakeLists.txt sets no MIMCTL_OPS_MIN_TORCH")
    return found[1]


def _python_min_torch() -> str:
    facts = json.loads((_PROJECT / "mimctl_ops" / "build.json").read_text("utf-8"))
    return str(facts["min_torch"])
