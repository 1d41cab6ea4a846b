"""Evaluates the expressions of a Python config over its syntax tree: constants, names, containers, operators, text."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from mimctl.config.language.functions import FUNCTIONS
from mimctl.config.language.limits import Meter
from mimctl.config.language.operators import BINARY, UNARY, compare, format_value
from mimctl.config.language.templates import Templates
from mimctl.config.values import ConfigDict, Place, new_dict
from mimctl.errors import ConfigError

_ABSENT: Any = object()
_PLAIN_INT = 1 << 63
_PLAIN = frozenset({str, int, float, bool, type(None)})
NOT_DATA_HINTS = (
    "a config is data: literals, names, dict(), list(), range(), arithmetic, comprehensions, for and if",
    "compute the value elsewhere and write the result here",
)


class Expressions(Meter):
    """Evaluates expressions in one scope. Names are looked up in `scope`, then among the harmless functions."""

    __slots__ = ("scope", "templates")
    handlers: ClassVar[Mapping[type[ast.AST], Callable[[Any, Any], Any]]] = {}
    """Kind of node → the method that evaluates it."""

    def __init__(self, file: str, templates: Templates) -> None:
        super().__init__(file)
        self.scope: dict[str, Any] = {}
        self.templates = templates

    def evaluate(self, node: ast.expr) -> Any:
        """Return the value of an expression; raise ConfigError at the line that cannot be evaluated as data."""
        self.left -= 1
        if self.left < 0:
            self.charge(0)
        handler = self.handlers.get(type(node))
        if handler is None:
            raise self.refuse(node, f"`{_name_of(node)}` cannot be evaluated as data")
        return handler(self, node)

    def refuse(self, node: ast.AST, message: str) -> ConfigError:
        """Return the error for something that would have to run code."""
        self.line = getattr(node, "lineno", self.line)
        return self.fail(message, code="config-not-data", hints=NOT_DATA_HINTS)

    def _constant(self, node: ast.Constant) -> Any:
        value = node.value
        kind = type(value)
        if isinstance(value, str):
            if len(value) > 256:
                self.charge_text(len(value))
            if "{{" not in value:
                return value
            self.inherited.is_read = True
            return self.templates.fill(value)
        if isinstance(value, int) and not -_PLAIN_INT < value < _PLAIN_INT:
            self.line = node.lineno
            self.check_int(value.bit_length())
        if kind not in _PLAIN:
            raise self.refuse(node, f"a {kind.__name__} is no config value")
        return value

    def _name(self, node: ast.Name) -> Any:
        name = node.id
        if name == "_base_":
            self.inherited.is_read = True
        value = self.scope.get(name, _ABSENT)
        if value is _ABSENT:
            value = FUNCTIONS.get(name, _ABSENT)
            if value is _ABSENT:
                self.line = node.lineno
                raise self.fail(f"name `{name}` is not defined", code="config-value")
        return value

    def _list(self, node: ast.List) -> list[Any]:
        return self._elements(node.elts)

    def _tuple(self, node: ast.Tuple) -> tuple[Any, ...]:
        return tuple(self._elements(node.elts))

    def _elements(self, nodes: list[ast.expr]) -> list[Any]:
        found: list[Any] = []
        for each in nodes:
            if type(each) is ast.Starred:
                spread = self.iterate(self.evaluate(each.value), each)
                self.charge(len(spread))
                found.extend(spread)
            else:
                found.append(self.evaluate(each))
        return found

    def _set(self, node: ast.Set) -> Any:
        inner = node.elts[0]
        if len(node.elts) == 1 and type(inner) is ast.Set and len(inner.elts) == 1:
            return self._template(inner.elts[0])
        return self._to_set(self._elements(node.elts))

    def _to_set(self, items: list[Any]) -> set[Any]:
        for item in items:
            self.weigh_key(item)
        return set(items)

    def _template(self, node: ast.expr) -> Any:
        """Evaluate `{{ _base_.x }}`, `{{ fileDirname }}` and `{{ '$NAME:default' }}` written outside strings."""
        self.line = node.lineno
        if isinstance(node, ast.Name) and node.id in self.templates.facts:
            return self.templates.facts[node.id]
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("$"):
            return self.templates.fill_literal(node.value)
        return self.evaluate(node)

    def _dict(self, node: ast.Dict) -> ConfigDict:
        made: dict[Any, Any] = {}
        places: dict[Any, Place] = {}
        for key_node, value_node in zip(node.keys, node.values, strict=True):
            if key_node is None:
                self._spread(self.evaluate(value_node), value_node, made, places)
                continue
            key = self.evaluate(key_node)
            self.weigh_key(key)
            made[key] = self.evaluate(value_node)
            places[key] = (self.file, key_node.lineno)
        return new_dict(made, places)

    def _spread(self, value: Any, node: ast.expr, made: dict[Any, Any], places: dict[Any, Place]) -> None:
        if not isinstance(value, ConfigDict):
            raise self.refuse(node, f"`**` needs a dict here, not a {type(value).__name__}")
        self.charge(len(value))
        made.update(value)
        places.update({key: value._places.get(key, (self.file, node.lineno)) for key in value})

    def _keywords(self, keywords: list[ast.keyword]) -> ConfigDict:
        made: dict[Any, Any] = {}
        places: dict[Any, Place] = {}
        file, handlers, has_spread = self.file, self.handlers, False
        self.left -= len(keywords)
        for keyword in keywords:
            name, node = keyword.arg, keyword.value
            if name is None:
                spread = self.evaluate(node)
                if made and isinstance(spread, dict):
                    self._refuse_twice(made, spread)
                self._spread(spread, node, made, places)
                has_spread = True
                continue
            if has_spread and name in made:
                self._refuse_twice(made, {name})
            handler = handlers.get(type(node))
            made[name] = self.evaluate(node) if handler is None else handler(self, node)
            places[name] = (file, keyword.lineno)
        if self.left < 0:
            self.charge(0)
        return new_dict(made, places)

    def _refuse_twice(self, made: dict[Any, Any], names: Iterable[Any]) -> None:
        """Raise TypeError for a keyword that is given already, as a call in Python does."""
        twice = next((name for name in names if name in made), None)
        if twice is not None:
            raise TypeError(f"`{twice}` is given twice")

    def _binary(self, node: ast.BinOp) -> Any:
        left, right = self.evaluate(node.left), self.evaluate(node.right)
        return self.operate(node, node.op, left, right)

    def operate(self, node: ast.AST, operator: ast.operator, left: Any, right: Any) -> Any:
        """Do one binary operation, bounded."""
        operation = BINARY.get(type(operator))
        if operation is None:
            raise self.refuse(node, f"operator {type(operator).__name__} is refused")
        self.line = getattr(node, "lineno", self.line)
        return operation(self, left, right)

    def _unary(self, node: ast.UnaryOp) -> Any:
        return UNARY[type(node.op)](self.evaluate(node.operand))

    def _boolean(self, node: ast.BoolOp) -> Any:
        stop_at = isinstance(node.op, ast.Or)
        value: Any = None
        for each in node.values:
            value = self.evaluate(each)
            if bool(value) is stop_at:
                break
        return value

    def _compare(self, node: ast.Compare) -> Any:
        left = self.evaluate(node.left)
        self.line = node.lineno
        for operator, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.evaluate(right_node)
            if not compare(self, type(operator), left, right):
                return False
            left = right
        return True

    def _if_expression(self, node: ast.IfExp) -> Any:
        return self.evaluate(node.body if self.evaluate(node.test) else node.orelse)

    def _joined(self, node: ast.JoinedStr) -> str:
        parts: list[str] = []
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                value = self.evaluate(part.value)
                spec = self._joined(part.format_spec) if isinstance(part.format_spec, ast.JoinedStr) else ""
                self.line = node.lineno
                parts.append(format_value(self, value, spec, chr(part.conversion) if part.conversion > 0 else ""))
            elif isinstance(part, ast.Constant):
                text = str(part.value)
                parts.append(self.templates.fill_formatted(text) if "{" in text else text)
        text = "".join(parts)
        self.charge_text(len(text))
        return text

    def iterate(self, value: Any, node: ast.AST) -> list[Any] | range:
        """Return what a loop over `value` goes through; only finite containers are accepted."""
        if isinstance(value, (list, tuple, str, dict, set, range)):
            return value if isinstance(value, range) else list(value)
        raise self.refuse(node, f"a {type(value).__name__} cannot be looped over")


def _name_of(node: ast.AST) -> str:
    return {"Lambda": "lambda", "Await": "await", "Yield": "yield", "NamedExpr": ":="}.get(
        type(node).__name__, type(node).__name__
    )
