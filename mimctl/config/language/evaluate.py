"""Runs a whole Python config: what it defines, on what its bases define."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from mimctl.config.language.calls import Defined
from mimctl.config.language.statements import BASE, Late, LoopControl, Statements
from mimctl.config.language.templates import Templates
from mimctl.config.values import ConfigDict, LazyReference, new_dict
from mimctl.errors import nearest

ReadBase = Callable[[str, int, int], ConfigDict]
"""(module as written, number of leading dots, line) → every name that base defines, its imports too."""


class Interpreter(Statements):
    """Evaluates one file. `base` is what `_base_` stands for; `read_base` loads the bases of pure-Python configs."""

    __slots__ = ("read_base",)

    def __init__(
        self,
        file: str,
        templates: Templates,
        *,
        base: ConfigDict | None,
        read_base: ReadBase,
        late: Late | None = None,
    ) -> None:
        super().__init__(file, templates, late=late)
        self.read_base = read_base
        if base is not None:
            self.scope[BASE] = base
            self.inherited.add(base)

    def run_file(self, body: list[ast.stmt]) -> ConfigDict:
        """Run a whole file and return what it defines; raise ConfigError at the line where that is not possible."""
        try:
            self.run(body)
            found = self.values()
            self.weigh(found)
        except RecursionError:
            raise self.fail("values are nested too deeply", code="config-limits") from None
        except LoopControl:
            raise self.fail("`break` or `continue` outside a loop", code="config-syntax") from None
        return found

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

    def _if_or_read(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Constant) and node.test.value == BASE:
            self._read_bases(node.body)  # how the first pure-Python configs wrote `with read_base():`
            return
        self._if(node)

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

    statements: ClassVar[Mapping[type[ast.stmt], Callable[[Any, Any], None]]] = {
        ast.AnnAssign: Statements._assign_annotated,
        ast.Assert: Statements._assert,
        ast.Assign: Statements._assign,
        ast.AugAssign: Statements._augment,
        ast.Break: Statements._break,
        ast.ClassDef: Statements._define,
        ast.Continue: Statements._continue,
        ast.Delete: Statements._delete,
        ast.Expr: Statements._expression,
        ast.For: Statements._for,
        ast.FunctionDef: Statements._define,
        ast.If: _if_or_read,
        ast.Import: Statements._import,
        ast.ImportFrom: Statements._import_from,
        ast.Pass: Statements._pass,
        ast.With: _with,
    }


def reads_bases(node: ast.stmt) -> bool:
    """Say whether a statement is `with read_base():`."""
    if not isinstance(node, ast.With) or len(node.items) != 1:
        return False
    context = node.items[0].context_expr
    called = context.func if isinstance(context, ast.Call) else None
    return (isinstance(called, ast.Name) and called.id == "read_base") or (
        isinstance(called, ast.Attribute) and called.attr == "read_base"
    )


__all__ = ["BASE", "Interpreter", "ReadBase", "reads_bases"]
