"""Writes the stubs of the packages whose names are imported at their first use: `python tests/contracts/name_stubs.py`.

Type checkers and editors read `mimctl/engine/__init__.pyi` and `mimctl/vision/__init__.pyi`; what is in them follows
from the tables of `mimctl.names`.
"""

from __future__ import annotations

from pathlib import Path

from mimctl.names import EXPORTS

ROOT = Path(__file__).parents[2]


def stub_of(package: str) -> str:
    """Return the text of a package's stub."""
    lines = [f"from {module} import {name} as {name}" for name, module in EXPORTS[package].items()]
    head = "# ruff: noqa: I001 (written by tests/contracts/name_stubs.py out of mimctl/names.py)"
    return "\n".join([head, *sorted(lines)]) + "\n"


def path_of(package: str) -> Path:
    """Return where a package's stub is."""
    return ROOT.joinpath(*package.split("."), "__init__.pyi")


if __name__ == "__main__":
    for each in EXPORTS:
        path_of(each).write_text(stub_of(each), encoding="utf-8")
