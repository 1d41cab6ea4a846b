"""Bounds on what a config may cost: operations, sizes and depth, so that a hostile file is refused, not run."""

from __future__ import annotations

from typing import Any

from mimctl.config.language.environment import FromEnvironment
from mimctl.config.language.inherited import Inherited
from mimctl.config.values import ConfigDict, LazyReference
from mimctl.errors import ConfigError, Origin

MAX_SOURCE_BYTES = 400_000
MAX_UNITS = 1_000_000
"""One unit is one evaluated node, one element made, or 16 characters made."""
MAX_DEPTH = 100
MAX_BASES = 200
MAX_INT_BITS = 256
"""No config counts further than a hash does; longer numbers would make each operation dear."""
_KEY_PRICE = 200
_LEAST_FOLDED = (1 << 61) - 1  # from here on numbers have the hash of smaller ones (Python's hash of int)
SCALARS = frozenset({str, int, float, bool, type(None), FromEnvironment, LazyReference})


class Meter:
    """The remaining allowance of one file, and the line that is being evaluated."""

    __slots__ = ("file", "inherited", "left", "line")

    def __init__(self, file: str) -> None:
        self.file = file
        self.line = 1
        self.left = MAX_UNITS
        self.inherited = Inherited()

    def charge(self, units: int) -> None:
        """Take `units` off the allowance; raise ConfigError[config-limits] when it is used up."""
        self.left -= units
        if self.left < 0:
            raise self.fail("this config takes too many operations or too much memory", code="config-limits")

    def charge_text(self, length: int) -> None:
        """Take the price of `length` characters off the allowance."""
        self.charge(1 + (length >> 4))

    def fail(self, message: str, *, code: str, hints: tuple[str, ...] = ()) -> ConfigError:
        """Return a ConfigError at the current line."""
        return ConfigError(message, code=code, hints=hints, origin=origin_of((self.file, self.line)))

    def check_int(self, bits: int) -> None:
        """Raise ConfigError[config-limits] for an integer of more bits than any config needs."""
        if bits > MAX_INT_BITS:
            raise self.fail("this integer is larger than any config needs", code="config-limits")

    def weigh(self, value: Any) -> None:
        """Charge for walking the whole of `value`, shared parts as often as they are met."""
        if type(value) is str:
            self.charge_text(len(value))
        elif type(value) not in SCALARS:
            self._weigh(value, 1)

    def weigh_key(self, key: Any) -> None:
        """Charge for hashing `key`, which goes through the whole of a tuple.

        Numbers and tuples can be chosen so that all have one hash: those that could be cost more than they should.
        """
        if type(key) is tuple:
            self._weigh(key, 1)
            self.charge(_KEY_PRICE)
        elif type(key) is int and abs(key) >= _LEAST_FOLDED:
            self.charge(_KEY_PRICE)
        elif type(key) is str and len(key) > 256:
            self.charge_text(len(key))

    def _weigh(self, value: Any, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise self.fail(f"values are nested deeper than {MAX_DEPTH}", code="config-limits")
        self.charge(1 + len(value))
        if isinstance(value, range):
            return
        for item in value.values() if isinstance(value, dict) else value:
            kind = type(item)
            if kind is str:
                if len(item) > 64:
                    self.charge_text(len(item))
            elif kind not in SCALARS:
                if kind not in CONTAINERS:
                    raise self.fail(f"a {kind.__name__} is no config value", code="config-not-data")
                self._weigh(item, depth + 1)


CONTAINERS = frozenset({ConfigDict, dict, list, tuple, set, frozenset, range})


def origin_of(place: tuple[str, int]) -> Origin:
    """Return the place as people read it: relative where the file lies below the current folder."""
    import os

    file, line = place
    here = os.getcwd() + os.sep  # noqa: PTH109 - a string is all that is needed
    shown = file[len(here) :] if file.startswith(here) else file
    return Origin(file=shown, line=line or None)
