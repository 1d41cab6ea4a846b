"""The field's names take the arguments that people know: each by its name, at its place, with its default."""

from __future__ import annotations

import ast
import importlib
import inspect
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

FACTS = [
    line
    for line in (Path(__file__).parent / "signatures.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def found(name: str) -> Any:
    """Return what `engine.Class.method` stands for, methods as functions."""
    package, first, *rest = name.split(".")
    start = getattr(importlib.import_module(f"mimctl.{package}"), first)
    held = reduce(inspect.getattr_static, rest, start)
    return getattr(held, "__func__", held)


def same(default: ast.expr, ours: Any) -> bool:
    """Say whether our default means theirs: equal, or an empty or whole container that is filled in later."""
    if isinstance(default, ast.Name):  # a type
        return ours is getattr(__builtins__, default.id, None) or getattr(ours, "__name__", "") == default.id
    theirs = ast.literal_eval(default)
    if isinstance(theirs, list | tuple | dict) and not theirs:
        return ours is None or not ours
    return bool(ours == theirs or (isinstance(theirs, list) and list(ours) == theirs))


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.partition("(")[0])
def test_arguments_are_those_that_callers_write(fact: str) -> None:
    name, _, rest = fact.partition("(")
    definition = ast.parse(f"def f({rest}: pass").body[0]
    assert isinstance(definition, ast.FunctionDef)
    theirs = definition.args
    ours = [each for each in inspect.signature(found(name)).parameters.values() if each.name not in ("self", "cls")]
    kinds = {each.kind for each in ours}
    by_name = {each.name: (place, each) for place, each in enumerate(ours)}
    defaults = [None] * (len(theirs.args) - len(theirs.defaults)) + list(theirs.defaults)
    for place, (argument, default) in enumerate(zip(theirs.args, defaults, strict=True)):
        if argument.arg not in by_name:
            assert inspect.Parameter.VAR_KEYWORD in kinds, argument.arg
            continue
        own_place, own = by_name[argument.arg]
        if inspect.Parameter.VAR_POSITIONAL not in kinds:
            assert own.kind in POSITIONAL, f"{argument.arg} has no place"
            assert own_place == place, argument.arg
        if default is not None:
            assert own.default is not inspect.Parameter.empty, f"{argument.arg} may be left out"
            assert same(default, own.default), f"{argument.arg}: {own.default!r}"
    for argument in theirs.kwonlyargs:
        assert argument.arg in by_name or inspect.Parameter.VAR_KEYWORD in kinds, argument.arg
    given = {each.arg for each in (*theirs.args, *theirs.kwonlyargs)}
    needed = [each for each in ours if each.default is inspect.Parameter.empty and each.kind in POSITIONAL]
    assert {each.name for each in needed} <= given
