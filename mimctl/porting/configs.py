"""Configs among the files: they are read as they are, but the modules that they name as text have to be told."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from mimctl.porting.model import Note
from mimctl.porting.uses import is_old

_IMPORTERS = frozenset({"import_module", "__import__", "import_modules_from_strings"})
_RUN_KEYS = (
    "model train_dataloader val_dataloader test_dataloader optim_wrapper train_cfg val_cfg test_cfg param_scheduler "
    "default_hooks custom_hooks default_scope env_cfg train_pipeline test_pipeline custom_imports"
)
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def is_config(tree: ast.Module) -> bool:
    """Whether a file is an experiment config: it names bases, or sets what a run reads and defines nothing."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return False
        if isinstance(node, ast.With) and "read_base" in ast.dump(node.items[0].context_expr):
            return True
        if isinstance(node, ast.Assign):
            names |= {each.id for each in node.targets if isinstance(each, ast.Name)}
    return "_base_" in names or not names.isdisjoint(_RUN_KEYS.split())


def config_notes(tree: ast.Module, own: frozenset[str]) -> list[Note]:
    """Return notes on old modules that a file names as text: in `custom_imports` and in calls that import."""
    notes = []
    for node in ast.walk(tree):
        for line, text in _texts(node):
            if _DOTTED.fullmatch(text) and is_old(text, own):
                is_call = isinstance(node, ast.Call) and _called(node) in _IMPORTERS
                told = f"a call names the module `{text}` as text" if is_call else _told(text)
                notes.append(Note(line=line, text=told))
    return list(dict.fromkeys(notes))


def _told(module: str) -> str:
    return f"`custom_imports` names `{module}`: types of installed toolboxes need no import, so leave it out"


def _texts(node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.Assign) and any(_is_name(each, "custom_imports") for each in node.targets):
        yield from _strings(node.value)
    elif isinstance(node, ast.Call) and _called(node) in _IMPORTERS:
        for argument in node.args[:1]:
            yield from _strings(argument)
    elif isinstance(node, ast.Call) and _called(node) == "dict":
        for keyword in node.keywords:
            if keyword.arg == "custom_imports":
                yield from _strings(keyword.value)
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == "custom_imports":
                yield from _strings(value)


def _strings(value: ast.expr) -> Iterator[tuple[int, str]]:
    for each in ast.walk(value):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.lineno, each.value


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _called(node: ast.Call) -> str | None:
    function = node.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else None
