"""Reads off source what a config has to agree with: how many classes a dataset has, what a model's parts are called."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import Any

from mimctl.config.tables.signatures import resolution_order
from mimctl.config.tables.sources import Found, Module, Sources

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_HOPS = 10


def num_classes_of(sources: Sources, found: Found) -> int | None:
    """Return the number of classes in a dataset's `METAINFO`, its own or a base's; None where it names none."""
    for each in resolution_order(sources, found):
        if each is None or not isinstance(each.node, ast.ClassDef):
            return None
        metainfo = _class_attribute(each.node, "METAINFO")
        if metainfo is not None:
            classes = _item(metainfo, "classes")
            return _length(sources, each.module, classes) if classes is not None else None
    return None


def reads_annotation_file(sources: Sources, found: Found) -> bool:
    """Say whether the method that loads a dataset's samples reads `ann_file`, and does not ask for it first."""
    for each in resolution_order(sources, found):
        if each is None or not isinstance(each.node, ast.ClassDef):
            return False
        for method in each.node.body:
            if isinstance(method, ast.FunctionDef) and method.name == "load_data_list":
                tests = [node.test for node in ast.walk(method) if isinstance(node, ast.If | ast.IfExp)]
                is_optional = any(_is_own(node, "ann_file") for test in tests for node in ast.walk(test))
                return not is_optional and any(_is_own(node, "ann_file") for node in ast.walk(method))
    return False


def names_in(body: Iterable[ast.stmt]) -> list[str]:
    """Return the names that parts of the models of some source may bear: attributes, and strings used to name them.

    A name that is put together from variables stands as a pattern: `stage*`.
    """
    found: set[str] = set()
    for statement in body:
        for node in _without_docstrings(statement):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                found.add(node.attr)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.add(node.target.id)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _IDENTIFIER.fullmatch(node.value):
                found.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                found.update(_pattern(node))
    return sorted(found)


def uses_of(module: Module, packages: Iterable[str]) -> list[str]:
    """Return the modules of the given packages that a module imports from."""
    held = {source for source, _ in module.imports.values()} | {*module.stars}
    held |= {f"{source}.{name}" for source, name in module.imports.values() if name}
    return sorted(each for each in held if each.startswith(tuple(packages)))


def _without_docstrings(statement: ast.stmt) -> Iterator[ast.AST]:
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.Raise):
            continue  # messages name nothing
        waiting.extend(each for each in ast.iter_child_nodes(node) if not _is_docstring(each))


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _pattern(node: ast.JoinedStr) -> Iterator[str]:
    text = "".join(str(each.value) if isinstance(each, ast.Constant) else "*" for each in node.values)
    if re.fullmatch(r"[A-Za-z0-9_*]+", text) and text.strip("*_"):
        yield re.sub(r"\*+", "*", text)


def _is_own(node: ast.AST, name: str) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr == name
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    )


def _class_attribute(node: ast.ClassDef, name: str) -> ast.expr | None:
    for each in node.body:
        targets: list[Any] = each.targets if isinstance(each, ast.Assign) else [getattr(each, "target", None)]
        if isinstance(each, (ast.Assign, ast.AnnAssign)) and any(
            isinstance(target, ast.Name) and target.id == name for target in targets
        ):
            return each.value
    return None


def _item(node: ast.expr, key: str) -> ast.expr | None:
    """Return the value of a key in `{…}` or `dict(…)`."""
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return next((v for k, v in pairs if isinstance(k, ast.Constant) and k.value == key), None)
    if isinstance(node, ast.Call):
        return next((each.value for each in node.keywords if each.arg == key), None)
    return None


def _length(sources: Sources, module: Module, node: ast.expr, hops: int = 0) -> int | None:
    """Return the number of items of a literal list or tuple, or of what a name stands for."""
    if isinstance(node, (ast.Tuple, ast.List)):
        return None if any(isinstance(each, ast.Starred) for each in node.elts) else len(node.elts)
    found = sources.find_value(module, node.id) if isinstance(node, ast.Name) and hops < _MAX_HOPS else None
    return _length(sources, *found, hops + 1) if found is not None else None
