"""Names of Python's own modules where a registered name belongs: nothing of the standard library is ever built."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from mimctl.config.checking.case import Case
from mimctl.config.checking.mistake import Mistake, Mistakes
from mimctl.config.values import LazyReference

_NAMES = frozenset({"type", "collate_fn", "worker_init_fn", "constructor"})


def find_foreign_names(case: Case) -> Mistakes:
    """Yield `type`s, functions and constructors that name something of the standard library, imported or as text."""
    known = {f"{part.path}.type" for part in case.parts if part.found}
    for path, name in _names(case):
        if _top_of(name) in sys.stdlib_module_names and path not in known:
            yield Mistake(
                path=path,
                message=f"`{name}` at `{path}` is of Python's standard library, and no registered name",
                code="unknown-type",
                causes=("a config names what a registry holds; anything else would run whatever it names",),
            )


def _names(case: Case) -> Iterator[tuple[str, Any]]:
    for path, value in case.dicts:
        for key, item in value.items():
            if key in _NAMES and isinstance(item, (LazyReference, str)):
                yield f"{path}.{key}", item


def _top_of(name: LazyReference | str) -> str:
    if isinstance(name, LazyReference):
        return name.module.partition(".")[0]
    head, dot, _ = name.partition(".")
    return head if dot else ""
