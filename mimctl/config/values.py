"""The values that configs are made of: dicts with attribute access that know their places, and lazy references."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mimctl.errors import nearest

Place = tuple[str, int]
"""Absolute file (or a named place such as `--cfg-options`) and 1-based line (0: no line)."""

DELETE = "_delete_"
"""The key that makes a dict replace the one it would be merged into."""


@dataclass(frozen=True, slots=True)
class LazyReference:
    """A class or function that a pure-Python config imports; nothing is imported until it is built."""

    module: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.module}.{self.name}" if self.name else self.module

    @property
    def type_name(self) -> str:
        """Return the name to look up in a registry: top package as the scope, e.g. `mmdet.RTMDet`."""
        return f"{self.module.partition('.')[0]}.{str(self).rpartition('.')[2]}"


class ConfigDict(dict[str, Any]):
    """A dict whose keys are attributes as well, and which knows where each key was written.

    Plain dicts that are put into it become ConfigDicts. `to_dict` gives plain data back.
    """

    __slots__ = ("_places",)
    _places: Mapping[str, Place]  # shared between copies, so never changed: `mark` replaces it

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        object.__setattr__(self, "_places", {})
        self.set_all(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            near = nearest(name, [key for key in self if isinstance(key, str)])
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise AttributeError(f"the config has no key {name!r} here{hint}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(f"the config has no key {name!r} here") from None

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, wrap(value))

    def set_all(self, *args: Any, **kwargs: Any) -> None:
        """Set keys as `dict.update` does: a dict replaces what is there. Plain dicts are wrapped."""
        for source in (*args, kwargs):
            for key, value in dict(source).items():
                self[key] = value
            if isinstance(source, ConfigDict):
                self.mark(source._places)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set keys, a dict going into the dict that is there, as MMEngine's ConfigDict has it."""
        for source in (*args, kwargs):
            for key, value in dict(source).items():
                held = self.get(key)
                if isinstance(held, ConfigDict) and isinstance(value, dict):
                    held.update(value)
                else:
                    self[key] = value
            if isinstance(source, ConfigDict):
                self.mark(source._places)

    def merge(self, other: Mapping[str, Any]) -> None:
        """Do as `update` with a copy of `other`; in it, a dict with `_delete_=True` replaces what is there."""
        if other.get(DELETE):
            self.clear()
        super().pop(DELETE, None)
        for key, value in other.items():
            held = self.get(key)
            if isinstance(held, ConfigDict) and isinstance(value, Mapping):
                held.merge(value)
            elif key != DELETE:
                made = copy_value(value)
                if isinstance(made, ConfigDict):
                    made.pop(DELETE, None)
                self[key] = made
        if isinstance(other, ConfigDict):
            self.mark(other._places)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of `key`, setting it to `default` first where it is absent."""
        if key not in self:
            self[key] = default
        return self[key]

    def copy(self) -> ConfigDict:
        """Return a shallow copy that knows the same places."""
        return new_dict(self, self._places)

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> ConfigDict:
        copied: ConfigDict = copy_value(self)
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        return (ConfigDict, (dict(self),))

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists and tuples all the way down."""
        plain: dict[str, Any] = unwrap(self)
        return plain

    def mark(self, places: Mapping[Any, Place]) -> None:
        """Note where keys were written."""
        object.__setattr__(self, "_places", {**self._places, **places})

    def place_of(self, key: str) -> Place | None:
        """Return where `key` was last written, or None."""
        return self._places.get(key)


def new_dict(items: Mapping[Any, Any], places: Mapping[Any, Place]) -> ConfigDict:
    """Make a ConfigDict out of values that are wrapped already, without looking at them."""
    made = ConfigDict.__new__(ConfigDict)
    _PLACES(made, places)
    dict.update(made, items)
    return made


def wrap(value: Any) -> Any:
    """Return `value` with every plain dict in it made a ConfigDict."""
    if isinstance(value, ConfigDict):
        return value
    if isinstance(value, dict):
        return ConfigDict(value)
    if type(value) in (list, tuple):
        return type(value)(wrap(item) for item in value)
    return value


def unwrap(value: Any) -> Any:
    """Return `value` with every ConfigDict in it made a plain dict."""
    if isinstance(value, dict):
        return {key: unwrap(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)([unwrap(item) for item in value])
    return value


def copy_value(value: Any) -> Any:
    """Return a deep copy that shares no dict or list with the original and none within itself.

    Most of what is copied are lists and tuples of plain values: those are copied as a whole, tuples not at all.
    """
    kind = type(value)
    if kind is ConfigDict:
        made = ConfigDict.__new__(ConfigDict)
        _PLACES(made, value._places)
        dict.update(made, value)
        put = dict.__setitem__
        for key, item in value.items():
            if type(item) in _CONTAINERS:
                put(made, key, copy_value(item))
        return made
    if kind is list:
        for item in value:
            if type(item) in _CONTAINERS:
                return [copy_value(item) if type(item) in _CONTAINERS else item for item in value]
        return value[:]
    if kind is tuple:
        for item in value:
            if type(item) in _CONTAINERS:
                return tuple([copy_value(item) if type(item) in _CONTAINERS else item for item in value])
        return value
    if kind is set:
        return set(value)
    return wrap(value) if kind is dict else value


_PLACES = ConfigDict.__dict__["_places"].__set__
_CONTAINERS = frozenset({ConfigDict, list, tuple, set, dict})


def walk(value: Any, path: str = "") -> Iterator[tuple[str, ConfigDict]]:
    """Yield (dotted path, dict) for every dict in `value`, outermost first."""
    if isinstance(value, ConfigDict):
        yield path, value
        for key, item in value.items():
            if type(item) in _CONTAINERS:
                yield from walk(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            if type(item) in _CONTAINERS:
                yield from walk(item, f"{path}.{index}" if path else str(index))
