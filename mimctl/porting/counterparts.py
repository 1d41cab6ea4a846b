"""Reads what there is now: the tables of engine and vision, and the sources of installed toolboxes, as data."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from mimctl.names import EXPORTS
from mimctl.porting.names import TOOLBOXES, Names


def find_names(toolboxes: Iterable[tuple[str, str, Path]] = ()) -> Names:
    """Return what old names can become, given the installed toolboxes as (name, import package, its folder)."""
    modules: dict[str, frozenset[str]] = {package: frozenset(names) for package, names in EXPORTS.items()}
    places: dict[str, tuple[str, ...]] = {}
    for name, package, folder in toolboxes:
        own = dict(_public_names(package, folder))
        modules.update(own)
        for old in (each for each, ours in TOOLBOXES.items() if ours == name):
            places[old] = tuple(own)
    return Names(modules=modules, toolboxes=places)


def _public_names(package: str, folder: Path) -> Iterator[tuple[str, frozenset[str]]]:
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if "configs" in parts or any(part.startswith("_") and part != "__init__" for part in parts):
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue
        names = frozenset(_exported(tree) if parts[-1] == "__init__" else _defined(tree))
        if names:
            yield ".".join((package, *parts)).removesuffix(".__init__"), names


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name


def _exported(tree: ast.Module) -> Iterator[str]:
    yield from _defined(tree)
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(each, ast.Name) and each.id == "__all__" for each in node.targets
        ):
            for each in ast.walk(node.value):
                if isinstance(each, ast.Constant) and isinstance(each.value, str):
                    yield each.value
