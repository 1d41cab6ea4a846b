"""What classes of other libraries take, as stub files: read in place of the library, so that no table depends on it.

`torch/` is written by `python -m mimctl.config.outside.collect FOLDER…` from the sources of several torch versions.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def find_stub(name: str) -> Path | None:
    """Return the stub file of a module of a library that has stubs here; None where that module has none."""
    path = FOLDER.joinpath(*name.split("."), "__init__.stub")
    return path if path.is_file() else None


def has_stubs(name: str) -> bool:
    """Say whether the library that a module belongs to is described here, and so is not read itself."""
    return (FOLDER / name.partition(".")[0] / "__init__.stub").is_file()
