"""Evaluates calls, attributes and items in a Python config; only what the tables list can be called."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from mimctl.config.language.expressions import Expressions
from mimctl.config.language.functions import CONSTANTS, FUNCTIONS, IMPORTED
from mimctl.config.language.methods import METHODS
from mimctl.config.values import ConfigDict, LazyReference


class Defined:
    """A function that the config defines: its name may stand there, calling it is refused."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Calls(Expressions):
    """Calls of harmless functions and of methods on values, attributes of what a base defines, items and slices."""

    __slots__ = ()

    def _call(self, node: ast.Call) -> Any:
        function = node.func
        if type(function) is ast.Name:
            if function.id == "dict" and not node.args and "dict" not in self.scope:
                return self._keywords(node.keywords)
            target = self._name(function)
            if type(target) in (LazyReference, Defined):
                return self._call_imported(node, target)
            harmless = FUNCTIONS.get(function.id)
            if harmless is None or harmless is not target:
                raise self.refuse(node, f"`{function.id}` is not a function")
            return self._apply(node, harmless)
        if type(function) is ast.Attribute:
            return self._call_method(node, function)
        raise self.refuse(node, "only named functions can be called in a config")

    def _apply(self, node: ast.Call, function: Callable[..., Any], *first: Any) -> Any:
        args = self._elements(node.args)
        keywords = self._keywords(node.keywords)
        self.line = node.lineno
        return function(self, *first, *args, **keywords)

    def _call_method(self, node: ast.Call, function: ast.Attribute) -> Any:
        held = self.evaluate(function.value)
        if type(held) is LazyReference:
            return self._call_imported(node, LazyReference(str(held), function.attr))
        method = METHODS.get(type(held), {}).get(function.attr)
        if method is None:
            raise self.refuse(node, f"a {type(held).__name__} has no method `{function.attr}` in a config")
        return self._apply(node, method, held)

    def _call_imported(self, node: ast.Call, target: LazyReference | Defined) -> Any:
        known = IMPORTED.get(str(target)) if isinstance(target, LazyReference) else None
        if known is None:
            name = str(target) if isinstance(target, LazyReference) else target.name
            raise self.refuse(node, f"calling `{name}` would run code")
        return self._apply(node, known)

    def _attribute(self, node: ast.Attribute) -> Any:
        held = self.evaluate(node.value)
        if type(held) is ConfigDict:
            self.line = node.lineno
            self.require_attributes(held, node.attr)
            return held[node.attr]
        if type(held) is LazyReference:
            dotted = f"{held}.{node.attr}"
            return CONSTANTS.get(dotted, LazyReference(str(held), node.attr))
        raise self.refuse(node, f"`.{node.attr}` of a {type(held).__name__} is refused")

    def require_attributes(self, held: ConfigDict, name: str) -> None:
        """Raise AttributeError for a dict whose items are no attributes: one that the file itself makes."""
        if held not in self.inherited:
            raise AttributeError(f"a dict that the file itself makes has no attributes: write `[{name!r}]`")

    def _subscript(self, node: ast.Subscript) -> Any:
        held, key = self.evaluate(node.value), self.evaluate(node.slice)
        self.line = node.lineno
        if type(held) not in (ConfigDict, list, tuple, str, range):
            raise self.refuse(node, f"`[…]` of a {type(held).__name__} is refused")
        if type(key) is slice:
            self.charge(len(held))
        elif type(held) is ConfigDict:
            self.weigh_key(key)
        return held[key]

    def _slice(self, node: ast.Slice) -> slice:
        return slice(
            *(self.evaluate(part) if part is not None else None for part in (node.lower, node.upper, node.step))
        )
