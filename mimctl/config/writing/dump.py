"""Writes a config as Python text that loads back to the same value."""

from __future__ import annotations

import math
import re
from typing import Any

from mimctl.config.language.carried import is_name, require_carried
from mimctl.config.language.environment import FromEnvironment
from mimctl.config.language.templates import is_template
from mimctl.config.values import LazyReference

_WIDTH = 110
_BRACES = re.compile(r"\{(?=\{)")


def to_python(config: dict[str, Any]) -> str:
    """Return Python source that evaluates to `config`; imported classes are written as imports.

    Raises ConfigError[config-format] for what evaluating it would not give back.
    """
    require_carried(config, "Python")
    names = _import_names(config)
    lines = [_import_line(reference, name) for reference, name in names.items()]
    if lines:
        lines.append("")
    for key, value in config.items():
        lines.append(_Writer(names, brackets="dict" in config).assignment(key, value))
    return "\n".join(lines) + "\n"


def _import_names(config: dict[str, Any]) -> dict[LazyReference, str]:
    """Choose a name for every imported class: its own, or with a number where that is taken."""
    found: dict[LazyReference, str] = {}
    taken = {*config, "dict", "range"}
    for reference in _references(config):
        own = name = (reference.name or reference.module).rpartition(".")[2]
        number = 2
        while name in taken:
            name, number = f"{own}_{number}", number + 1
        taken.add(name)
        found[reference] = name
    return found


def _references(value: Any) -> list[LazyReference]:
    if isinstance(value, LazyReference):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple, set)) else ()
    return list(dict.fromkeys(reference for item in items for reference in _references(item)))


def _import_line(reference: LazyReference, name: str) -> str:
    if reference.name:
        line = f"from {reference.module} import {reference.name}"
        return line if name == reference.name else f"{line} as {name}"
    return f"import {reference.module} as {name}"


class _Writer:
    """Writes values in as few lines as fit the width."""

    def __init__(self, names: dict[LazyReference, str], *, brackets: bool) -> None:
        self.names = names
        self.brackets = brackets

    def assignment(self, key: str, value: Any) -> str:
        """Return `key = value`, over several lines where it is long."""
        return f"{key} = {self.write(value, 0, len(key) + 3)}"

    def write(self, value: Any, indent: int, used: int) -> str:
        """Return the source of `value`; `used` columns of its first line are taken."""
        flat = self.flat(value)
        if len(flat) + indent + used <= _WIDTH or not isinstance(value, (dict, list, tuple)) or not value:
            return flat
        inner = indent + 4
        pad = " " * inner
        if isinstance(value, dict):
            start, end, between = self._dict_style(value)
            parts = []
            for key, item in value.items():
                name = f"{self.flat(key) if between == ': ' else key}{between}"
                parts.append(name + self.write(item, inner, len(name)))
        else:
            start, end = ("[", "]") if isinstance(value, list) else ("(", ")")
            parts = [self.write(item, inner, 0) for item in value]
        return start + "\n" + "".join(f"{pad}{part},\n" for part in parts) + " " * indent + end

    def _dict_style(self, value: dict[Any, Any]) -> tuple[str, str, str]:
        if self.brackets or not all(is_name(key) for key in value):
            return "{", "}", ": "
        return "dict(", ")", "="

    def flat(self, value: Any) -> str:
        """Return the source of `value` on one line."""
        if isinstance(value, dict):
            start, end, between = self._dict_style(value)
            keys = (self.flat(key) if between == ": " else key for key in value)
            return (
                start
                + ", ".join(f"{k}{between}{self.flat(v)}" for k, v in zip(keys, value.values(), strict=True))
                + end
            )
        if isinstance(value, list):
            return "[" + ", ".join(map(self.flat, value)) + "]"
        if isinstance(value, tuple):
            return "(" + ", ".join(map(self.flat, value)) + (",)" if len(value) == 1 else ")")
        if isinstance(value, set):
            return "{" + ", ".join(sorted(map(self.flat, value))) + "}" if value else "{*()}"
        if isinstance(value, float) and not math.isfinite(value):
            return "(1e999 - 1e999)" if math.isnan(value) else "1e999" if value > 0 else "-1e999"
        if isinstance(value, LazyReference):
            return self.names[value]
        if isinstance(value, FromEnvironment):
            return repr(value)
        if isinstance(value, str) and is_template(value):
            quote = repr(value)[-1]
            return _BRACES.sub("{" + f"{quote} + {quote}", repr(value))
        return repr(value)
