"""Overrides by dotted path: put into a config, knowing which keys no file has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mimctl.config.language.limits import origin_of
from mimctl.config.values import DELETE, ConfigDict, Place, copy_value, wrap
from mimctl.errors import ConfigError, nearest

CFG_OPTIONS: Place = ("--cfg-options", 0)


def apply_overrides(config: ConfigDict, overrides: Mapping[str, Any], place: Place = CFG_OPTIONS) -> list[str]:
    """Set the values at dotted paths; return the outermost paths that had to be created.

    `a.b._delete_` empties `a.b` before anything is put there, wherever it stands among the others. Raises
    ConfigError[bad-override] where a path leads nowhere.
    """
    others = dict(overrides)
    for path in filter(empties, overrides):
        if others.pop(path):
            apply_override(config, path.removesuffix(f".{DELETE}"), {DELETE: True}, place)
    created = (apply_override(config, path, value, place) for path, value in others.items())
    return [path for path in created if path]


def refuse_indices(config: ConfigDict, overrides: Mapping[str, Any], place: Place) -> None:
    """Raise ConfigError[bad-override] where a path goes into a list or tuple."""
    for path in overrides:
        holder: Any = config
        for part in path.split("."):
            if isinstance(holder, (list, tuple)):
                message = f"`{path}` goes into a list, which `allow_list_keys=False` forbids"
                raise ConfigError(message, code="bad-override", origin=origin_of(place))
            holder = holder.get(part) if isinstance(holder, dict) else None


def empties(path: str) -> bool:
    """Say whether a path is that of the mark that empties a dict."""
    return path.endswith(f".{DELETE}")


def apply_override(config: ConfigDict, key: str, value: Any, place: Place = CFG_OPTIONS) -> str | None:
    """Set the value at a dotted path, merging dicts into dicts; return the outermost path that had to be created.

    List and tuple items are addressed by index. Raises ConfigError[bad-override] where the path leads nowhere.
    """
    return _put(config, key.split("."), 0, _placed(copy_value(wrap(value)), place), place)


def _put(holder: Any, path: list[str], depth: int, value: Any, place: Place) -> str | None:
    """Set path[depth:] inside `holder` (a dict or list)."""
    name = path[depth]
    shown = ".".join(path[: depth + 1])
    created = None
    key: Any = name
    if isinstance(holder, list):
        key = _index(holder, name, shown, place)
    elif name not in holder:
        key = next((each for each in list[Any](holder) if not isinstance(each, str) and str(each) == name), name)
        created = shown if key is name else None
    if depth == len(path) - 1:
        _set(holder, key, value, shown, place)
        return created
    if created or holder[key] is None:
        _store(holder, key, ConfigDict())
        if isinstance(holder, ConfigDict):
            holder.mark({key: place})
    inner = holder[key]
    if isinstance(inner, tuple):
        items = list(inner)
        created_inside = _put(items, path, depth + 1, value, place)
        _store(holder, key, tuple(items))
        return created or created_inside
    if not isinstance(inner, (ConfigDict, list)):
        raise ConfigError(
            f"`{shown}` is a {type(inner).__name__}, so it has no `{path[depth + 1]}`",
            code="bad-override",
            origin=origin_of(place),
        )
    created_inside = _put(inner, path, depth + 1, value, place)
    return created or created_inside


def _set(holder: Any, key: Any, value: Any, shown: str, place: Place) -> None:
    held = holder.get(key) if isinstance(holder, dict) else holder[key]
    _store(holder, key, _combined(held, value, shown, place))
    if isinstance(holder, ConfigDict):
        holder.mark({key: place})


def _combined(held: Any, value: Any, shown: str, place: Place) -> Any:
    """Return what an override makes of the value that is there: a dict goes into a dict, or by index into a list."""
    if not isinstance(value, ConfigDict):
        return value
    replaces = value.pop(DELETE, False)
    if isinstance(held, ConfigDict) and not replaces:
        for key, item in value.items():
            dict.__setitem__(held, key, _combined(held.get(key), item, f"{shown}.{key}", place))
        held.mark(value._places)
        return held
    if isinstance(held, (list, tuple)) and not replaces:
        items = list(held)
        for key, item in value.items():
            index = _index(items, str(key), f"{shown}.{key}", place)
            items[index] = _combined(items[index], item, f"{shown}.{key}", place)
        return type(held)(items)
    for key, item in value.items():
        dict.__setitem__(value, key, _combined(None, item, f"{shown}.{key}", place))
    return value


def _store(holder: Any, key: Any, value: Any) -> None:
    if isinstance(holder, dict):
        dict.__setitem__(holder, key, value)
    else:
        holder[key] = value


def _index(holder: list[Any], name: str, shown: str, place: Place) -> int:
    if re.fullmatch(r"-?\d{1,9}", name) and -len(holder) <= int(name) < len(holder):
        return int(name)
    raise ConfigError(
        f"`{shown}` does not name one of the {len(holder)} items",
        code="bad-override",
        hints=[f"use an index from 0 to {len(holder) - 1}"] if holder else [],
        origin=origin_of(place),
    )


def _placed(value: Any, place: Place) -> Any:
    if isinstance(value, ConfigDict):
        value.mark(dict.fromkeys(value, place))
        for item in value.values():
            _placed(item, place)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _placed(item, place)
    return value


def nearest_path(config: ConfigDict, path: str) -> str | None:
    """Return the existing path that looks most like `path`, correcting one name after another.

    Where a name that follows a corrected one has no like, the path ends at the corrected one.
    """
    holder: Any = config
    fixed: list[str] = []
    for part in path.split("."):
        if isinstance(holder, dict):
            names = [str(each) for each in holder]
            found = [part] if part in names else nearest(part, names, most=1)
            if not found:
                return ".".join(fixed) if fixed != path.split(".")[: len(fixed)] else None
            fixed.append(found[0])
            holder = holder.get(found[0])
        elif isinstance(holder, (list, tuple)) and part.isdigit() and int(part) < len(holder):
            fixed.append(part)
            holder = holder[int(part)]
        else:
            return None
    return ".".join(fixed)
