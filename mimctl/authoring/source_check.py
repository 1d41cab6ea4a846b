"""The source: valid Python, imports in the allowed directions, and the table of types that is read off it."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

from mimctl.authoring.model import Examination, Finding
from mimctl.config.types import generate, to_text
from mimctl.errors import Origin, counted
from mimctl.files import write_text
from mimctl.launch.experiments.type_tables import FILE_NAME, in_scopes, read_table, type_tables
from mimctl.plugin.discover import import_roots
from mimctl.plugin.model import Plugin

ALLOWED = ("engine", "vision", "config", "spec", "errors", "files")
"""Rooms of mimctl that a toolbox may import: the engine's side, and what both sides know."""

SLOW = ("albumentations", "diffusers", "torchmetrics", "torchvision", "transformers")
"""Packages that take seconds to import."""

PORTED = ("mmcv", "mmengine")


def check_source(given: Examination) -> Iterator[Finding]:
    """Check each module: that it is Python, and that it imports neither the control plane nor another toolbox."""
    findings: list[Finding] = []
    count = 0
    for path in sorted(given.subject.package_dir.rglob("*.py")):
        if "configs" in path.relative_to(given.subject.package_dir).parts[:-1]:
            continue  # configs are read as data, by another check
        count += 1
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, ValueError) as err:
            origin = Origin(file=str(path), line=getattr(err, "lineno", None))
            findings.append(Finding(check="source", status="fail", message=f"not valid Python: {err}", origin=origin))
            continue
        findings += _imports(tree, path, given)
    yield from findings
    if all(each.status != "fail" for each in findings):
        yield Finding(
            check="source", status="ok", message=f"{counted(count, 'module')}, imports in the allowed directions"
        )


def _imports(tree: ast.Module, path: Path, given: Examination) -> Iterator[Finding]:
    lazy = {id(node) for holder in ast.walk(tree) if _is_lazy(holder) for node in ast.walk(holder)}
    for node in ast.walk(tree):
        for name in _imported(node):
            said = _judge(name, given, is_lazy=id(node) in lazy)
            if said is not None:
                status, message, hint = said
                yield Finding(
                    check="source",
                    status="warn" if status == "warn" else "fail",
                    message=message,
                    origin=Origin(file=str(path), line=getattr(node, "lineno", None)),
                    hints=(hint,),
                )


def _is_lazy(node: ast.AST) -> bool:
    """Return whether what is below a node runs only when it is called, or for type checkers alone."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return True
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level and node.module:
        if node.module == "mimctl":
            return [f"mimctl.{alias.name}" for alias in node.names]
        return [node.module]
    return []


def _judge(name: str, given: Examination, *, is_lazy: bool) -> tuple[str, str, str] | None:
    """Return (status, message, hint) for an import that a toolbox should not make, None for all others."""
    top, _, rest = name.partition(".")
    own = given.subject.package.partition(".")[0]
    if top == "mimctl" and rest.partition(".")[0] not in ALLOWED and rest != "__version__":
        allowed = ", ".join(f"`mimctl.{each}`" for each in ALLOWED)
        return "fail", f"it imports `{name}`, which belongs to the command line's side", f"a toolbox imports {allowed}"
    if top == "mimctl_ops":
        return "fail", "it imports `mimctl_ops` itself", "operators come from `mimctl.vision.ops`, compiled or not"
    others = {each.package.partition(".")[0] for each in given.place.plugins if isinstance(each, Plugin)}
    if top != own and (top in others or top.startswith("mimctl_")):
        return "fail", f"it imports another toolbox, `{top}`", "name its types in configs (`det.RTMDet`) instead"
    if top in ("click", "rich"):
        return "fail", f"it imports `{top}`", "progress and results travel as events; the command line shows them"
    if top in PORTED:
        return "warn", f"it imports `{top}`", "rewrite its imports: `mimctl port DIR`"
    if top in SLOW and not is_lazy:
        return "warn", f"it imports `{top}` at once, which takes seconds", "import it in the function that needs it"
    return None


def check_types(given: Examination) -> Iterator[Finding]:
    """Compare the table of types with the source; write it anew where the toolbox is edited in place."""
    folder = given.subject.package_dir
    path = folder / FILE_NAME
    origin = Origin(file=str(path))
    try:
        table = generate(folder)
    except (ValueError, SyntaxError, OSError, RecursionError) as err:
        yield Finding(check="types", status="fail", message=f"no table can be made: {err}", origin=origin)
        return
    text = to_text(table)
    given.table = json.loads(text)
    count = sum(map(len, table["kinds"].values()))
    stored = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
    if stored == text:
        yield Finding(check="types", status="ok", message=f"{FILE_NAME} has the source's {counted(count, 'type')}")
        return
    behind = read_table(folder, is_edited=True).problem or f"its {FILE_NAME} is not as it is written"
    if not given.writes:
        hint = "write it anew: `mimctl plugin check DIR`" if given.subject.is_source else "build its wheel anew"
        yield Finding(check="types", status="fail", message=behind, origin=origin, hints=(hint,))
        return
    write_text(path, text)
    path.chmod(0o644)
    yield Finding(
        check="types", status="warn", message=f"{behind}; written anew with {counted(count, 'type')}", origin=origin
    )


def gather_tables(given: Examination) -> None:
    """Leave with the examination the tables that its configs are checked against."""
    others = [each for each in given.place.working_plugins if each.package_dir.resolve() != given.subject.package_dir]
    named = given.manifest.name if given.manifest is not None else None
    others = [each for each in others if each.name != named]
    given.tables = list(type_tables(others, import_roots(given.place.paths), cache_dir=given.place.cache_dir))
    if given.manifest is not None:
        given.tables += in_scopes(given.table, given.manifest)
