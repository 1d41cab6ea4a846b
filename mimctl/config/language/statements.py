"""Runs statements of a Python config over its syntax tree: assignments, loops, conditions, imports as names."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

from mimctl.config.language.calls import Defined
from mimctl.config.language.evaluator import Evaluator
from mimctl.config.language.limits import Meter
from mimctl.config.language.templates import Templates
from mimctl.config.values import ConfigDict, LazyReference, Place
from mimctl.errors import ConfigError, did_you_mean, nearest

BASE = "_base_"


class Late(Protocol):
    """Overrides that are applied where a file assigns the variable that they are for."""

    by_name: dict[str, list[tuple[str, Any]]]

    def apply(self, name: str, value: Any, meter: Meter) -> Any:
        """Return what the variable holds once `value` was assigned to it."""


class LoopControl(Exception):  # noqa: N818 - not an error: how `break` and `continue` leave nested statements
    pass


class _Break(LoopControl):
    pass


class _Continue(LoopControl):
    pass


class Statements(Evaluator):
    """Runs statements in one scope; `late` are overrides of the variables that they assign."""

    __slots__ = ("late", "places")
    statements: ClassVar[Mapping[type[ast.stmt], Callable[[Any, Any], None]]]
    """Kind of statement → the method that runs it."""

    def __init__(self, file: str, templates: Templates, *, late: Late | None = None) -> None:
        super().__init__(file, templates)
        self.scope = {"__name__": "config"}
        self.places: dict[str, Place] = {}
        self.late = late

    def run(self, body: list[ast.stmt]) -> None:
        """Run statements one after another; what goes wrong is a ConfigError at its line."""
        for statement in body:
            self.left -= 1
            handler = self.statements.get(type(statement))
            if handler is None:
                raise self.refuse(statement, f"`{type(statement).__name__.lower()}` would run code")
            self.line = statement.lineno
            try:
                handler(self, statement)
            except (LoopControl, ConfigError):
                raise
            except KeyError as err:
                raise self._missing(err) from err
            except (TypeError, ValueError, IndexError, AttributeError, ArithmeticError) as err:
                raise self.fail(f"{type(err).__name__}: {err}", code="config-value") from err

    def _missing(self, err: KeyError) -> ConfigError:
        key = str(err.args[0]) if err.args else ""
        base = self.scope.get(BASE)
        near = nearest(key, [str(each) for each in base]) if isinstance(base, ConfigDict) else []
        hints = tuple(did_you_mean(near))
        return self.fail(f"there is no `{key}`", code="config-value", hints=hints)

    def _assign(self, node: ast.Assign) -> None:
        value = self.evaluate(node.value)
        for target in node.targets:
            self._bind(target, value)

    def _assign_annotated(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._bind(node.target, self.evaluate(node.value))

    def _bind(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name):
            if target.id == BASE:
                raise self.refuse(target, "`_base_` must be assigned once, at the top level")
            self.scope[target.id] = value
            self.places[target.id] = (self.file, target.lineno)
            if self.late is not None:
                self._override(target.id)
        elif isinstance(target, (ast.Tuple, ast.List)):
            for each, item in self.unpack(target, value):
                self._bind(each, item)
        else:
            self._store(target, value)
            if self.late is not None:
                self._override(_root(target))

    def _override(self, name: str) -> None:
        """Apply what overrides the variable `name`, which was assigned or changed just now."""
        if self.late is not None and name in self.late.by_name and name in self.scope:
            self.scope[name] = self.late.apply(name, self.scope[name], self)

    def _store(self, target: ast.expr, value: Any) -> None:
        holder, key = self._slot(target)
        self.line = target.lineno
        if (type(holder) is ConfigDict and holder in self.inherited) or _root(target) == BASE:
            # What goes into the base is a copy: later changes of the file's own variable do not reach it.
            self.weigh(value)
            value = self.inherited.adopt(value)
        if type(holder) is ConfigDict:
            dict.__setitem__(holder, key, value)
            self.charge(1 + (len(holder) >> 4))
            holder.mark({key: (self.file, target.lineno)})
        elif type(holder) is list:
            if type(key) is slice:
                value = list(self.iterate(value, target))
                self.charge(len(holder) + len(value))
            holder[key] = value
        else:
            raise self.refuse(target, f"a {type(holder).__name__} cannot be assigned into")

    def _slot(self, target: ast.expr) -> tuple[Any, Any]:
        if isinstance(target, ast.Subscript):
            holder, key = self.evaluate(target.value), self.evaluate(target.slice)
            self.weigh_key(key)
            return holder, key
        if isinstance(target, ast.Attribute):
            holder = self.evaluate(target.value)
            if type(holder) is ConfigDict:
                self.line = target.lineno
                self.require_attributes(holder, target.attr)
            return holder, target.attr
        raise self.refuse(target, "this cannot be assigned to")

    def _augment(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            held = self.evaluate(ast.copy_location(ast.Name(node.target.id, ast.Load()), node.target))
        else:
            holder, key = self._slot(node.target)
            held = holder[key]
        value = self.evaluate(node.value)
        if type(held) is list and type(node.op) is ast.Add:
            self.charge(len(value))
            held.extend(self.iterate(value, node))
            value = held
        else:
            value = self.operate(node, node.op, held, value)
        self._bind(node.target, value)

    def _delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                if target.id not in self.scope:
                    raise KeyError(target.id)
                del self.scope[target.id]
                continue
            holder, key = self._slot(target)
            if type(holder) not in (ConfigDict, list):
                raise self.refuse(target, f"`del` in a {type(holder).__name__} is refused")
            self.charge(1 + (len(holder) >> 6))
            self.inherited.settle()
            del holder[key]

    def _expression(self, node: ast.Expr) -> None:
        self.evaluate(node.value)
        if self.late is not None and isinstance(node.value, ast.Call):
            self._override(_root(node.value.func))

    def _if(self, node: ast.If) -> None:
        self.run(node.body if self.evaluate(node.test) else node.orelse)

    def _for(self, node: ast.For) -> None:
        for item in self.iterate(self.evaluate(node.iter), node):
            self.charge(1)
            self._bind(node.target, item)
            try:
                self.run(node.body)
            except _Break:
                return
            except _Continue:
                continue
        self.run(node.orelse)

    def _assert(self, node: ast.Assert) -> None:
        if not self.evaluate(node.test):
            raise ValueError("an assertion of the config does not hold")

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.asname:
                self.scope[alias.asname] = LazyReference(alias.name)
            else:
                top = alias.name.partition(".")[0]
                self.scope[top] = LazyReference(top)

    def _import_from(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            if alias.name == "*":
                raise self.refuse(node, "`import *` is only possible inside `with read_base():`")
            self.scope[alias.asname or alias.name] = LazyReference("." * node.level + (node.module or ""), alias.name)

    def _define(self, node: ast.FunctionDef | ast.ClassDef) -> None:
        self.scope[node.name] = Defined(node.name)

    def _pass(self, node: ast.Pass) -> None:
        return

    def _break(self, node: ast.Break) -> None:
        raise _Break

    def _continue(self, node: ast.Continue) -> None:
        raise _Continue


def _root(node: ast.expr) -> str:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
