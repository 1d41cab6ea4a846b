"""Dotted paths into a config: `model.backbone.depth`, `param_scheduler.0.end`."""

from __future__ import annotations

from typing import Any

from mimctl.config.values import ConfigDict, Place


def select(config: ConfigDict, path: str, default: Any = None) -> Any:
    """Return the value at a dotted path, or `default`."""
    value: Any = config
    for part in path.split("."):
        if isinstance(value, ConfigDict) and (key := _key(value, part)) is not None:
            value = value[key]
        elif _is_index(value, part):
            value = value[int(part)]
        else:
            return default
    return value


def place_at(config: ConfigDict, path: str) -> Place | None:
    """Return where the value at a dotted path was written (of an item: where its list was), or None."""
    place: Place | None = None
    value: Any = config
    for part in path.split("."):
        if isinstance(value, ConfigDict):
            key = _key(value, part)
            if key is None:
                return None
            place = value.place_of(key) or place
            value = value[key]
        elif _is_index(value, part):
            value = value[int(part)]
            if isinstance(value, ConfigDict) and value._places:
                place = next(iter(value._places.values()))
        else:
            return None
    return place


def _is_index(value: Any, part: str) -> bool:
    return isinstance(value, (list, tuple)) and part.isdigit() and int(part) < len(value)


def _key(holder: ConfigDict, part: str) -> Any:
    """Return the key that a part of a dotted path names: keys of YAML may be numbers."""
    if part in holder:
        return part
    keys: list[Any] = list(holder)
    return next((key for key in keys if not isinstance(key, str) and str(key) == part), None)
