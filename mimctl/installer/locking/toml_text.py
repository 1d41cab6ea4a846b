"""Write a lock file's data as TOML, the same bytes for the same data (the standard library only reads TOML)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(data: Mapping[str, Any]) -> str:
    """Return `data` as a TOML document: keys in their order, tables and arrays of tables of the top level as sections.

    Values are texts, whole numbers, truth values, lists and mappings; what is None is left out.
    """
    lines = [f"{_key(key)} = {_value(value)}" for key, value in data.items() if not _is_section(value)]
    for key, value in data.items():
        if isinstance(value, Mapping):
            lines += _table(_key(key), value)
        elif _is_section(value):
            for each in value:
                lines += ["", f"[[{_key(key)}]]", *_body(_key(key), each)]
    return "\n".join(lines).lstrip("\n") + "\n"


def _table(name: str, data: Mapping[str, Any]) -> list[str]:
    if data and all(isinstance(value, Mapping) for value in data.values()):
        return [line for key, value in data.items() for line in _table(f"{name}.{_key(key)}", value)]
    return ["", f"[{name}]", *_body(name, data)]


def _body(name: str, data: Mapping[str, Any]) -> list[str]:
    """Return the lines below the head of a section; its table `tool` is a section of its own, all else is in line."""
    sections = {key: value for key, value in data.items() if key == "tool" and isinstance(value, Mapping)}
    inline = ((key, value) for key, value in data.items() if value is not None and key not in sections)
    lines = [f"{_key(key)} = {_value(value)}" for key, value in inline]
    return lines + [line for key, value in sections.items() for line in _table(f"{name}.{_key(key)}", value)]


def _is_section(value: Any) -> bool:
    is_list = isinstance(value, list | tuple)
    return value is None or isinstance(value, Mapping) or (is_list and bool(value) and isinstance(value[0], Mapping))


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items() if each is not None) + "}"
    return _list(value)


def _list(values: Sequence[Any]) -> str:
    texts = [_value(each) for each in values]
    if not any(isinstance(each, Mapping) for each in values) and sum(map(len, texts)) < 100:
        return f"[{', '.join(texts)}]"
    return "[\n" + "".join(f"    {text},\n" for text in texts) + "]"


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _text(text: str) -> str:
    # A JSON string is a TOML basic string as well, save for DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
