"""Values of configs as text and as JSON data, for the verbs of `mimctl config`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from mimctl.errors import nearest

_LONGEST = 300


def plain(value: Any) -> Any:
    """Return a value as JSON data: tuples and sets as lists, references as names, nan and infinity as null."""
    from mimctl.config.language.environment import FromEnvironment  # nobody who completes a word waits for it

    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=repr)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, FromEnvironment):
        return value.shown
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """Yield the dotted path of every leaf below `path`; empty containers are leaves."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(item, dict | list | tuple) for item in value):
        for number, item in enumerate(value):
            yield from leaves(item, f"{path}.{number}" if path else str(number))
    else:
        yield path


def shown(value: Any) -> str:
    """Return a value on one line, its end left out where it is very long."""
    text = repr(bare(value))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def bare(value: Any) -> Any:
    """Return a value of a config as plain dicts, lists and tuples."""
    from mimctl.config.values import unwrap

    return unwrap(value)


def near_key(config: dict[str, Any], path: str) -> list[str]:
    """Return up to three dotted paths of a config that look like one that it does not have."""
    found = set(leaves(config))
    inner = {".".join(each.split(".")[:depth]) for each in found for depth in range(1, each.count(".") + 1)}
    return nearest(path, found | inner)


def text_of(value: Any, kind: str, key: str | None = None) -> str:
    """Return a config, or the part of it at `key`, as text of a kind: py, yaml or json."""
    from mimctl.config.writing.dump import to_python
    from mimctl.config.writing.dump_plain import to_json, to_yaml

    if kind == "json":
        return to_json(value)
    if kind == "yaml":
        return to_yaml(value)
    if key is None:
        return to_python(value)
    name = key.rpartition(".")[2]
    return to_python({name if name.isidentifier() else "value": value})


def json_shown(value: Any) -> tuple[str, str | None]:
    """Return a value as JSON to look at, and what is told where JSON cannot carry it as it is."""
    import json

    from mimctl.errors import ConfigError

    try:
        return text_of(value, "json"), None
    except ConfigError:
        note = "JSON cannot carry tuples, sets, references and infinite numbers: they are shown as lists, text and null"
        return json.dumps(plain(value), indent=1, ensure_ascii=False), note
