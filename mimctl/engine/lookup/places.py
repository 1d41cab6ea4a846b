"""Where a class or function was written: file and line for messages about what is registered."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any


def place_of(obj: Any, *, number: int = -1) -> str:
    """Return `file:line (module.Name)` of a class or function, or its dotted name alone where there is no source.

    Of several definitions of one name in a file `number` picks one, the last by default.
    """
    name = dotted_name_of(obj)
    file = _file_of(obj)
    line = _line_of(obj, file, number) if file else None
    return f"{file}:{line} ({name})" if line else name


def dotted_name_of(obj: Any) -> str:
    """Return `module.QualifiedName`."""
    return f"{getattr(obj, '__module__', '?')}.{getattr(obj, '__qualname__', obj)}"


def count_definitions(obj: Any) -> int:
    """Return how often the file that defines `obj` defines its name, 0 where there is no source."""
    file = _file_of(obj)
    return len(_lines(file, getattr(obj, "__qualname__", ""))) if file else 0


def _file_of(obj: Any) -> str | None:
    try:
        return inspect.getsourcefile(inspect.unwrap(obj))
    except (TypeError, OSError, ValueError):
        return None


def _line_of(obj: Any, file: str, number: int) -> int | None:
    code = getattr(obj, "__code__", None)
    if code is not None:
        return int(code.co_firstlineno)
    lines = _lines(file, getattr(obj, "__qualname__", ""))
    return lines[number] if lines else None


def _lines(file: str, qualname: str) -> list[int]:
    try:
        body = ast.parse(Path(file).read_text(encoding="utf-8")).body
    except (OSError, SyntaxError, ValueError):
        return []
    return [node.lineno for node in _definitions(body, qualname.split("."))]


def _definitions(body: list[ast.stmt], parts: list[str]) -> list[ast.ClassDef | ast.FunctionDef]:
    """Return the definitions of a qualified name (`Outer.Inner`, `function.<locals>.Inner`), in the file's order."""
    found = []
    for statement in body:
        for node in ast.walk(statement) if not isinstance(statement, ast.ClassDef | ast.FunctionDef) else (statement,):
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == parts[0]:
                rest = [part for part in parts[1:] if part != "<locals>"]
                found += _definitions(node.body, rest) if rest else [node]
    return found
