"""Evaluates comprehensions in a Python config, and binds the names of loops and unpackings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from mimctl.config.language.expressions import Expressions
from mimctl.config.values import ConfigDict, new_dict


class Comprehensions(Expressions):
    """Comprehensions, each in a scope of its own that sees the one around it."""

    __slots__ = ()

    def assign_name(self, target: ast.expr, value: Any) -> None:
        """Bind a loop variable or the names of an unpacking."""
        if isinstance(target, ast.Name):
            self.scope[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            for each, item in self.unpack(target, value):
                self.assign_name(each, item)
        else:
            raise self.refuse(target, "a loop variable must be a name")

    def unpack(self, target: ast.Tuple | ast.List, value: Any) -> list[tuple[ast.expr, Any]]:
        """Pair the targets of an unpacking with their values."""
        if any(isinstance(each, ast.Starred) for each in target.elts):
            raise self.refuse(target, "`*name` on the left is refused")
        spread = self.iterate(value, target)
        self.charge(len(spread))
        items = list(spread)
        if len(items) != len(target.elts):
            raise ValueError(f"{len(items)} values for {len(target.elts)} names")
        return list(zip(target.elts, items, strict=True))

    def _comprehend(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> list[Any]:
        return [self.evaluate(node.elt) for _ in self._generate(node.generators)]

    def _set_comprehension(self, node: ast.SetComp) -> set[Any]:
        return self._to_set(self._comprehend(node))

    def _dict_comprehension(self, node: ast.DictComp) -> ConfigDict:
        made, place = {}, (self.file, node.lineno)
        for _ in self._generate(node.generators):
            key = self.evaluate(node.key)
            self.weigh_key(key)
            made[key] = self.evaluate(node.value)
        return new_dict(made, dict.fromkeys(made, place))

    def _generate(self, generators: list[ast.comprehension]) -> Iterator[None]:
        outer = self.scope
        self.scope = dict(outer)
        try:
            yield from self._loop(generators, 0)
        finally:
            self.scope = outer

    def _loop(self, generators: list[ast.comprehension], depth: int) -> Iterator[None]:
        if depth == len(generators):
            yield
            return
        generator = generators[depth]
        for item in self.iterate(self.evaluate(generator.iter), generator.iter):
            self.charge(1)
            self.assign_name(generator.target, item)
            if all(self.evaluate(test) for test in generator.ifs):
                yield from self._loop(generators, depth + 1)
