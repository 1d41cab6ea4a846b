"""Which toolbox of OpenMMLab registers a name: for the message where no installed toolbox has it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

_TABLE = Path(__file__).with_name("published_names.txt")


def publishers_of(name: str, kind: str | None = None) -> list[str]:
    """Return our names of the toolboxes whose namesakes register `name` (as `kind`; None: as anything), sorted."""
    found = _publishers().get(name, {})
    return sorted({scope for each, scopes in found.items() if kind in (None, each) for scope in scopes})


@cache
def _publishers() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Return name → kind → scopes."""
    table: dict[str, dict[str, tuple[str, ...]]] = {}
    for line in _TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        scope, kind, *names = line.split()
        for name in names:
            kinds = table.setdefault(name, {})
            kinds[kind] = (*kinds.get(kind, ()), scope)
    return table
