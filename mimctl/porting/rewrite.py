"""Ports one source text: the changes to it, what was moved, and what has to stay."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass

from mimctl.porting.configs import config_notes, is_config
from mimctl.porting.model import Change, Findings, Left, Moved, Note, Target
from mimctl.porting.names import Names
from mimctl.porting.plans import Plan, make_plan
from mimctl.porting.source import Source, parse, read_source
from mimctl.porting.statements import Item, rewrite_from
from mimctl.porting.uses import Binding, find_bindings, is_old


@dataclass(frozen=True, slots=True, kw_only=True)
class Ported:
    """One file after porting; `after` equals `before` where nothing changes. Both are its text, line ends kept.

    `read` and `data` are the same as bytes.
    """

    path: str
    before: str
    after: str
    read: bytes
    data: bytes
    moved: tuple[Moved, ...]
    left: tuple[Left, ...]
    notes: tuple[Note, ...]


def port(data: bytes, path: str, names: Names, own: frozenset[str] = frozenset()) -> Ported:
    """Port one file; `own` are top packages of the project itself, which are left alone.

    Only import statements, and dotted uses of modules that they bind, differ in the result. Raises MimctlError
    [port-refused] with file and line for what is no Python.
    """
    source = read_source(data, path)
    findings = Findings(changes=[], moved=[], left=[], notes=config_notes(source.tree, own))
    if not is_config(source.tree):
        _port_statements(source, names, own, findings)
    after = apply_changes(source.text, findings.changes)
    if findings.changes:
        parse(after, path)
    return Ported(
        path=path,
        before=source.text,
        after=after,
        read=data,
        data=source.encode(after),
        moved=tuple(sorted(set(findings.moved), key=lambda each: (each.line, each.old))),
        left=tuple(sorted(set(findings.left), key=lambda each: (each.line, each.name))),
        notes=tuple(sorted(set(findings.notes), key=lambda each: each.line)),
    )


def apply_changes(text: str, changes: list[Change]) -> str:
    """Return text with changes that do not overlap applied."""
    parts, done = [], 0
    for change in sorted(changes, key=lambda each: each.start):
        assert change.start >= done, "two changes overlap"
        parts += [text[done : change.start], change.text]
        done = change.end
    return "".join([*parts, text[done:]])


def _port_statements(source: Source, names: Names, own: frozenset[str], findings: Findings) -> None:
    bindings = find_bindings(source, names, own)
    plans = {local: make_plan(binding, source, names, findings) for local, binding in bindings.items()}
    writer = _Writer(source, names, own, findings, bindings, plans)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            writer.plain(node)
        elif isinstance(node, ast.ImportFrom) and not node.level and is_old(node.module, own):
            writer.from_module(node)


@dataclass(frozen=True, slots=True)
class _Writer:
    source: Source
    names: Names
    own: frozenset[str]
    findings: Findings
    bindings: dict[str, Binding]
    plans: dict[str, Plan]

    def plain(self, node: ast.Import) -> None:
        """Port `import a, b.c as d`."""
        for alias in node.names:
            if not is_old(alias.name, self.own):
                continue
            local = alias.asname or alias.name.partition(".")[0]
            plan = self.plans[local]
            texts = list(plan.imports)
            start, end = self.source.span(alias)
            if plan.alias is not None:
                texts = [f"{plan.alias} as {local}"]
            elif plan.keeps or not texts:
                texts.insert(0, self.source.text[start:end])
            new = ", ".join(texts)
            if new != self.source.text[start:end]:
                self.findings.changes.append(Change(start, end, new))
                self.findings.moved.append(Moved(line=alias.lineno, old=f"import {alias.name}", new=f"import {new}"))

    def from_module(self, node: ast.ImportFrom) -> None:
        """Port `from module import names`."""
        if node.names[0].name == "*":
            items = list(self._star(node))
        else:
            items = [item for alias in node.names for item in self._items(node, alias)]
        self.findings.changes.extend(rewrite_from(node, items, self.source))

    def _items(self, node: ast.ImportFrom, alias: ast.alias) -> Iterator[Item]:
        old = f"{node.module}.{alias.name}"
        start, end = self.source.span(alias)
        as_written = self.source.text[start:end]
        if self.names.is_module(old):
            yield from self._module_items(node, alias, as_written)
            return
        target = self.names.find(old)
        if target is None:
            self.findings.left.append(self.names.missing(old, alias.lineno))
            yield Item(module=str(node.module), text=as_written, alias=alias)
            return
        self.findings.moved.append(Moved(line=alias.lineno, old=old, new=str(target)))
        yield Item(module=target.module, text=_renamed(alias, as_written, target), alias=alias)

    def _module_items(self, node: ast.ImportFrom, alias: ast.alias, as_written: str) -> Iterator[Item]:
        local = alias.asname or alias.name
        plan = self.plans[local]
        old = f"{node.module}.{alias.name}"
        if plan.alias is not None:
            parent, _, leaf = plan.alias.rpartition(".")
            self.findings.moved.append(Moved(line=alias.lineno, old=old, new=plan.alias))
            yield Item(module=parent, text=leaf if leaf == local else f"{leaf} as {local}", alias=alias)
            return
        if plan.keeps or not plan.imports:
            yield Item(module=str(node.module), text=as_written, alias=alias)
        for module in plan.imports:
            self.findings.moved.append(Moved(line=alias.lineno, old=old, new=module))
            yield Item(module="", text=module)

    def _star(self, node: ast.ImportFrom) -> Iterator[Item]:
        """Write out what a star brings as far as the file uses it; a star stays one where nothing is used."""
        module = str(node.module)
        wanted = {name: self.names.find(f"{module}.{name}") for name in sorted(_unbound(self.source.tree))}
        found = {name: target for name, target in wanted.items() if target is not None}
        home = self.names.home(module)
        if found:
            listed = ", ".join(found)
            text = f"the star of `{module}` is written out as what this file uses: {listed}"
            self.findings.notes.append(Note(line=node.lineno, text=text))
        elif home is not None:
            text = f"the star of `{module}` is one of `{home}` now: other names come with it"
            self.findings.notes.append(Note(line=node.lineno, text=text))
            self.findings.moved.append(Moved(line=node.lineno, old=f"{module}.*", new=f"{home}.*"))
            yield Item(module=home, text="*", alias=node.names[0])
        else:
            self.findings.left.append(self.names.missing(module, node.lineno))
            yield Item(module=module, text="*", alias=node.names[0])
        for name, target in found.items():
            self.findings.moved.append(Moved(line=node.lineno, old=f"{module}.{name}", new=str(target)))
            yield Item(module=target.module, text=name if target.name == name else f"{target.name} as {name}")


def _renamed(alias: ast.alias, as_written: str, target: Target) -> str:
    if target.name == alias.name:
        return as_written
    local = alias.asname or alias.name
    return target.name if local == target.name else f"{target.name} as {local}"


def _unbound(tree: ast.Module) -> set[str]:
    """Return the names that a file reads and nothing in it binds."""
    read: set[str] = set()
    bound = set(dir(builtins))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
    return read - bound
