"""Which dicts of a file came from its bases: `update` merges dict into dict there, in the file's own dicts it replaces.

That is how MMEngine 0.10.7 has it: what a base defines is its ConfigDict by then, what the file writes a plain dict. So
only what a base defines has `merge`, and items that are attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mimctl.config.values import DELETE, ConfigDict, Place, copy_value, new_dict


class Inherited:
    """The dicts of one file that came from its bases, known from the first time that it matters."""

    __slots__ = ("_dicts", "_waiting", "is_read", "is_shared")

    def __init__(self) -> None:
        self.is_read = False
        """Whether the file used its base by name, so that it may have put anything into it."""
        self.is_shared = False
        self._dicts: dict[int, ConfigDict] = {}  # held, so that no other dict gets the number of one that is gone
        self._waiting: list[Any] = []

    def add(self, value: Any) -> None:
        """Count every dict in `value` as inherited; it is looked at before the next change of any dict."""
        self._waiting.append(value)

    def settle(self) -> None:
        """Look at what was added while it is still whole: to be called before a dict is changed."""
        while self._waiting:
            value = self._waiting.pop()
            if type(value) is ConfigDict:
                if id(value) in self._dicts:
                    continue
                self._dicts[id(value)] = value
                self._waiting.extend(value.values())
            elif type(value) in (list, tuple):
                self._waiting.extend(value)

    def __contains__(self, held: object) -> bool:
        self.settle()
        return id(held) in self._dicts

    def adopt(self, value: Any) -> Any:
        """Return `value` as it is put into an inherited dict: a copy, in which inherited dicts are shared."""
        kind = type(value)
        if kind is ConfigDict:
            if value in self:
                self.is_shared = True
                return value
            made = new_dict({key: self.adopt(item) for key, item in value.items()}, value._places)
            self._dicts[id(made)] = made
            return made
        if kind is list or kind is tuple:
            return kind(self.adopt(item) for item in value)
        return copy_value(value)

    def update(self, held: ConfigDict, items: Mapping[Any, Any], places: Mapping[Any, Place], place: Place) -> None:
        """Merge `items` into an inherited dict: dict into dict, anything else replaced; `place` is where unknown."""
        for key, value in items.items():
            inner = held.get(key)
            if type(inner) is ConfigDict and isinstance(value, dict):
                known = value._places if isinstance(value, ConfigDict) else {}
                self.update(inner, value, known, place)
            else:
                dict.__setitem__(held, key, self.adopt(value))
        held.mark({key: places.get(key, place) for key in items})

    def merge(self, held: ConfigDict, other: ConfigDict) -> None:
        """Merge `other` into an inherited dict as `update` does; a dict with `_delete_=True` replaces what it meets.

        All of it is copied, what was there too: other names for inner dicts keep what these held before. What is one
        dict under two names in one of them stays one.
        """
        self.settle()
        merged = _merged(self._copied(other, {}), self._copied(held, {}))
        dict.clear(held)
        dict.update(held, merged)
        held.mark(merged._places)
        self.add(list(merged.values()))

    def copy(self, held: ConfigDict) -> ConfigDict:
        """Return a shallow copy of an inherited dict: its lists are copied too, the dicts in it are not."""
        return new_dict({key: self.adopt(item) for key, item in held.items()}, held._places)

    def _copied(self, value: Any, memo: dict[int, Any]) -> Any:
        """Return a deep copy in which what is shared stays shared; `memo` holds the copies of dicts and lists by id."""
        kind = type(value)
        if kind is not ConfigDict and kind is not list:
            return tuple(self._copied(item, memo) for item in value) if kind is tuple else copy_value(value)
        if id(value) in memo:
            self.is_shared = True
            return memo[id(value)]
        if kind is list:
            made: Any = [self._copied(item, memo) for item in value]
        else:
            made = new_dict({key: self._copied(item, memo) for key, item in value.items()}, value._places)
        memo[id(value)] = made
        return made


def _merged(over: ConfigDict, base: ConfigDict) -> ConfigDict:
    if over.pop(DELETE, False):
        dict.clear(base)
    dict.pop(base, DELETE, None)
    for key, value in over.items():
        inner = base.get(key)
        if type(value) is ConfigDict and type(inner) is ConfigDict:
            _merged(value, inner)
            continue
        if type(value) is ConfigDict:
            value.pop(DELETE, None)
        dict.__setitem__(base, key, value)
    base.mark(over._places)
    return base
