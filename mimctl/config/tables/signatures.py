"""Reads off the source which arguments a class or function takes, through its base classes where it passes them on."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from mimctl.config.tables.annotations import simple_annotation
from mimctl.config.tables.sources import Found, Module, Sources, dotted_name

_ENDS = frozenset({"torch.nn.Module", "torch.nn.modules.module.Module", "typing.Generic", "typing.Protocol"})
"""Classes whose own constructor takes nothing that a config could give."""
_BUILTIN_ENDS = frozenset({"object", "dict", "list", "tuple", "set", "str", "int", "float", "Exception"})


@dataclass(frozen=True, slots=True)
class Parameter:
    """What is known of one parameter."""

    is_required: bool = False
    annotation: str | None = None
    """The values it takes (`annotations`), None where any may stand."""
    default: int | float | str | None = None
    """A default that is a number or a string."""


@dataclass(slots=True, kw_only=True)
class Signature:
    """Parameters by name in order, and whether any other name is accepted too."""

    params: dict[str, Parameter] = field(default_factory=dict)
    extra: bool = False
    positional: list[str] = field(default_factory=list)


_UNKNOWN = None
_Line = list["Found | None"]
"""Base classes in method resolution order; None stands for one whose source is not known."""


def signature_of(sources: Sources, found: Found) -> Signature:
    """Return what can be given to a class's constructor or to a function."""
    if isinstance(found.node, ast.ClassDef):
        return _of_line(sources, resolution_order(sources, found), 0)
    return _of_function(sources, found.module, found.node, skip_first=False)


def resolution_order(sources: Sources, found: Found, seen: tuple[str, ...] = ()) -> _Line:
    """Return the method resolution order of a class as far as sources are known (C3)."""
    node = found.node
    if not isinstance(node, ast.ClassDef) or found.qualified in seen or found.qualified in _ENDS:
        return [found] if isinstance(node, ast.ClassDef) else [_UNKNOWN]
    lines: list[_Line] = []
    direct: _Line = []
    for base in node.bases:
        name = dotted_name(base.value if isinstance(base, ast.Subscript) else base)
        if name in _BUILTIN_ENDS and name not in found.module.imports:
            continue
        resolved = sources.resolve(found.module, base)
        line: _Line = resolution_order(sources, resolved, (*seen, found.qualified)) if resolved else [_UNKNOWN]
        lines.append(line)
        direct.append(line[0])
    return [found, *_linearize([*lines, direct])]


def _linearize(lines: list[_Line]) -> _Line:
    merged: _Line = []
    rest = [list(line) for line in lines if line]
    while rest:
        for line in rest:
            head = line[0]
            if not any(_name(head) in map(_name, other[1:]) for other in rest):
                break
        else:
            head = rest[0][0]
        merged.append(head)
        rest = [kept for line in rest if (kept := [each for each in line if _name(each) != _name(head)])]
    return merged


def _name(found: Found | None) -> str:
    return found.qualified if found else ""


def _of_line(sources: Sources, line: _Line, start: int) -> Signature:
    """Return the signature of the first constructor at or after `start` in a resolution order."""
    for index in range(start, len(line)):
        found = line[index]
        if found is None:
            return Signature(extra=True)
        if found.qualified in _ENDS:
            return Signature()
        node = found.node
        assert isinstance(node, ast.ClassDef)
        init = _constructor(node)
        if init is not None:
            return _of_constructor(sources, line, index, init)
        if _is_dataclass(node):
            return _of_dataclass(sources, line, index)
    return Signature()


def _constructor(node: ast.ClassDef) -> ast.FunctionDef | None:
    found = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
    return found[-1] if found else None


def _of_function(
    sources: Sources, module: Module, node: ast.FunctionDef | ast.AsyncFunctionDef, *, skip_first: bool
) -> Signature:
    """Return a function's own parameters; `**kwargs` counts as extra."""
    arguments = node.args
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults = [*[None] * (len(plain) - len(arguments.defaults)), *arguments.defaults]
    if skip_first:
        plain, defaults = plain[1:], defaults[1:]
    pairs = [*zip(plain, defaults, strict=True), *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    params = {each.arg: _parameter(sources, module, each.annotation, default) for each, default in pairs}
    return Signature(params=params, extra=arguments.kwarg is not None, positional=[each.arg for each in plain])


def _parameter(sources: Sources, module: Module, annotation: ast.expr | None, default: ast.expr | None) -> Parameter:
    value = default.value if isinstance(default, ast.Constant) else None
    return Parameter(
        is_required=default is None,
        annotation=simple_annotation(sources, module, annotation, default),
        default=value if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None,
    )


def _of_constructor(sources: Sources, line: _Line, index: int, init: ast.FunctionDef) -> Signature:
    found = line[index]
    assert found is not None
    own = _of_function(sources, found.module, init, skip_first=True)
    rest, var_args = init.args.kwarg, init.args.vararg
    if rest is None and var_args is None:
        return own
    uses = _Uses(rest.arg if rest else None, var_args.arg if var_args else None)
    for statement in init.body:
        uses.visit(statement)
    own.extra = rest is not None and (uses.is_open or not uses.calls)
    own.params.update({name: Parameter() for name in uses.picked if name not in own.params})
    for call in uses.calls:
        above = _of_line(sources, line, index + 1)
        given = {keyword.arg for keyword in call.keywords}
        num_given = sum(not isinstance(arg, ast.Starred) for arg in call.args) - uses.offset(call)
        given.update(above.positional[:num_given])
        taken = above.params if rest is not None else {name: above.params[name] for name in above.positional}
        own.params.update({k: v for k, v in taken.items() if k not in given and k not in own.params})
        own.extra |= rest is not None and above.extra
        if var_args is not None:
            own.positional = [*own.positional, *(name for name in above.positional[num_given:])]
    return own


class _Uses(ast.NodeVisitor):
    """How a constructor uses its `*args` and `**kwargs`: passed on, picked from, or otherwise."""

    def __init__(self, kwargs: str | None, args: str | None) -> None:
        self.kwargs = kwargs
        self.args = args
        self.calls: list[ast.Call] = []
        self.picked: list[str] = []
        self.is_open = False

    def visit_Call(self, node: ast.Call) -> None:
        passes_kwargs = any(each.arg is None and self._is(each.value, self.kwargs) for each in node.keywords)
        passes_args = any(isinstance(each, ast.Starred) and self._is(each.value, self.args) for each in node.args)
        if (passes_kwargs or passes_args) and _is_next_constructor(node.func):
            self.calls.append(node)
            for each in (*node.args, *(keyword.value for keyword in node.keywords)):
                if not self._is(each.value if isinstance(each, ast.Starred) else each, self.kwargs, self.args):
                    self.visit(each)
            return
        function = node.func
        if isinstance(function, ast.Attribute) and self._is(function.value, self.kwargs) and self._pick(node):
            for each in node.args[1:]:
                self.visit(each)
            return
        self.generic_visit(node)

    def _pick(self, node: ast.Call) -> bool:
        """Note `kwargs.pop("name", …)` and its kin."""
        assert isinstance(node.func, ast.Attribute)
        key = node.args[0] if node.args else None
        if node.func.attr in ("pop", "get", "setdefault") and isinstance(key, ast.Constant):
            self.picked.append(str(key.value))
            return True
        return False

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if self._is(node.value, self.kwargs) and isinstance(node.slice, ast.Constant):
            if isinstance(node.ctx, ast.Load):
                self.picked.append(str(node.slice.value))
            return
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        if self._is(node.comparators[0], self.kwargs) and isinstance(node.left, ast.Constant):
            self.picked.append(str(node.left.value))
            return
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if self.kwargs and node.id == self.kwargs:
            self.is_open = True

    @staticmethod
    def _is(node: ast.expr, *names: str | None) -> bool:
        return isinstance(node, ast.Name) and node.id in names

    @staticmethod
    def offset(call: ast.Call) -> int:
        """Return 1 where the call names its base class and so gives `self` by hand."""
        return 0 if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Call) else 1


def _is_next_constructor(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and function.attr == "__init__"


def _is_dataclass(node: ast.ClassDef) -> bool:
    names = (dotted_name(each.func if isinstance(each, ast.Call) else each) for each in node.decorator_list)
    return any(name and name.rpartition(".")[2] == "dataclass" for name in names)


def _of_dataclass(sources: Sources, line: _Line, start: int) -> Signature:
    """Return the fields of a dataclass and of the dataclasses it is based on."""
    made = Signature()
    for found in reversed(line[start:]):
        if found is None or not isinstance(found.node, ast.ClassDef) or not _is_dataclass(found.node):
            continue
        for each in found.node.body:
            is_field = isinstance(each, ast.AnnAssign) and "ClassVar" not in ast.unparse(each.annotation)
            if is_field and isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
                made.params[each.target.id] = _parameter(sources, found.module, each.annotation, each.value)
    made.positional = list(made.params)
    return made
