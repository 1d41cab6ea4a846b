"""Which dicts of a file came from its bases: `update` merges dict into dict there, in the file's own dicts it replaces.

That is how MMEngine 0.10.7 has it: what a base defines is its ConfigDict by then, what the file writes a plain dict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mimctl.config.values import ConfigDict, Place, copy_value


class Inherited:
    """The dicts of one file that came from its bases, known from the first time that it matters."""

    __slots__ = ("_dicts", "_waiting")

    def __init__(self) -> None:
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
        """Return a copy of `value`, as it is put into an inherited dict: no later change of the original reaches it."""
        copied = copy_value(value)
        self.add(copied)
        return copied

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
