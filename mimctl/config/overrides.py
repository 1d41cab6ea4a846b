"""Overrides by dotted path: read off `key=value` text and put into a config, knowing which keys no file has."""

from __future__ import annotations

import ast
import re
from typing import Any

from mimctl.config.evaluate import Interpreter
from mimctl.config.limits import origin_of
from mimctl.config.merge import merge
from mimctl.config.templates import Templates
from mimctl.config.values import DELETE, ConfigDict, Place, copy_value, wrap
from mimctl.errors import ConfigError, nearest

CFG_OPTIONS: Place = ("--cfg-options", 0)
_WORDS = {"true": True, "false": False, "none": None}
_KEY = re.compile(r"[^\s.=]+(\.[^\s.=]+)*")


def parse_override(text: str) -> tuple[str, Any]:
    """Read `a.b.0=value`: literals as in Python, bare words as strings, `1,2` as a list, `dict(…)` as data.

    Raises ConfigError[bad-override].
    """
    key, equals, value = text.partition("=")
    if not equals or not _KEY.fullmatch(key.strip()):
        raise ConfigError(
            f"`{text}` is no override",
            code="bad-override",
            hints=["write `key.path=value`, e.g. `optim_wrapper.optimizer.lr=0.01`"],
            origin=origin_of(CFG_OPTIONS),
        )
    return key.strip(), parse_value(value)


def parse_value(text: str) -> Any:
    """Return the value that a piece of command line text stands for."""
    text = text.strip()
    parts = _split(text)
    if len(parts) > 1:
        return [_parse_one(part) for part in parts if part.strip()]
    return _parse_one(text)


def _parse_one(text: str) -> Any:
    text = text.strip()
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if text[:1] == "[" and text[-1:] == "]":
        return [_parse_one(part) for part in _split(text[1:-1]) if part.strip()]
    if text[:1] == "(" and text[-1:] == ")":
        return tuple(_parse_one(part) for part in _split(text[1:-1]) if part.strip())
    if text.startswith(("{", "dict(")):
        return _evaluate(text)
    if re.match(r"[-+.\d'\"]", text):
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return text
        return value if isinstance(value, (int, float, str)) else text
    return text


def _evaluate(text: str) -> Any:
    """Evaluate `dict(…)` or `{…}` as a config would."""
    name = CFG_OPTIONS[0]
    try:
        node = ast.parse(f"value = {text}").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return text
    interpreter = Interpreter(name, Templates(name, lambda _: None), base=None, read_base=lambda *_: ConfigDict())
    return _displace(interpreter.run_file(node)["value"])


def _displace(value: Any) -> Any:
    if isinstance(value, ConfigDict):
        value.mark(dict.fromkeys(value, CFG_OPTIONS))
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        _displace(item)
    return value


def _split(text: str) -> list[str]:
    """Split at commas that stand outside brackets and quotes."""
    parts, depth, quote, start = [], 0, "", 0
    for index, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


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
        _set(holder, key, value, place)
        return created
    if created:
        dict.__setitem__(holder, key, ConfigDict())
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


def _set(holder: Any, key: Any, value: Any, place: Place) -> None:
    held = holder.get(key) if isinstance(holder, dict) else holder[key]
    if isinstance(value, ConfigDict) and isinstance(held, ConfigDict) and not value.pop(DELETE, False):
        merge(value, held)
    else:
        if isinstance(value, ConfigDict):
            value.pop(DELETE, None)
        _store(holder, key, value)
    if isinstance(holder, ConfigDict):
        holder.mark({key: place})


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
