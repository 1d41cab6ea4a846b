"""What is lost before a config has values: a key that stands twice in one dict of the source."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from functools import lru_cache

from mimctl.config.checking.case import Case
from mimctl.config.checking.mistake import Mistake, Mistakes
from mimctl.config.language.limits import origin_of
from mimctl.config.language.parse import parse_python, read_source

_Repeated = tuple[str, int, int]
"""Key, line, line of the key's first place."""


def find_repeated_keys(case: Case) -> Mistakes:
    """Yield keys that a `{…}` or `dict(…)` of one of the config's files has twice with different values."""
    for file in case.config.files:
        for key, line, first in _repeated_in(file):
            yield Mistake(
                path=f"{file}:{line}:{key}",
                message=f"`{key}` is there twice in one dict, and only the last one counts",
                code="repeated-key",
                causes=(f"the first is at {origin_of((file, first))}",),
                hints=("leave one of them out",),
                place=origin_of((file, line)),
            )


def _repeated_in(file: str) -> tuple[_Repeated, ...]:
    if not file.endswith(".py"):
        return ()
    try:
        facts = os.stat(file)  # noqa: PTH116 - for every file of every config
    except OSError:
        return ()
    return _repeated(file, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=500)
def _repeated(file: str, changed: int, size: int) -> tuple[_Repeated, ...]:
    """Return the repeated keys of a file; `changed` and `size` tell whether what is held of it is still true."""
    found: list[_Repeated] = []
    for statement in parse_python(read_source(file), file):
        for node in ast.walk(statement):
            seen: dict[str, tuple[int, str]] = {}
            for key, line, value in _pairs(node):
                if key in seen and seen[key][1] != value:
                    found.append((key, line, seen[key][0]))
                seen[key] = (line, value)
    return tuple(found)


def _pairs(node: ast.AST) -> Iterator[tuple[str, int, str]]:
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant):
                yield str(key.value), key.lineno, ast.dump(value)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        for keyword in node.keywords:
            if keyword.arg is not None:
                yield keyword.arg, keyword.value.lineno, ast.dump(keyword.value)
