"""The functions that a config may call: each only makes a value, bounded, and none is lazy."""

from __future__ import annotations

import math
import posixpath
from collections.abc import Callable, Iterable
from typing import Any

from mimctl.config.language.limits import Meter
from mimctl.config.language.operators import BINARY
from mimctl.config.values import ConfigDict, copy_value

Function = Callable[..., Any]
_ABSENT: Any = object()


def _items(meter: Meter, value: Iterable[Any]) -> list[Any]:
    if isinstance(value, (list, tuple, dict, set, frozenset, str, range)):
        meter.charge(len(value))
        return list(value)
    raise TypeError(f"a {type(value).__name__} cannot be looped over")


def _range(meter: Meter, *bounds: int) -> range:
    return range(*bounds)


def _sum(meter: Meter, values: Any, start: Any = 0) -> Any:
    import ast

    add = BINARY[ast.Add]
    for value in _items(meter, values):
        start = add(meter, start, value)
    return start


def _extreme(choose: Callable[[Any], Any]) -> Function:
    def extreme(meter: Meter, *values: Any) -> Any:
        found = _items(meter, values[0] if len(values) == 1 else values)
        for each in found:
            meter.weigh(each)
        return choose(found)

    return extreme


def _sorted(meter: Meter, values: Any, *, reverse: bool = False) -> list[Any]:
    found = _items(meter, values)
    meter.weigh(found)
    return sorted(found, reverse=reverse)


def _text(meter: Meter, value: Any = "") -> str:
    meter.weigh(value)
    text = str(value)
    meter.charge_text(len(text))
    return text


def _number(kind: type[int] | type[float]) -> Function:
    def number(meter: Meter, value: Any = 0) -> Any:
        if not isinstance(value, (str, int, float)) or (isinstance(value, str) and len(value) > 400):
            raise TypeError(f"{kind.__name__}() takes a number or a short text")
        made = kind(value)
        if isinstance(made, int):
            meter.check_int(made.bit_length())
        return made

    return number


def _dict(meter: Meter, *args: Any, **kwargs: Any) -> ConfigDict:
    made = ConfigDict()
    for source in (*args, kwargs):
        meter.charge(len(source))
        pairs = source if isinstance(source, dict) else [(key, value) for key, value in source]
        for key in dict.keys(source) if isinstance(source, dict) else [key for key, _ in pairs]:
            meter.weigh_key(key)
        made.set_all(pairs)
    place = (meter.file, meter.line)
    made.mark({key: place for key in made if made.place_of(key) is None})
    return made


def _round(meter: Meter, value: float, digits: int | None = None) -> float:
    if digits is not None and abs(digits) > 300:
        raise ValueError("round() takes at most 300 digits")
    return round(value, digits)


def _set(meter: Meter, values: Any = ()) -> set[Any]:
    found = _items(meter, values)
    for each in found:
        meter.weigh_key(each)
    return set(found)


def _zip(meter: Meter, *columns: Any) -> list[Any]:
    return list(zip(*(_items(meter, column) for column in columns), strict=False))


def _enumerate(meter: Meter, values: Any, start: int = 0) -> list[Any]:
    return list(enumerate(_items(meter, values), start))


def _isinstance(meter: Meter, value: Any, kinds: Any) -> bool:
    wanted = kinds if isinstance(kinds, tuple) else (kinds,)
    names = {name for name, function in FUNCTIONS.items() if function in wanted}
    return ("dict" if isinstance(value, dict) else type(value).__name__) in names


def _getattr(meter: Meter, held: Any, name: str, default: Any = _ABSENT) -> Any:
    """Return an item of a dict that a base defines, whose items are its attributes; nothing else has any here."""
    if type(held) is not ConfigDict or not isinstance(name, str):
        raise meter.fail(f"attributes of a {type(held).__name__} are refused", code="config-not-data")
    value = held.get(name, default) if held in meter.inherited else default
    if value is _ABSENT:
        raise KeyError(name)
    return value


def _hasattr(meter: Meter, held: Any, name: str) -> bool:
    return _getattr(meter, held, name, None) is not None or (held in meter.inherited and name in held)


FUNCTIONS: dict[str, Function] = {
    "abs": lambda meter, value: abs(value),
    "all": lambda meter, values: all(_items(meter, values)),
    "any": lambda meter, values: any(_items(meter, values)),
    "bool": lambda meter, value=False: bool(value),
    "dict": _dict,
    "enumerate": _enumerate,
    "float": _number(float),
    "getattr": _getattr,
    "hasattr": _hasattr,
    "int": _number(int),
    "isinstance": _isinstance,
    "len": lambda meter, value: len(value),
    "list": lambda meter, values=(): _items(meter, values),
    "max": _extreme(max),
    "min": _extreme(min),
    "print": lambda meter, *values: None,
    "range": _range,
    "reversed": lambda meter, values: _items(meter, values)[::-1],
    "round": _round,
    "set": _set,
    "sorted": _sorted,
    "str": _text,
    "sum": _sum,
    "tuple": lambda meter, values=(): tuple(_items(meter, values)),
    "zip": _zip,
}


def _copy(meter: Meter, value: Any) -> Any:
    meter.weigh(value)
    copied = value.copy() if isinstance(value, (ConfigDict, list, set)) else value
    if type(value) is ConfigDict and value in meter.inherited:
        meter.inherited.add(copied)
    return copied


def _deepcopy(meter: Meter, value: Any) -> Any:
    meter.weigh(value)
    copied = copy_value(value)
    if type(value) is ConfigDict and value in meter.inherited:
        meter.inherited.add(copied)
    return copied


def _of_paths(function: Callable[..., Any]) -> Function:
    def of_paths(meter: Meter, *parts: str) -> Any:
        meter.charge_text(sum(map(len, parts)) << 2)  # they go through the text several times
        return function(*parts)

    return of_paths


IMPORTED: dict[str, Function] = {
    "copy.copy": _copy,
    "copy.deepcopy": _deepcopy,
    "math.ceil": lambda meter, value: math.ceil(value),
    "math.exp": lambda meter, value: math.exp(value),
    "math.floor": lambda meter, value: math.floor(value),
    "math.log": lambda meter, *values: math.log(*values),
    "math.sqrt": lambda meter, value: math.sqrt(value),
    "os.path.basename": _of_paths(posixpath.basename),
    "os.path.dirname": _of_paths(posixpath.dirname),
    "os.path.join": _of_paths(posixpath.join),
    "os.path.splitext": _of_paths(posixpath.splitext),
}
"""Functions of the standard library that a config may import and call by these names: they only compute."""

CONSTANTS: dict[str, float] = {"math.pi": math.pi, "math.e": math.e, "math.inf": math.inf, "math.nan": math.nan}
