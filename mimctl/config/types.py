"""Generates types.json: which type names a package registers, where, and what arguments each takes.

`python -m mimctl.config.types DIR [--check]` writes (or compares) DIR/types.json. It reads source text alone.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mimctl.config.tables.facts import names_in, num_classes_of, reads_annotation_file, uses_of
from mimctl.config.tables.signatures import Parameter, Signature, signature_of
from mimctl.config.tables.sources import Found, Module, Sources, dotted_name, module_name_of, parse_module, top_level

SCHEMA_VERSION = 1
FILE_NAME = "types.json"
PART_PACKAGES = ("mimctl.vision.", "mimctl.engine.model.")
"""Where models of every toolbox take parts from."""


def generate(package_dir: Path) -> dict[str, Any]:
    """Return the table of a package folder (`…/mimctl/engine`, `…/mimctl_det`) as plain data.

    Raises ValueError where the folder is no package or a name is registered twice.
    """
    package_dir = package_dir.resolve()
    package = module_name_of(package_dir / "__init__.py")
    if not package:
        raise ValueError(f"{package_dir} is no package: it has no __init__.py")
    sources = Sources(_roots(package_dir, package))
    table: dict[str, dict[str, Any]] = {}
    for path in sorted(package_dir.rglob("*.py")):
        if "register_module" not in path.read_text(encoding="utf-8"):
            continue
        name = module_name_of(path)
        module = sources.held.setdefault(name, parse_module(name, path))
        if module is None:
            raise ValueError(f"{path} is not valid Python")
        for kind, type_name, found in _registrations(sources, module):
            entries = table.setdefault(kind, {})
            first = entries.get(type_name, {}).get("module", name)
            if first != name:
                raise ValueError(f"{type_name} ({kind}) is registered in {first} and {name}")
            entries[type_name] = {"module": name, **describe(sources, kind, found)}
    return {
        "schema_version": SCHEMA_VERSION,
        "package": package,
        "scope": scope_of(package),
        "kinds": table,
        "modules": _modules(sources, package, table),
    }


def describe(sources: Sources, kind: str, found: Found | None) -> dict[str, Any]:
    """Return what a table says of a class or function: its parameters, and what a config has to agree with.

    What has no source here (None) may take anything.
    """
    signature = signature_of(sources, found) if found else Signature(extra=True)
    entry: dict[str, Any] = {
        "params": {name: _facts(each) for name, each in signature.params.items()},
        "extra": signature.extra,
    }
    if kind == "dataset" and found is not None:
        num_classes = num_classes_of(sources, found)
        entry |= {"num_classes": num_classes} if num_classes is not None else {}
        entry |= {"needs": ["ann_file"]} if reads_annotation_file(sources, found) else {}
    return entry


def _modules(sources: Sources, package: str, table: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Return module → names that its models' parts may bear, and modules that it takes parts from."""
    found: dict[str, dict[str, str]] = {}
    waiting = sorted({entry["module"] for entry in table.get("model", {}).values()})
    while waiting:
        name = waiting.pop()
        module = sources.module(name) if name not in found and name.startswith(f"{package}.") else None
        if module is None:
            continue
        uses = [each for each in uses_of(module, (*PART_PACKAGES, f"{package}.")) if sources.module(each) is not None]
        found[name] = {"names": " ".join(names_in(module.body)), "uses": " ".join(uses)}
        waiting += uses
    return found


def scope_of(package: str) -> str:
    """Return the scope of a package: `det` of mimctl_det, `engine` of mimctl.engine."""
    return package.rpartition(".")[2].removeprefix("mimctl_")


def to_text(table: dict[str, Any]) -> str:
    """Return the table as it is stored: sorted, one level of indentation a level."""
    return json.dumps(table, indent=1, sort_keys=True) + "\n"


def is_fresh(package_dir: Path) -> bool:
    """Say whether the stored table is what the source says."""
    path = package_dir / FILE_NAME
    return path.is_file() and path.read_text(encoding="utf-8") == to_text(generate(package_dir))


def _roots(package_dir: Path, package: str) -> dict[str, Path]:
    """Return where packages lie: the one asked for, and this very mimctl."""
    own = Path(__file__).resolve().parent.parent
    top = package.partition(".")[0]
    folder = package_dir
    for _ in range(package.count(".")):
        folder = folder.parent
    return {"mimctl": own, top: folder}


def _registrations(sources: Sources, module: Module) -> Iterator[tuple[str, str, Found | None]]:
    """Yield (kind, name, class or function) for every registration of a module."""
    for statement in top_level(module.body):
        if isinstance(statement, (ast.ClassDef, ast.FunctionDef)):
            for decorator in statement.decorator_list:
                kind = _kind_of(sources, module, decorator)
                if kind is not None and isinstance(decorator, ast.Call):
                    for name in _names(decorator) or [statement.name]:
                        yield kind, name, Found(module, statement)
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            kind = _kind_of(sources, module, statement.value)
            if kind is not None:
                yield from _registered_by_call(sources, module, statement.value, kind)


def _registered_by_call(
    sources: Sources, module: Module, call: ast.Call, kind: str
) -> Iterator[tuple[str, str, Found | None]]:
    target = next((each.value for each in call.keywords if each.arg == "module"), None)
    if target is None:
        return
    found = sources.resolve(module, target)
    dotted = dotted_name(target)
    names = _names(call) or ([found.node.name] if found else [dotted.rpartition(".")[2]] if dotted else [])
    for name in names:
        yield kind, name, found


def _kind_of(sources: Sources, module: Module, expression: ast.expr) -> str | None:
    """Return the kind of `KIND.register_module(…)`, where KIND is a registry of the engine or has one as its parent."""
    if not isinstance(expression, ast.Call) or not isinstance(expression.func, ast.Attribute):
        return None
    registry = expression.func.value
    if expression.func.attr != "register_module" or not isinstance(registry, ast.Name):
        return None
    found = sources.find_value(module, registry.id)
    if found is None or not isinstance(found[1], ast.Call) or dotted_name(found[1].func) != "Registry":
        return None
    given = [*found[1].args[:1], *(each.value for each in found[1].keywords if each.arg == "name")]
    return str(given[0].value) if given and isinstance(given[0], ast.Constant) else None


def _names(call: ast.Call) -> list[str]:
    given = [*call.args[:1], *(each.value for each in call.keywords if each.arg == "name")]
    if not given:
        return []
    value = ast.literal_eval(given[0])
    return [value] if isinstance(value, str) else list(value or [])


def _facts(parameter: Parameter) -> dict[str, Any]:
    facts: dict[str, Any] = {"required": parameter.is_required}
    if parameter.annotation is not None:
        facts["type"] = parameter.annotation
    if parameter.default is not None:
        facts["default"] = parameter.default
    return facts


def main(arguments: list[str]) -> int:
    """Write or check the tables of the given package folders; return 1 where one is stale."""
    folders = [Path(each) for each in arguments if not each.startswith("-")]
    if not folders or set(arguments) - {str(each) for each in folders} - {"--check"}:
        sys.stderr.write("usage: python -m mimctl.config.types DIR… [--check]\n")
        return 2
    stale = 0
    for folder in folders:
        path = folder / FILE_NAME
        if "--check" in arguments:
            if not is_fresh(folder):
                sys.stderr.write(f"{path} is stale: run `python -m mimctl.config.types {folder}`\n")
                stale = 1
            continue
        table = generate(folder)
        path.write_text(to_text(table), encoding="utf-8")
        sys.stdout.write(f"{path}: {sum(map(len, table['kinds'].values()))} types\n")
    return stale


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
