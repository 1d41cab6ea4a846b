"""Checks a config again once its `custom_imports` are there: their types, by what their code says of them.

The command line, which runs no code, leaves such a config's unknown types alone. Here every name can be known: those of
the tables, and those that are registered by now.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mimctl.config import Config, check
from mimctl.config.checking import raise_all
from mimctl.config.scopes import FALLBACK_SCOPES
from mimctl.config.tables.sources import Found, Module, Sources, parse_module
from mimctl.config.types import describe
from mimctl.engine import registry
from mimctl.engine.lookup.toolboxes import folder_of_scope, installed_toolboxes
from mimctl.engine.registry import Registry

_CALLABLE = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def check_with_user_code(config: Config) -> None:
    """Raise ConfigError with every mistake of a config whose `custom_imports` have been imported."""
    raise_all(check(config, known_tables(), knows_user_code=True))


def known_tables() -> list[Mapping[str, Any]]:
    """Return the tables of the installed packages, with what else is registered in this process."""
    tables = {scope: _stored(scope) for scope in (*FALLBACK_SCOPES, *installed_toolboxes())}
    sources = Sources({})
    for kind, scope, name, obj in _registered():
        table = tables.setdefault(scope, {"scope": scope, "kinds": {}, "modules": {}})
        held = table["kinds"].setdefault(kind, {})
        if name not in held:
            held[name] = {"module": obj.__module__, **_describe(sources, kind, obj)}
    return list(tables.values())


def source_of(sources: Sources, name: str) -> Module | None:
    """Return the source of a module that is imported here, wherever it was imported from; None where it has none."""
    file = getattr(sys.modules.get(name), "__file__", None)
    if name not in sources.held and file and file.endswith(".py"):
        sources.held[name] = parse_module(name, Path(file))
    return sources.module(name)


def _stored(scope: str) -> dict[str, Any]:
    folder = folder_of_scope(scope)
    path = folder / "types.json" if folder else None
    if path is None or not path.is_file():
        return {"scope": scope, "kinds": {}, "modules": {}}
    table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return table


def _registered() -> Iterator[tuple[str, str, str, Any]]:
    """Yield (kind, scope, name, class or function) of everything that is registered by now."""
    for each in {id(held): held for held in vars(registry).values() if isinstance(held, Registry)}.values():
        for (scope, name), obj in each._entries.items():
            yield each.kind, scope, name, obj


def _describe(sources: Sources, kind: str, obj: Any) -> dict[str, Any]:
    """Return what a table says of a class or function, read off its source, else asked of the object itself."""
    module = source_of(sources, getattr(obj, "__module__", "") or "")
    found = sources.resolve_name(module, getattr(obj, "__qualname__", "")) if module is not None else None
    if isinstance(found, Found):
        return describe(sources, kind, found)
    try:
        parameters = inspect.signature(obj).parameters.values()
    except (TypeError, ValueError):
        return {"params": {}, "extra": True}
    return {
        "params": {
            each.name: {"required": each.default is inspect.Parameter.empty}
            for each in parameters
            if each.kind in _CALLABLE
        },
        "extra": any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters),
    }
