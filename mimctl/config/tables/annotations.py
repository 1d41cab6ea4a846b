"""Type annotations in their simplest form: read off source text, and held against the values of a config.

A simple annotation is text such as `int | tuple[int, int] | None`: alternatives among int, float, bool, str, dict,
None, `Sequence[…]`, `tuple[…]` of a fixed length, and `Literal[…]`. What has another alternative (a class, a callable)
says nothing about the values of a config, and is left out.
"""

from __future__ import annotations

import ast
from functools import lru_cache
from typing import Any

from mimctl.config.tables.sources import Module, Sources, dotted_name
from mimctl.config.values import LazyReference

_PLAIN = frozenset({"int", "float", "bool", "str", "dict"})
_SEQUENCES = frozenset({"list", "Sequence", "Iterable", "Collection", "MutableSequence", "List", "set", "frozenset"})
_MAPPINGS = frozenset({"Mapping", "MutableMapping", "Dict", "ConfigDict"})
_PATHS = frozenset({"Path", "PurePath", "PathLike"})
_NEVER_DATA = frozenset({"Tensor", "Module", "ndarray", "NDArray"})
"""Classes beside other alternatives that no config holds an object of."""
_MAX_DEPTH = 8


class _NotSimpleError(ValueError):
    pass


def simple_annotation(sources: Sources, module: Module, node: ast.expr | None, default: ast.expr | None) -> str | None:
    """Return the simple form of a parameter's annotation, following aliases; None where there is none.

    A default of None is an alternative, said or not.
    """
    if node is None:
        return None
    try:
        found = _alternatives(sources, module, node, 0)
    except _NotSimpleError:
        return None
    if isinstance(default, ast.Constant) and default.value is None:
        found.append("None")
    return " | ".join(dict.fromkeys(found))


def _alternatives(sources: Sources, module: Module, node: ast.expr, depth: int) -> list[str]:
    if depth > _MAX_DEPTH:
        raise _NotSimpleError
    if isinstance(node, ast.Constant):
        return _of_constant(sources, module, node, depth)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union(sources, module, [node.left, node.right], depth)
    if isinstance(node, ast.Subscript):
        return _of_subscript(sources, module, node, depth)
    name = (dotted_name(node) or "").rpartition(".")[2]
    if name in _PLAIN:
        return [name]
    if name in _SEQUENCES or name in ("tuple", "Tuple"):
        return ["Sequence"]
    if name in _MAPPINGS:
        return ["dict"]
    if name in _PATHS:
        return ["str"]
    alias = _alias(sources, module, node)
    if alias is None:
        raise _NotSimpleError
    return _alternatives(sources, *alias, depth + 1)


def _union(sources: Sources, module: Module, items: list[ast.expr], depth: int) -> list[str]:
    data = [each for each in items if not _is_never_data(each)]
    if not data:
        raise _NotSimpleError
    return [each for item in data for each in _alternatives(sources, module, item, depth + 1)]


def _is_never_data(node: ast.expr) -> bool:
    name = dotted_name(node.value if isinstance(node, ast.Subscript) else node) or ""
    return name.rpartition(".")[2] in _NEVER_DATA


def _of_constant(sources: Sources, module: Module, node: ast.Constant, depth: int) -> list[str]:
    if node.value is None:
        return ["None"]
    if not isinstance(node.value, str):
        raise _NotSimpleError
    try:
        inner = ast.parse(node.value, mode="eval").body
    except SyntaxError:
        raise _NotSimpleError from None
    return _alternatives(sources, module, inner, depth + 1)


def _of_subscript(sources: Sources, module: Module, node: ast.Subscript, depth: int) -> list[str]:
    name = (dotted_name(node.value) or "").rpartition(".")[2]
    items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if name == "Literal":
        return [ast.unparse(node)[len(ast.unparse(node.value)) - len("Literal") :]]
    if name in ("Optional", "Union"):
        found = _union(sources, module, items, depth)
        return [*found, "None"] if name == "Optional" else found
    if name in _MAPPINGS or name == "dict":
        return ["dict"]
    if name in _PATHS:
        return ["str"]
    if name in ("tuple", "Tuple") and not (isinstance(items[-1], ast.Constant) and items[-1].value is Ellipsis):
        inner = [_item(sources, module, item, depth) or "Any" for item in items]
        return [f"tuple[{', '.join(inner)}]"]
    if name in _SEQUENCES or name in ("tuple", "Tuple"):
        item = _item(sources, module, items[0], depth)
        return [f"Sequence[{item}]" if item else "Sequence"]
    raise _NotSimpleError


def _item(sources: Sources, module: Module, node: ast.expr, depth: int) -> str | None:
    try:
        return " | ".join(dict.fromkeys(_alternatives(sources, module, node, depth + 1)))
    except _NotSimpleError:
        return None


def _alias(sources: Sources, module: Module, node: ast.expr) -> tuple[Module, ast.expr] | None:
    """Return what a name is an alias of, and the module that says so."""
    if not isinstance(node, ast.Name):
        return None
    source = module.imports.get(node.id, ("", ""))[0]
    is_own = not source or source.partition(".")[0] in sources.roots
    return sources.find_value(module, node.id) if is_own else None


def fits(value: Any, annotation: str) -> bool:
    """Say whether a value of a config fits a simple annotation; what is built later (a reference) always does."""
    return any(_fits(value, each) for each in alternatives(annotation))


@lru_cache(maxsize=4096)
def alternatives(annotation: str) -> tuple[ast.expr, ...]:
    """Return the alternatives of a simple annotation."""
    node = ast.parse(annotation, mode="eval").body
    found: list[ast.expr] = []
    while isinstance(node, ast.BinOp):
        found.insert(0, node.right)
        node = node.left
    return (node, *found)


def _fits(value: Any, node: ast.expr) -> bool:
    if isinstance(value, LazyReference):
        return True
    if isinstance(node, ast.Constant):
        return value is None
    if isinstance(node, ast.Name):
        return _fits_plain(value, node.id)
    assert isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name)
    items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if node.value.id == "Literal":
        return any(isinstance(each, ast.Constant) and each.value == value for each in items)
    if not isinstance(value, (list, tuple, set)):
        return False
    if node.value.id == "tuple":
        return len(value) == len(items) and all(map(_fits_any, value, items))
    return all(_fits_any(each, items[0]) for each in value)


def _fits_any(value: Any, node: ast.expr) -> bool:
    while isinstance(node, ast.BinOp):
        if _fits(value, node.right):
            return True
        node = node.left
    return _fits(value, node)


def _fits_plain(value: Any, name: str) -> bool:
    match name:
        case "Any":
            return True
        case "int":
            # `max_iters=1e5` is a whole number and `end=inf` an open end.
            return type(value) is int or (type(value) is float and (value.is_integer() or value in _ENDLESS))
        case "float":
            return type(value) in (int, float)
        case "bool":
            return type(value) is bool or (type(value) is int and value in (0, 1))
        case "str":
            return isinstance(value, str)
        case "dict":
            return isinstance(value, dict)
        case _:
            return isinstance(value, (list, tuple, set))


_ENDLESS = (float("inf"), float("-inf"))


def described(annotation: str) -> str:
    """Return a simple annotation as people say it."""
    return " or ".join(_described(each) for each in alternatives(annotation))


def _described(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return "None"
    if isinstance(node, ast.Name):
        return _WORDS.get(node.id, node.id)
    assert isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name)
    items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if node.value.id == "Literal":
        return " or ".join(ast.unparse(each) for each in items)
    inner = [described(ast.unparse(each)) for each in items]
    if node.value.id == "tuple":
        return f"{len(items)} values ({', '.join(inner)})"
    return f"a list ({inner[0]} each)"


_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "True or False",
    "str": "a string",
    "dict": "a dict",
    "Sequence": "a list",
    "Any": "anything",
}


def choices(annotation: str) -> list[str]:
    """Return the words that a simple annotation allows, [] where any would do."""
    found = []
    for node in alternatives(annotation):
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Literal":
            items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            found += [each.value for each in items if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return found
