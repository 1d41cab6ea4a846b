"""The toolboxes that are installed beside the engine, and the tables that say which module registers which name.

Entry points, `plugin.toml` and `types.json` are read; no code of a toolbox is imported.
"""

from __future__ import annotations

import importlib.util
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from mimctl.config.scopes import FALLBACK_SCOPES
from mimctl.config.scopes import canonical_scope as published_scope
from mimctl.config.values import LazyReference

GROUP = "mimctl.plugins"
USER = "user"
Kinds = Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolbox:
    """An installed toolbox: the scope its names have, its import package, and the names that its scope also goes by."""

    scope: str
    package: str
    also: tuple[str, ...] = ()


@cache
def installed_toolboxes() -> Mapping[str, Toolbox]:
    """Return the toolboxes that declare the entry point, by scope; of two that claim one name the first one has it."""
    found: dict[str, Toolbox] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda each: each.name):
        package = entry.value.partition(":")[0]
        found.setdefault(entry.name, Toolbox(scope=entry.name, package=package, also=_claimed(package)))
    return found


def canonical_scope(scope: str) -> str:
    """Return our name of a scope: OpenMMLab's names are aliases, and so are those that a toolbox's manifest claims."""
    own = published_scope(scope)
    toolboxes = installed_toolboxes()
    if own in toolboxes or own in FALLBACK_SCOPES:
        return own
    return next((each.scope for each in toolboxes.values() if scope in each.also), own)


def package_of_scope(scope: str) -> str:
    """Return the import package that owns a scope."""
    if scope in FALLBACK_SCOPES:
        return f"mimctl.{scope}"
    toolbox = installed_toolboxes().get(scope)
    return toolbox.package if toolbox else f"mimctl_{scope}"


def scope_of_module(module: str) -> str:
    """Return the scope that a module's registrations belong to; those of nobody have the scope `user`."""
    parts = module.split(".")
    if parts[0] == "mimctl" and len(parts) > 1:
        return parts[1]
    owner = next((each.scope for each in installed_toolboxes().values() if each.package == parts[0]), None)
    if owner is not None:
        return owner
    return parts[0].removeprefix("mimctl_") if parts[0].startswith("mimctl_") else USER


@cache
def type_table(scope: str) -> Kinds:
    """Return `kinds` of the scope's generated types.json ({} where the toolbox is not installed)."""
    folder = folder_of_scope(scope)
    path = folder / "types.json" if folder else None
    if path is None or not path.is_file():
        return {}
    kinds: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["kinds"]
    return kinds


def fresh_table(scope: str) -> Kinds:
    """Return what the scope's source says now: for a toolbox that is edited in place and whose table is behind."""
    from mimctl.config.types import generate

    folder = folder_of_scope(scope)
    try:
        kinds: Kinds = generate(folder)["kinds"] if folder else {}
    except ValueError:  # a name registered twice: importing its modules says so
        return {}
    return kinds


def folder_of_scope(scope: str) -> Path | None:
    """Return the folder of the package that owns a scope, None where it is not installed."""
    try:
        spec = importlib.util.find_spec(package_of_scope(scope))
    except (ModuleNotFoundError, ValueError):
        return None
    return next((Path(each) for each in spec.submodule_search_locations or ()), None) if spec else None


def name_of_reference(reference: LazyReference) -> str:
    """Return the registered name that a class imported by a pure-Python config stands for.

    Nothing is imported here: what no registry knows is refused, whatever module it names.
    """
    top = reference.module.partition(".")[0]
    scope = canonical_scope(top)
    if scope == top:
        own = scope_of_module(reference.module)
        # torch's classes are registered by the engine; a module of nobody's is user code.
        scope = "engine" if top == "torch" else top if own == USER else own
    return f"{scope}.{reference.name or reference.module.rpartition('.')[2]}"


def _claimed(package: str) -> tuple[str, ...]:
    try:
        spec = importlib.util.find_spec(package)
        folder = next(iter(spec.submodule_search_locations or ()), None) if spec else None
        manifest = tomllib.loads(Path(folder, "plugin.toml").read_text(encoding="utf-8")) if folder else {}
    except (OSError, ValueError, ImportError):
        return ()  # whoever installs or lists it is told what is wrong with it
    return tuple(str(each) for each in manifest.get("scopes", ()))
