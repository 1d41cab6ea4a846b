"""The methods that a config may call on its own dicts, lists, tuples, sets and strings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mimctl.config.language.limits import Meter
from mimctl.config.language.operators import format_text
from mimctl.config.values import ConfigDict

Method = Callable[..., Any]
_ABSENT: Any = object()


def _dict_update(meter: Meter, held: ConfigDict, *args: Any, **kwargs: Any) -> None:
    place = (meter.file, meter.line)
    for source in (*args, kwargs):
        meter.charge(1 + len(source) + (len(held) >> 4))
        if not isinstance(source, dict):
            if held in meter.inherited:
                raise TypeError("only a dict can be merged into what a base defines")
            meter.weigh(source)
        pairs = dict(source)
        places = source._places if isinstance(source, ConfigDict) else {}
        if held in meter.inherited:
            meter.weigh(pairs)
            meter.inherited.update(held, pairs, places, place)
            continue
        dict.update(held, pairs)
        held.mark({key: places.get(key, place) for key in pairs})


def _dict_merge(meter: Meter, held: ConfigDict, other: ConfigDict) -> None:
    if held not in meter.inherited:
        raise AttributeError("a dict that the file itself makes has no `merge`, only one of its base has")
    meter.weigh(held)
    meter.weigh(other)
    meter.inherited.merge(held, other)


def _dict_pop(meter: Meter, held: ConfigDict, key: Any, default: Any = _ABSENT) -> Any:
    meter.weigh_key(key)
    if held in meter.inherited and default is _ABSENT:
        default = None  # as MMEngine has it there
    return held.pop(key) if default is _ABSENT else held.pop(key, default)


def _dict_setdefault(meter: Meter, held: ConfigDict, key: Any, default: Any = None) -> Any:
    meter.weigh_key(key)
    if key not in held:
        _dict_update(meter, held, {key: default})
    return held[key]


def _dict_clear(meter: Meter, held: ConfigDict) -> None:
    meter.inherited.settle()
    held.clear()


def _dict_get(meter: Meter, held: ConfigDict, key: Any, default: Any = None) -> Any:
    meter.weigh_key(key)
    return held.get(key, default)


def _dict_copy(meter: Meter, held: ConfigDict) -> ConfigDict:
    meter.charge(len(held))
    if held not in meter.inherited:
        return held.copy()
    meter.weigh(held)
    made = meter.inherited.copy(held)
    meter.inherited.add(made)
    return made


def _counted(function: Callable[[Any], Any]) -> Method:
    def method(meter: Meter, held: Any) -> Any:
        meter.charge(1 + len(held))
        return function(held)

    return method


def _list_extend(meter: Meter, held: list[Any], values: Any) -> None:
    meter.charge(1 + len(values))
    held.extend(list(values))


def _list_find(name: str) -> Method:
    def method(meter: Meter, held: Any, value: Any) -> Any:
        meter.weigh(held)
        meter.weigh(value)
        return getattr(held, name)(value)

    return method


def _list_insert(meter: Meter, held: list[Any], index: int, value: Any) -> None:
    meter.charge(1 + (len(held) >> 6))
    held.insert(index, value)


def _list_pop(meter: Meter, held: list[Any], index: int = -1) -> Any:
    meter.charge(1 if index == -1 else 1 + (len(held) >> 6))
    return held.pop(index)


def _list_sort(meter: Meter, held: list[Any], *, reverse: bool = False) -> None:
    meter.weigh(held)
    held.sort(reverse=reverse)


def _text(name: str) -> Method:
    function = getattr(str, name)

    def method(meter: Meter, held: str, *args: Any, **kwargs: Any) -> Any:
        meter.charge_text(len(held) + sum(len(arg) for arg in args if isinstance(arg, str)))
        return function(held, *args, **kwargs)

    return method


def _padded(name: str) -> Method:
    function = getattr(str, name)

    def method(meter: Meter, held: str, width: int, *args: Any) -> Any:
        meter.charge_text(max(width, len(held)))
        return function(held, width, *args)

    return method


def _replace(meter: Meter, held: str, old: str, new: str, count: int = -1) -> str:
    meter.charge_text((len(held) + 1) * (1 + len(new)))
    return held.replace(old, new, count)


def _join(meter: Meter, held: str, parts: Any) -> str:
    meter.charge(len(parts))
    found = list(parts)
    meter.charge_text(sum(len(part) + len(held) for part in found))
    return held.join(found)


def _split(name: str) -> Method:
    function = getattr(str, name)

    def method(meter: Meter, held: str, *args: Any, **kwargs: Any) -> Any:
        meter.charge(1 + len(held))
        return function(held, *args, **kwargs)

    return method


def _format(meter: Meter, held: str, *args: Any, **kwargs: Any) -> str:
    return format_text(meter, held, args, kwargs)


def _set_method(name: str) -> Method:
    function = getattr(set, name)

    def method(meter: Meter, held: set[Any], *args: Any) -> Any:
        meter.charge(1 + len(held))
        for each in args:
            meter.weigh(each)
            for key in each if isinstance(each, (list, tuple, set)) and name != "add" else (each,):
                meter.weigh_key(key)
        return function(held, *args)

    return method


_DICT: dict[str, Method] = {
    "clear": _dict_clear,
    "copy": _dict_copy,
    "get": _dict_get,
    "items": _counted(lambda held: list(held.items())),
    "keys": _counted(list),
    "merge": _dict_merge,
    "pop": _dict_pop,
    "setdefault": _dict_setdefault,
    "update": _dict_update,
    "values": _counted(lambda held: list(held.values())),
}
_LIST: dict[str, Method] = {
    "append": lambda meter, held, value: held.append(value),
    "clear": lambda meter, held: held.clear(),
    "copy": _counted(list),
    "count": _list_find("count"),
    "extend": _list_extend,
    "index": _list_find("index"),
    "insert": _list_insert,
    "pop": _list_pop,
    "remove": _list_find("remove"),
    "reverse": _counted(lambda held: held.reverse()),
    "sort": _list_sort,
}
_TUPLE: dict[str, Method] = {"count": _list_find("count"), "index": _list_find("index")}
_SET: dict[str, Method] = {
    "add": _set_method("add"),
    "copy": _counted(set),
    "discard": _set_method("discard"),
    "union": _set_method("union"),
    "update": _set_method("update"),
}
_STR: dict[str, Method] = {
    **{
        name: _text(name)
        for name in [
            "capitalize",
            "casefold",
            "count",
            "endswith",
            "find",
            "index",
            "isalnum",
            "isalpha",
            "isdecimal",
            "isdigit",
            "isidentifier",
            "islower",
            "isnumeric",
            "isspace",
            "istitle",
            "isupper",
            "lower",
            "lstrip",
            "partition",
            "removeprefix",
            "removesuffix",
            "rfind",
            "rindex",
            "rpartition",
            "rstrip",
            "startswith",
            "strip",
            "swapcase",
            "title",
            "upper",
        ]
    },
    **{name: _padded(name) for name in ("center", "ljust", "rjust", "zfill")},
    **{name: _split(name) for name in ("split", "rsplit", "splitlines")},
    "format": _format,
    "join": _join,
    "replace": _replace,
}

METHODS: dict[type, dict[str, Method]] = {
    ConfigDict: _DICT,
    list: _LIST,
    tuple: _TUPLE,
    set: _SET,
    str: _STR,
}
