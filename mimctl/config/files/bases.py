"""Finds the file that a base is named by: a path, `package::path`, or a module of the pure-Python style."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mimctl.config.files.packages import find_in_packages, find_module, import_path
from mimctl.config.language.limits import origin_of
from mimctl.config.values import ConfigDict, Place
from mimctl.errors import ConfigError, nearest

Search = Callable[[str], Path]
"""`pkg::path` → the file in the configs of another toolbox; None: look beside the file and on this import path."""


def find_file(name: str, place: Place, search: Search | None) -> str:
    """Return the absolute path of the base that `_base_` at `place` names; raise ConfigError[config-base]."""
    if "::" in name:
        return _find_elsewhere(name, place, search)
    path = os.path.normpath(os.path.join(os.path.dirname(place[0]), name))  # noqa: PTH118, PTH120
    if not os.path.isfile(path):  # noqa: PTH113
        raise _no_such_base(name, path, place)
    return path


def find_module_file(module: str, level: int, place: Place, search: Search | None) -> tuple[str, bool]:
    """Return the file of a base that is named as a module with `level` leading dots, and whether it was searched for.

    A module without dots lies in the package that holds the file at `place`, in one on the import path, or, where it is
    `package.configs.…`, among what `search` finds. Raises ConfigError[config-base].
    """
    folder = os.path.dirname(place[0])  # noqa: PTH120
    parts = module.split(".")
    if level:
        path = os.path.normpath(os.path.join(folder, *[".."] * (level - 1), *parts)) + ".py"  # noqa: PTH118
        if os.path.isfile(path):  # noqa: PTH113
            return path, False
        raise _no_such_base("." * level + module, path, place)
    while parts[0] in Path(folder).parts:
        if os.path.basename(folder) == parts[0]:  # noqa: PTH119
            path = os.path.join(folder, *parts[1:]) + ".py"  # noqa: PTH118
            if os.path.isfile(path):  # noqa: PTH113
                return path, False
        folder = os.path.dirname(folder)  # noqa: PTH120
    found = find_module(module, import_path(place[0]))
    if found is not None:
        return str(found), True
    inner = parts[2:] if parts[1:2] == ["configs"] else parts[1:]
    return _find_elsewhere(f"{parts[0]}::{'/'.join(inner)}.py", place, search), True


def _find_elsewhere(name: str, place: Place, search: Search | None) -> str:
    try:
        found = search(name) if search else find_in_packages(name, import_path(place[0]))
    except ConfigError as err:
        err.origin = err.origin or origin_of(place)
        raise
    path = os.path.abspath(found)  # noqa: PTH100
    if not os.path.isfile(path):  # noqa: PTH113
        raise _no_such_base(name, path, place)
    return path


def set_scope(value: Any, scope: str, place: Place) -> None:
    """Note on the outermost dicts with a `type` that their names belong to the toolbox whose config they come from."""
    if isinstance(value, ConfigDict):
        if "type" in value:
            dict.setdefault(value, "_scope_", scope)
            value.mark({"_scope_": place, **value._places})
            return
        for item in value.values():
            set_scope(item, scope, place)
    elif isinstance(value, (list, tuple)):
        for item in value:
            set_scope(item, scope, place)


def _no_such_base(name: str, path: str, place: Place) -> ConfigError:
    folder = Path(path).parent
    near = nearest(Path(path).name, [each.name for each in folder.iterdir()]) if folder.is_dir() else []
    return ConfigError(
        f"there is no base `{name}`",
        code="config-base",
        causes=[f"looked for {origin_of((path, 0))}"],
        hints=[f"did you mean `{near[0]}`?"] if near else [],
        origin=origin_of(place),
    )


def of_another_style(name: str, place: Place) -> ConfigError:
    """Return the error for a base that MMEngine would not read either: its imports mean something else there."""
    return ConfigError(
        f"the base `{name}` is written in the pure-Python style: it imports what is no module of Python itself",
        code="config-base",
        causes=["`_base_` names files of the classic style, with types as text"],
        hints=["read it with `with read_base():`, or take the import out of the base"],
        origin=origin_of(place),
    )
