"""Which packages belong to distributions that are installed, so that no other wheel takes their place."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_ALWAYS = ("torch", "torchvision", "torchaudio")
_SHARED_FOLDERS = frozenset({"tests", "test", "docs", "doc", "examples", "example", "scripts", "benchmarks", "tools"})
"""Folders that wheels leave in `site-packages` by mistake so often that two having one proves nothing."""


def protected_names(search: Iterable[Path], *, but: Iterable[str] = ()) -> dict[str, str]:
    """Return the top-level packages (with an `__init__`) and modules of what is installed in `search`, each with its
    distribution; `but` names (normalised) the distributions that are replaced.

    Namespaces are nobody's, and folders such as `tests` are not protected. torch and its two companions are, even where
    nothing lists their files.
    """
    left_out = set(but)
    found: dict[str, str] = {}
    for folder in search:
        for info in sorted(folder.glob("*.dist-info")):
            owner = normal_name(info.name.partition("-")[0])
            if owner in left_out:
                continue
            for top in _tops(_installed_paths(info), folder):
                found.setdefault(top, owner)
        for name in _ALWAYS:
            if name not in left_out and (folder / name / "__init__.py").is_file():
                found.setdefault(name, name)
    return found


def top_name(path: str) -> str:
    """Return the import name at the top of a path: `torch` of `torch/nn/x.py` and of `torch.py`."""
    first, slash, _ = path.partition("/")
    is_module = not slash and first.endswith((".py", ".so", ".pyd"))
    return first.partition(".")[0] if is_module else first


def _installed_paths(info: Path) -> list[str]:
    """Return what RECORD lists not deeper than in one folder: of the tens of thousands of lines that there may be, only
    those are read as CSV."""
    try:
        with (info / "RECORD").open(encoding="utf-8", newline="") as stream:
            return [row[0] for row in csv.reader(line for line in stream if line.count("/", 0, 200) < 2) if row]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _tops(paths: Iterable[str], folder: Path) -> Iterator[str]:
    """Yield the packages and modules at the top of what a distribution installed."""
    for path in paths:
        parts = path.split("/")
        is_module = len(parts) == 1 and parts[0].endswith((".py", ".so", ".pyd"))
        is_package = len(parts) == 2 and parts[1] == "__init__.py" and not _is_namespace(folder / path)
        if (is_module or is_package) and parts[0] not in _SHARED_FOLDERS:
            yield top_name(path)


def _is_namespace(init: Path) -> bool:
    """Return whether several distributions may have this package: its `__init__` says so, or it holds nothing at all
    but folders (`nvidia/`).
    """
    try:
        with init.open("rb") as stream:
            head = stream.read(4096)
        if head.strip():
            return b"extend_path" in head or b"declare_namespace" in head
        return not any(each.is_file() and each != init for each in init.parent.iterdir())
    except OSError:
        return True


def normal_name(name: str) -> str:
    """Return a project's name normalised (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
