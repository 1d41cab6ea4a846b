"""What becomes of a name that stands for an old module: another module under the same name, or rewritten uses."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from mimctl.porting.model import Change, Findings, Left, Moved, Note, Target
from mimctl.porting.names import Names
from mimctl.porting.source import Source
from mimctl.porting.uses import Binding, Use, line_that_binds


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How the imports of one local name are written anew.

    `alias` is the module that takes its place under the same local name. Else `imports` are the modules to import
    instead, and `keeps` says whether the old import stays too.
    """

    alias: str | None = None
    imports: tuple[str, ...] = ()
    keeps: bool = False


_STAYS = Plan(keeps=True)


def make_plan(binding: Binding, source: Source, names: Names, findings: Findings) -> Plan:
    """Decide on one binding; changes of its uses, and what stays, are added to `findings`."""
    reason = _hindrance(binding)
    if reason is not None:
        line = (binding.others or binding.values or binding.lines)[0]
        module = min(binding.modules)
        findings.left.append(Left(line=line, name=module, reason=f"{reason}: port it by hand"))
        return _STAYS
    (module,) = binding.modules
    found = [(use, find_use(module, use, names)) for use in binding.uses]
    if not found:
        return _unused(binding, module, names, findings)
    if not binding.is_root:
        alias = _one_home(found)
        if alias is not None:
            return Plan(alias=alias)
    if binding.others:
        reason = f"`{binding.local}` is bound to something else too (line {binding.others[0]})"
        findings.left.append(Left(line=binding.lines[0], name=module, reason=f"{reason}: port it by hand"))
        return _STAYS
    return _rewritten(binding, module, found, source, names, findings)


def _hindrance(binding: Binding) -> str | None:
    if len(binding.modules) > 1:
        return f"`{binding.local}` stands for {' and '.join(sorted(binding.modules))}"
    if binding.values:
        return f"`{binding.local}` is used as a value"
    if any(use.is_stored for use in binding.uses):
        return f"something is assigned to an attribute of `{binding.local}`"
    return None


def find_use(module: str, use: Use, names: Names) -> tuple[int, Target] | None:
    """Return how many parts of a dotted use name something that we have, and where it lives."""
    old = module
    for count, part in enumerate(use.parts, 1):
        old = f"{old}.{part}"
        target = names.find(old)
        if target is not None:
            return count, target
    return None


def _one_home(found: list[tuple[Use, tuple[int, Target] | None]]) -> str | None:
    """Return the module in which every use is found under the name that it has already."""
    homes = {hit[1].module if hit and hit[0] == 1 and hit[1].name == use.parts[0] else None for use, hit in found}
    return homes.pop() if len(homes) == 1 else None


def _unused(binding: Binding, module: str, names: Names, findings: Findings) -> Plan:
    home = names.home(module)
    if home is None:
        findings.left.append(names.missing(module, binding.lines[0]))
        return _STAYS
    return Plan(imports=(home,)) if binding.is_root else Plan(alias=home)


def _rewritten(
    binding: Binding,
    module: str,
    found: list[tuple[Use, tuple[int, Target] | None]],
    source: Source,
    names: Names,
    findings: Findings,
) -> Plan:
    taken = line_that_binds("mimctl", source.tree)
    if taken is not None:
        reason = f"`mimctl` is bound to something else here (line {taken}): port it by hand"
        findings.left.append(Left(line=binding.lines[0], name=module, reason=reason))
        return _STAYS
    imports: dict[str, None] = {}
    keeps = False
    for use, hit in found:
        written = ".".join((binding.local, *use.parts[: hit[0] if hit else None]))
        node = use.nodes[hit[0] - 1] if hit else use.nodes[-1]
        old = f"{module}{written.removeprefix(binding.local)}"
        if hit is None:
            findings.left.append(names.missing(_named(old), node.lineno))
        elif _replace(use, node, written, str(hit[1]), source, findings):
            findings.moved.append(Moved(line=node.lineno, old=old, new=str(hit[1])))
            imports[hit[1].module] = None
            continue
        else:
            where = "in an f-string" if use.text is not None else "over several lines"
            findings.left.append(Left(line=node.lineno, name=old, reason=f"it stands {where}: write `{hit[1]}` there"))
        keeps = True
    _tell_quoted(binding, source, findings)
    return Plan(imports=tuple(imports), keeps=keeps)


def _named(old: str) -> str:
    """Return the part of a dotted use that names something: up to the first class, or the whole."""
    parts = old.split(".")
    for count, part in enumerate(parts, 1):
        if part[:1].isupper():
            return ".".join(parts[:count])
    return old


def _replace(use: Use, node: ast.expr, written: str, new: str, source: Source, findings: Findings) -> bool:
    """Add the changes for one use; False where its text is not plainly there."""
    if use.text is None:
        start, end = source.span(node)
        if source.text[start:end] != written:
            return False
        findings.changes.append(Change(start, end, new))
        return True
    start, end = source.span(use.text)
    places = [found.span() for found in re.finditer(rf"(?<![\w.]){re.escape(written)}\b", source.text[start:end])]
    if len(places) != 1:
        return False
    findings.changes.append(Change(start + places[0][0], start + places[0][1], new))
    return True


def _tell_quoted(binding: Binding, source: Source, findings: Findings) -> None:
    """Tell of annotations in quotes that name the module: no program reads them, people and type checkers do."""
    for node in ast.walk(source.tree):
        annotation = getattr(node, "annotation", None) or getattr(node, "returns", None)
        for each in ast.walk(annotation) if isinstance(annotation, ast.expr) else ():
            if isinstance(each, ast.Constant) and isinstance(each.value, str):
                found = re.search(rf"(?<![\w.]){re.escape(binding.local)}\.[\w.]+", each.value)
                if found is not None:
                    findings.notes.append(
                        Note(line=each.lineno, text=f"the annotation in quotes names `{found[0]}` still")
                    )
