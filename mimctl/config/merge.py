"""Merges a config over its base: dicts key by key, everything else replaced, `_delete_=True` to replace a dict."""

from __future__ import annotations

from typing import Any

from mimctl.config.language.limits import origin_of
from mimctl.config.values import DELETE, ConfigDict
from mimctl.errors import ConfigError


def merge(over: ConfigDict, base: ConfigDict, *, path: str = "") -> ConfigDict:
    """Merge `over` into `base`, which is changed and returned; dicts of `over` may become part of it.

    Raises ConfigError[config-merge] where a dict meets another kind of value without `_delete_`.
    """
    put = dict.__setitem__
    for key, value in over.items():
        if type(value) is ConfigDict and key in base and not value.pop(DELETE, False):
            held = base[key]
            if type(held) is not ConfigDict:
                raise _clash(f"{path}{key}", held, over.place_of(key), base.place_of(key))
            if held is not value:
                merge(value, held, path=f"{path}{key}.")
        else:
            put(base, key, value)
    base.mark(over._places)
    return base


def _clash(path: str, held: Any, place: tuple[str, int] | None, base_place: tuple[str, int] | None) -> ConfigError:
    where = f" at {origin_of(base_place)}" if base_place else ""
    return ConfigError(
        f"`{path}` is a dict here and a {type(held).__name__} in the base",
        code="config-merge",
        causes=[f"the base sets it{where}"],
        hints=[f"write `{DELETE}=True` in the dict to replace the base's value"],
        origin=origin_of(place) if place else None,
    )
