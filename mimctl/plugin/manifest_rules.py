"""What may stand in a `plugin.toml`: every key, its kind, and what is wrong with a given one (pure)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mimctl.errors import nearest

SCHEMA_VERSION = 1
VERBS = ("train", "test", "infer", "data", "browse", "analyze", "flops", "benchmark", "convert", "publish")
"""What a toolbox can offer; `mimctl <verb> <toolbox>` is dispatched to it."""

RESERVED = frozenset({"engine", "vision", "user", "mimctl", "mmengine", "mmcv", "torch"})
"""Names of scopes that belong to the engine."""

_ENTRY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_WORD = re.compile(r"[A-Za-z][\w-]*")
_SPECIFIER = re.compile(r"\s*(===|~=|==|!=|<=|>=|<|>)\s*[\w.!+*-]+\s*")
_HEADER = re.compile(r"\s*(\[\[?)\s*([\w.\-\" ]+?)\s*\]\]?")
_KEY = re.compile(r"\s*([\w-]+|\"[^\"]*\")\s*=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing that is wrong with a manifest, at a dotted path in it (`verbs.train`, `families.1.name`)."""

    path: str
    message: str
    near: tuple[str, ...] = ()
    is_fatal: bool = True
    """Whether the toolbox cannot be used with it; an unknown key does no harm."""


Rule = Callable[[Any, str], Iterator[Mistake]]


def find_mistakes(data: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield every mistake in the raw tables of a manifest; in another schema that alone is one."""
    found = data.get("schema_version")
    if found != SCHEMA_VERSION or isinstance(found, bool):
        message = f"it has schema version {found!r}, this mimctl reads {SCHEMA_VERSION}"
        yield Mistake(path="schema_version", message=message)
        return
    yield from _unknown(data, _KEYS, "")
    for key in ("name", "summary"):
        if key not in data:
            yield Mistake(path=key, message=f"`{key}` wants a text, got None")
    for key, rule in _KEYS.items():
        if key in data:
            yield from rule(data[key], key)


def line_of(text: str, path: str) -> int | None:
    """Return the 1-based line on which a dotted path of a TOML document is written, else that of its nearest holder."""
    lines = {"": 1}
    table, counts = "", dict[str, int]()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = header[2].replace('"', "").replace(" ", "")
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = f"{table}.{counts[table]}"
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            name = key[1].strip('"')
            lines.setdefault(f"{table}.{name}" if table else name, number)
    while path and path not in lines:
        path = path.rpartition(".")[0]
    return lines[path] if path else None


def _schema(value: Any, path: str) -> Iterator[Mistake]:
    return iter(())  # it was looked at before all others


def _text(value: Any, path: str) -> Iterator[Mistake]:
    if not isinstance(value, str) or not value.strip():
        yield Mistake(path=path, message=f"`{path}` wants a text, got {value!r}")
    elif any(ord(letter) < 32 for letter in value):
        yield Mistake(path=path, message=f"`{path}` wants one line")


def _flag(value: Any, path: str) -> Iterator[Mistake]:
    if not isinstance(value, bool):
        yield Mistake(path=path, message=f"`{path}` wants true or false, got {value!r}")


def _name(value: Any, path: str) -> Iterator[Mistake]:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        message = (
            f"`{path}` wants lower-case letters, digits and `_` (it begins type names: `NAME.Type`), got {value!r}"
        )
        yield Mistake(path=path, message=message)
    elif value in RESERVED:
        yield Mistake(path=path, message=f"`{value}` is a name of the engine's own")


def _words(value: Any, path: str) -> Iterator[Mistake]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        yield Mistake(path=path, message=f"`{path}` wants a list of texts, got {value!r}")
        return
    for number, word in enumerate(value):
        if not _WORD.fullmatch(word):
            yield Mistake(path=path, message=f"`{path}` wants words of letters, digits, `_` and `-`, got {word!r}")
        elif word in RESERVED:
            yield Mistake(path=path, message=f"`{word}` in `{path}` is a name of the engine's own")
        elif word in value[:number]:
            yield Mistake(path=path, message=f"`{path}` names `{word}` twice", is_fatal=False)


def _specifier(value: Any, path: str) -> Iterator[Mistake]:
    if not isinstance(value, str) or not all(_SPECIFIER.fullmatch(each) for each in value.split(",")):
        yield Mistake(path=path, message=f"`{path}` wants versions such as `>=0.1,<0.2`, got {value!r}")


def _verbs(value: Any, path: str) -> Iterator[Mistake]:
    if not isinstance(value, dict):
        yield Mistake(path=path, message=f"`{path}` wants a table, got {value!r}")
        return
    for verb, entry in value.items():
        place = f"{path}.{verb}"
        if not isinstance(entry, str) or not _ENTRY.fullmatch(entry):
            yield Mistake(path=place, message=f"verb `{verb}` wants `module:function`, got {entry!r}")
        elif verb not in VERBS:
            near = tuple(nearest(verb, VERBS, most=1))
            yield Mistake(path=place, message=f"nothing calls a verb `{verb}`", near=near, is_fatal=False)


def _configs(value: Any, path: str) -> Iterator[Mistake]:
    if not isinstance(value, dict):
        yield Mistake(path=path, message=f"`{path}` wants a table, got {value!r}")
        return
    yield from _unknown(value, {"root": _text}, path)
    root = value.get("root", "configs")
    yield from _text(root, f"{path}.root")
    if isinstance(root, str) and (root.startswith(("/", "\\")) or ":" in root or ".." in re.split(r"[/\\]", root)):
        yield Mistake(path=f"{path}.root", message=f"`{path}.root` wants a folder inside the package, got {root!r}")


def _families(value: Any, path: str) -> Iterator[Mistake]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        yield Mistake(path=path, message=f"`{path}` wants tables `[[{path}]]`, got {value!r}")
        return
    keys = {"name": _text, "configs": _text, "paper": _text, "input": _shape}
    for number, family in enumerate(value):
        place = f"{path}.{number}"
        yield from _unknown(family, keys, place)
        for key in ("name", "configs"):
            if key not in family:
                yield Mistake(path=place, message=f"a family wants `{key}`")
        for key, rule in keys.items():
            if key in family:
                yield from rule(family[key], f"{place}.{key}")


def _contract(value: Any, path: str) -> Iterator[Mistake]:
    if not isinstance(value, dict):
        yield Mistake(path=path, message=f"`{path}` wants a table, got {value!r}")
        return
    yield from _unknown(value, {"input": _shape}, path)
    yield from _shape(value.get("input", [1]), f"{path}.input")


def _shape(value: Any, path: str) -> Iterator[Mistake]:
    if not isinstance(value, list) or not value or not all(type(each) is int and each > 0 for each in value):
        yield Mistake(path=path, message=f"`{path}` wants a shape such as [1, 3, 64, 64], got {value!r}")


def _unknown(data: Mapping[str, Any], keys: Mapping[str, object], path: str) -> Iterator[Mistake]:
    for key in data:
        if key not in keys:
            near = tuple(nearest(key, set(keys), most=1))
            where = f"`{path}` has" if path else "a manifest has"
            place = f"{path}.{key}" if path else key
            yield Mistake(path=place, message=f"{where} no key `{key}`", near=near, is_fatal=False)


_KEYS: dict[str, Rule] = {
    "schema_version": _schema,
    "name": _name,
    "summary": _text,
    "aliases": _words,
    "scopes": _words,
    "requires_engine": _specifier,
    "requires_ops": _flag,
    "verbs": _verbs,
    "configs": _configs,
    "families": _families,
    "contract": _contract,
}
"""Every key of a manifest (docs/reference/plugin-manifest.md)."""
KEYS = tuple(_KEYS)
