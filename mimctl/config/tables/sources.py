"""Finds classes and functions in source files by name, following imports, without importing anything."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from mimctl.config.outside import find_stub, has_stubs

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

_MAX_HOPS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One parsed source file: what it defines, and which of its names come from where."""

    name: str
    path: Path
    body: list[ast.stmt]
    definitions: dict[str, Definition] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Name → (module, name in it; "" for the module itself)."""
    stars: list[str] = field(default_factory=list)
    aliases: dict[str, ast.expr] = field(default_factory=dict)

    @property
    def package(self) -> str:
        """Return the package that relative imports start from."""
        return self.name if self.path.stem == "__init__" else self.name.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class Found:
    """A class or function and the module that defines it."""

    module: Module
    node: Definition

    @property
    def qualified(self) -> str:
        """Return `module.Name`."""
        return f"{self.module.name}.{self.node.name}"


def find_module(name: str) -> Path | None:
    """Return the source file of a module without importing it or its packages, or None."""
    top, *rest = name.split(".")
    origin = _top_level(top)
    if origin is None:
        return None
    path = origin
    for part in rest:
        if path.name != "__init__.py":
            return None
        folder = path.parent
        candidates = (folder / part / "__init__.py", folder / f"{part}.py")
        found = next((each for each in candidates if each.is_file()), None)
        if found is None:
            return None
        path = found
    return path


@cache
def _top_level(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


def module_name_of(path: Path) -> str:
    """Return the dotted name of a source file, by the packages (folders with `__init__.py`) around it."""
    parts = [] if path.name == "__init__.py" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts)


class Sources:
    """Parsed modules by name. Modules of `roots` (package name → folder) win over installed ones."""

    def __init__(self, roots: dict[str, Path]) -> None:
        self.roots = roots
        self.held: dict[str, Module | None] = {}

    def module(self, name: str) -> Module | None:
        """Return a parsed module, or None where there is no source for it."""
        if name not in self.held:
            path = self._path(name)
            self.held[name] = parse_module(name, path) if path is not None else None
        return self.held[name]

    def _path(self, name: str) -> Path | None:
        top, _, rest = name.partition(".")
        if top not in self.roots:
            return find_stub(name) if has_stubs(name) else find_module(name)
        base = self.roots[top].joinpath(*rest.split(".")) if rest else self.roots[top]
        candidates = (base / "__init__.py", base.with_name(f"{base.name}.py"))
        return next((each for each in candidates if each.is_file()), None)

    def find_value(self, module: Module, name: str, hops: int = 0) -> tuple[Module, ast.expr] | None:
        """Return what a module-level name is assigned, and the module that assigns it, following imports."""
        value = module.aliases.get(name)
        if value is not None:
            inner_name = value.id if isinstance(value, ast.Name) and hops < _MAX_HOPS else name
            return (self.find_value(module, inner_name, hops + 1) if inner_name != name else None) or (module, value)
        for source, inner in [module.imports.get(name, ("", "")), *((star, name) for star in module.stars)]:
            held = self.module(source) if source and inner and hops < _MAX_HOPS else None
            found = self.find_value(held, inner, hops + 1) if held is not None else None
            if found is not None:
                return found
        stub = self._declared(module)
        return self.find_value(stub, name, hops + 1) if stub is not None and hops < _MAX_HOPS else None

    def _declared(self, module: Module) -> Module | None:
        """Return the stub beside a package's `__init__.py`, which says what the package imports at the first use."""
        path = module.path.with_suffix(".pyi")
        if module.path.name != "__init__.py" or not path.is_file():
            return None
        key = f"{module.name}:stub"
        if key not in self.held:
            self.held[key] = parse_module(module.name, path)
        return self.held[key]

    def resolve(self, module: Module, expression: ast.expr) -> Found | None:
        """Return what a name or dotted expression in `module` stands for, or None."""
        if isinstance(expression, ast.Subscript):
            return self.resolve(module, expression.value)
        dotted = dotted_name(expression)
        return self.resolve_name(module, dotted) if dotted else None

    def resolve_name(self, module: Module, dotted: str, hops: int = 0) -> Found | None:
        """Return what dotted text in `module` stands for, following imports and re-exports."""
        if hops > _MAX_HOPS:
            return None
        head, _, rest = dotted.partition(".")
        if head in module.definitions:
            return Found(module, module.definitions[head]) if not rest else None
        if head in module.imports:
            source, name = module.imports[head]
            return self._through(source, ".".join(part for part in (name, rest) if part), hops)
        if head in module.aliases and not rest:
            target = dotted_name(module.aliases[head])
            return self.resolve_name(module, target, hops + 1) if target and target != head else None
        for star in module.stars:
            found = self._through(star, dotted, hops)
            if found is not None:
                return found
        stub = self._declared(module)
        return self.resolve_name(stub, dotted, hops + 1) if stub is not None else None

    def _through(self, source: str, dotted: str, hops: int) -> Found | None:
        """Look `dotted` up in the module `source`, or in the submodules that its first parts name."""
        module = self.module(source)
        if module is None or not dotted:
            return None
        found = self.resolve_name(module, dotted, hops + 1)
        if found is not None:
            return found
        head, _, rest = dotted.partition(".")
        return self._through(f"{source}.{head}", rest, hops + 1) if rest else None


def parse_module(name: str, path: Path) -> Module | None:
    """Parse one source file; return None where it is no readable Python."""
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except (SyntaxError, ValueError, OSError):
        return None
    module = Module(name=name, path=path, body=body)
    for statement in top_level(body):
        _note(module, statement)
    return module


def top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module, those under `if` and `try` too."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If):
            yield from top_level([*statement.body, *statement.orelse])
        elif isinstance(statement, ast.Try):
            yield from top_level([*statement.body, *(each for handler in statement.handlers for each in handler.body)])


def _note(module: Module, statement: ast.stmt) -> None:
    if isinstance(statement, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        module.definitions[statement.name] = statement
    elif isinstance(statement, ast.Import):
        for alias in statement.names:
            shown = alias.asname or alias.name.partition(".")[0]
            module.imports[shown] = (alias.name if alias.asname else shown, "")
    elif isinstance(statement, ast.ImportFrom):
        source = absolute_module(module, statement)
        for alias in statement.names:
            if alias.name == "*":
                module.stars.append(source)
            else:
                module.imports[alias.asname or alias.name] = (source, alias.name)
    elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        module.aliases[statement.targets[0].id] = statement.value


def absolute_module(module: Module, statement: ast.ImportFrom) -> str:
    """Return the absolute name of the module that a `from … import` reads."""
    if not statement.level:
        return statement.module or ""
    parts = module.package.split(".")
    parts = parts[: len(parts) - statement.level + 1]
    return ".".join([*parts, *([statement.module] if statement.module else [])])


def dotted_name(expression: ast.expr) -> str | None:
    """Return `a.b.c` of a name or attribute chain, else None."""
    parts: list[str] = []
    while isinstance(expression, ast.Attribute):
        parts.insert(0, expression.attr)
        expression = expression.value
    return ".".join([expression.id, *parts]) if isinstance(expression, ast.Name) else None
