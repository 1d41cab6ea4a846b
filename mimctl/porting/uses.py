"""Which names a file binds to old modules, and where it uses them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mimctl.porting.names import OLD_PACKAGES, Names
from mimctl.porting.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One dotted use (`mmcv.image.imread`) of a bound module; `nodes` are its prefixes, the longest last."""

    parts: tuple[str, ...]
    nodes: tuple[ast.Attribute, ...]
    is_stored: bool
    text: ast.JoinedStr | None
    """The f-string that it stands in: positions inside are not to be relied on before Python 3.12."""


@dataclass(slots=True, kw_only=True)
class Binding:
    """A local name that stands for an old module, and what the file does with it."""

    local: str
    modules: set[str] = field(default_factory=set)
    is_root: bool = False
    """Bound by `import mmengine` or `import mmengine.dist`, both of which bind `mmengine`."""
    lines: list[int] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    values: list[int] = field(default_factory=list)
    """Lines that use the module itself as a value."""
    others: list[int] = field(default_factory=list)
    """Lines that bind the name to something else."""


def is_old(module: str | None, own: frozenset[str]) -> bool:
    """Whether an absolute module name is one of the old packages and not the project's own package."""
    top = (module or "").partition(".")[0]
    return top in OLD_PACKAGES and top not in own


def find_bindings(source: Source, names: Names, own: frozenset[str]) -> dict[str, Binding]:
    """Return the local names that stand for old modules, with all their uses."""
    found: dict[str, Binding] = {}
    nodes = list(ast.walk(source.tree))
    for node in nodes:
        for local, module, is_root in _module_imports(node, names, own):
            binding = found.setdefault(local, Binding(local=local))
            binding.modules.add(module)
            binding.is_root = binding.is_root or is_root
            binding.lines.append(node.lineno)  # type: ignore[attr-defined]
    if not found:
        return found
    for node in nodes:
        for local, line in _bound(node, names, own):
            if local in found:
                found[local].others.append(line)
    _collect_uses(nodes, found)
    return found


def line_that_binds(name: str, tree: ast.Module) -> int | None:
    """Return the first line that binds `name` to anything but a package of that name, or None."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and all(not alias.asname for alias in node.names):
            continue
        lines += [line for bound, line in _bound(node, None, frozenset()) if bound == name]
    return min(lines, default=None)


def _module_imports(node: ast.AST, names: Names, own: frozenset[str]) -> Iterator[tuple[str, str, bool]]:
    """Yield (local name, old module, whether it is the top package) for what a statement binds."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if not is_old(alias.name, own):
                continue
            if alias.asname:
                yield alias.asname, alias.name, False
            else:
                top = alias.name.partition(".")[0]
                yield top, top, True
    elif isinstance(node, ast.ImportFrom) and not node.level and is_old(node.module, own):
        for alias in node.names:
            old = f"{node.module}.{alias.name}"
            if names.is_module(old):
                yield alias.asname or alias.name, old, False


def _bound(node: ast.AST, names: Names | None, own: frozenset[str]) -> Iterator[tuple[str, int]]:
    """Yield (name, line) for whatever a node binds that is no old module."""
    line = getattr(node, "lineno", 1)
    if isinstance(node, ast.Import | ast.ImportFrom):
        modules = {local for local, _, _ in _module_imports(node, names, own)} if names is not None else set()
        for alias in node.names:
            local = alias.asname or alias.name.partition(".")[0]
            if local not in modules:
                yield local, line
    elif isinstance(node, ast.Name):
        if not isinstance(node.ctx, ast.Load):
            yield node.id, line
    else:
        yield from ((local, line) for local in _BINDERS.get(type(node), lambda _: ())(node) if local)


_BINDERS: Mapping[type[ast.AST], Callable[[Any], tuple[str | None, ...]]] = {
    ast.arg: lambda node: (node.arg,),
    ast.FunctionDef: lambda node: (node.name,),
    ast.AsyncFunctionDef: lambda node: (node.name,),
    ast.ClassDef: lambda node: (node.name,),
    ast.ExceptHandler: lambda node: (node.name,),
    ast.MatchAs: lambda node: (node.name,),
    ast.MatchStar: lambda node: (node.name,),
    ast.MatchMapping: lambda node: (node.rest,),
    ast.Global: lambda node: tuple(node.names),
}
"""Kind of node → the names that it binds."""


def _collect_uses(nodes: list[ast.AST], found: dict[str, Binding]) -> None:
    inner = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    texts = {id(each): node for node in reversed(nodes) if isinstance(node, ast.JoinedStr) for each in ast.walk(node)}
    bases: set[int] = set()
    for node in nodes:
        if not isinstance(node, ast.Attribute) or id(node) in inner:
            continue
        chain: list[ast.Attribute] = []
        base: ast.expr = node
        while isinstance(base, ast.Attribute):
            chain.append(base)
            base = base.value
        if not isinstance(base, ast.Name) or base.id not in found:
            continue
        bases.add(id(base))
        chain.reverse()
        found[base.id].uses.append(
            Use(
                parts=tuple(each.attr for each in chain),
                nodes=tuple(chain),
                is_stored=not isinstance(node.ctx, ast.Load),
                text=texts.get(id(node)),
            )
        )
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in found and id(node) not in bases:
            found[node.id].values.append(node.lineno)
