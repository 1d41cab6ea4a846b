"""What a format can carry: a value that loading would not give back is an error that names its path, not a loss."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Literal

from mimctl.config.language.environment import FromEnvironment
from mimctl.config.language.limits import MAX_INT_BITS
from mimctl.config.language.templates import is_template
from mimctl.config.values import LazyReference
from mimctl.errors import ConfigError

Format = Literal["Python", "YAML", "JSON"]

HALF_PAIR = re.compile("[\ud800-\udfff]")
_SCALARS = (str, bool, int, float, type(None))
_CONTAINERS: dict[Format, tuple[type, ...]] = {
    "Python": (list, tuple, set),
    "YAML": (list, tuple, set),
    "JSON": (list,),
}
_BETTER = {
    "Python": "name it otherwise, or put it into a dict",
    "YAML": "dump it as `.py`, which can carry more",
    "JSON": "dump it as `.py` or `.yaml`, which can carry more",
}
_MOST_NAMED = 5


def require_carried(config: dict[str, Any], kind: Format) -> None:
    """Raise one ConfigError[config-format] that names the first few values that a format cannot carry."""
    lost = [*_lost_names(config, kind), *_lost(config, kind, "")]
    if not lost:
        return
    path, why = lost[0]
    others = [f"also `{where}`: {reason}" for where, reason in lost[1:_MOST_NAMED]]
    rest = [f"and {len(lost) - _MOST_NAMED} more"] if len(lost) > _MOST_NAMED else []
    raise ConfigError(
        f"{kind} cannot carry {f'`{path}`' if path else 'this'}: {why}",
        code="config-format",
        causes=[*others, *rest],
        hints=[_BETTER[kind]],
    )


def is_name(key: Any) -> bool:
    """Say whether a key can stand as a name: in its NFKC form, as Python reads names, and no word of the language."""
    is_plain = isinstance(key, str) and unicodedata.normalize("NFKC", key) == key
    return is_plain and key.isidentifier() and not keyword.iskeyword(key) and key != "__debug__"


def _lost_names(config: Any, kind: Format) -> Iterator[tuple[str, str]]:
    """Yield the top-level keys that loading would read otherwise."""
    for key, value in config.items() if isinstance(config, dict) else ():
        if key == "_base_":
            yield "_base_", "loading it would look for a base"
        elif kind != "Python":
            continue
        elif not is_name(key) or key.startswith("__"):
            yield str(key), "this cannot be a name in a Python config"
        elif isinstance(value, LazyReference):
            yield key, "an import by itself is no value of a config"
        elif key == "range" and _has_range(config):
            yield key, "a range cannot be written beside it"


def _lost(value: Any, kind: Format, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            inner = f"{path}.{key}" if path else str(key)
            if not isinstance(key, str) and kind == "JSON":
                yield inner, f"its keys are text, and this one is a {type(key).__name__}"
            elif isinstance(key, (LazyReference, range)):
                yield inner, f"a {type(key).__name__} cannot be a key"
            else:
                yield from _lost(key, kind, inner)
            yield from _lost(item, kind, inner)
    elif type(value) in _CONTAINERS[kind]:
        for index, item in enumerate(value):
            yield from _lost(item, kind, f"{path}.{index}" if path else str(index))
    else:
        why = _why_lost(value, kind)
        if why:
            yield path, why


def _why_lost(value: Any, kind: Format) -> str | None:
    """Return why a format cannot carry a value that holds no others, or None where it can."""
    held = type(value)
    if held is FromEnvironment:
        return None
    if held is LazyReference and kind != "JSON":
        return None if _names_something(value) else f"`{value}` is no name of a module"
    if held is range and kind == "Python":
        return None
    if held not in _SCALARS:
        return f"a {held.__name__} has no form there"
    if held is int and value.bit_length() > MAX_INT_BITS:
        return "no config may hold an integer as large as this"
    if held is str and kind != "Python" and is_template(value):
        return "loading it would fill in `{{ … }}`"
    if held is str and kind == "YAML" and HALF_PAIR.search(value):
        return "half of a surrogate pair has no form there"
    return None


def _names_something(reference: LazyReference) -> bool:
    parts = [*reference.module.lstrip(".").split("."), *([reference.name] if reference.name else [])]
    return all(map(is_name, parts)) and not (reference.module.startswith(".") and not reference.name)


def _has_range(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_range, value.values()))
    return isinstance(value, range) or (isinstance(value, (list, tuple)) and any(map(_has_range, value)))
