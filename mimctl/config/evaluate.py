"""Runs the statements of a Python config over its syntax tree: assignments, loops, conditions, imports as names."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, Protocol

from mimctl.config.expressions import NOT_DATA_HINTS, Defined, Evaluator
from mimctl.config.limits import Meter
from mimctl.config.templates import Templates
from mimctl.config.values import ConfigDict, LazyReference, Place, new_dict
from mimctl.errors import ConfigError, nearest

BASE = "_base_"
ReadBase = Callable[[str, int, int], ConfigDict]
"""(module as written, number of leading dots, line) → every name that base defines, its imports too."""


class Late(Protocol):
    """Overrides that are applied where a file assigns the variable that they are for."""

    by_name: dict[str, list[tuple[str, Any]]]

    def apply(self, name: str, value: Any, meter: Meter) -> Any:
        """Return what the variable holds once `value` was assigned to it."""


class _LoopControl(Exception):  # noqa: N818 - not an error: how `break` and `continue` leave nested statements
    pass


class _Break(_LoopControl):
    pass


class _Continue(_LoopControl):
    pass


class Interpreter(Evaluator):
    """Evaluates one file. `base` is what `_base_` stands for; `read_base` loads the bases of pure-Python configs."""

    __slots__ = ("late", "places", "read_base")

    def __init__(
        self,
        file: str,
        templates: Templates,
        *,
        base: ConfigDict | None,
        read_base: ReadBase,
        late: Late | None = None,
    ) -> None:
        super().__init__(file, templates)
        self.late = late
        self.scope = {"__name__": "config"}
        if base is not None:
            self.scope[BASE] = base
            self.inherited.add(base)
        self.places: dict[str, Place] = {}
        self.read_base = read_base

    def run_file(self, body: list[ast.stmt]) -> ConfigDict:
        """Run a whole file and return what it defines; raise ConfigError at the line where that is not possible."""
        try:
            self.run(body)
            found = self.values()
            self.weigh(found)
        except RecursionError:
            raise self.fail("values are nested too deeply", code="config-limits") from None
        except _LoopControl:
            raise self.fail("`break` or `continue` outside a loop", code="config-syntax") from None
        return found

    def run(self, body: list[ast.stmt]) -> None:
        """Run statements one after another; what goes wrong is a ConfigError at its line."""
        for statement in body:
            self.left -= 1
            handler = _STATEMENTS.get(type(statement))
            if handler is None:
                raise self.refuse(statement, f"`{type(statement).__name__.lower()}` would run code")
            self.line = statement.lineno
            try:
                handler(self, statement)
            except (_LoopControl, ConfigError):
                raise
            except KeyError as err:
                raise self._missing(err) from err
            except (TypeError, ValueError, IndexError, AttributeError, ArithmeticError) as err:
                raise self.fail(f"{type(err).__name__}: {err}", code="config-value") from err

    def values(self) -> ConfigDict:
        """Return what the file defines: every name but private ones, imports and functions."""
        found = {
            name: value
            for name, value in self.scope.items()
            if name != BASE and not name.startswith("__") and type(value) not in (LazyReference, Defined)
        }
        return new_dict(found, {name: self.places[name] for name in found if name in self.places})

    def references(self) -> dict[str, LazyReference]:
        """Return the imported names, which only a config that reads this one as its base sees."""
        return {name: value for name, value in self.scope.items() if type(value) is LazyReference}

    def _missing(self, err: KeyError) -> ConfigError:
        key = str(err.args[0]) if err.args else ""
        base = self.scope.get(BASE)
        near = nearest(key, [str(each) for each in base]) if isinstance(base, ConfigDict) else []
        hints = (f"did you mean {' or '.join(f'`{each}`' for each in near)}?",) if near else ()
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
        if isinstance(node.test, ast.Constant) and node.test.value == BASE:
            self._read_bases(node.body)  # how the first pure-Python configs wrote `with read_base():`
            return
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

    def _with(self, node: ast.With) -> None:
        if not reads_bases(node):
            raise self.refuse(node, "only `with read_base():` can be used in a config")
        self._read_bases(node.body)

    def _read_bases(self, body: list[ast.stmt]) -> None:
        for statement in body:
            if not isinstance(statement, ast.ImportFrom):
                raise self.refuse(statement, "`with read_base():` may hold only `from … import …`")
            self._read(statement)

    def _read(self, node: ast.ImportFrom) -> None:
        self.line = node.lineno
        if node.module is None:
            for alias in node.names:
                self._take(self.read_base(alias.name, node.level, node.lineno), "*", alias, node)
            return
        names = self.read_base(node.module, node.level, node.lineno)
        for alias in node.names:
            self._take(names, alias.name, alias, node)

    def _take(self, names: ConfigDict, name: str, alias: ast.alias, node: ast.ImportFrom) -> None:
        if name == "*":
            self.inherited.add(names)
            self.scope.update(names)
            self.places.update(names._places)
        elif name in names:
            self.inherited.add(names[name])
            self.scope[alias.asname or name] = names[name]
            if alias.asname:
                self._override(alias.asname)
            self.places[alias.asname or name] = names._places.get(name, (self.file, node.lineno))
        else:
            self.line = node.lineno
            near = nearest(name, list(names))
            hints = (f"did you mean `{near[0]}`?",) if near else ()
            raise self.fail(f"the base {node.module} defines no `{name}`", code="config-base", hints=hints)

    def _pass(self, node: ast.Pass) -> None:
        return

    def _break(self, node: ast.Break) -> None:
        raise _Break

    def _continue(self, node: ast.Continue) -> None:
        raise _Continue


def reads_bases(node: ast.stmt) -> bool:
    """Say whether a statement is `with read_base():`."""
    if not isinstance(node, ast.With) or len(node.items) != 1:
        return False
    context = node.items[0].context_expr
    called = context.func if isinstance(context, ast.Call) else None
    return (isinstance(called, ast.Name) and called.id == "read_base") or (
        isinstance(called, ast.Attribute) and called.attr == "read_base"
    )


def _root(node: ast.expr) -> str:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


_STATEMENTS: dict[type[ast.stmt], Callable[[Interpreter, Any], None]] = {
    ast.AnnAssign: Interpreter._assign_annotated,
    ast.Assert: Interpreter._assert,
    ast.Assign: Interpreter._assign,
    ast.AugAssign: Interpreter._augment,
    ast.Break: Interpreter._break,
    ast.ClassDef: Interpreter._define,
    ast.Continue: Interpreter._continue,
    ast.Delete: Interpreter._delete,
    ast.Expr: Interpreter._expression,
    ast.For: Interpreter._for,
    ast.FunctionDef: Interpreter._define,
    ast.If: Interpreter._if,
    ast.Import: Interpreter._import,
    ast.ImportFrom: Interpreter._import_from,
    ast.Pass: Interpreter._pass,
    ast.With: Interpreter._with,
}

__all__ = ["BASE", "NOT_DATA_HINTS", "Interpreter"]
