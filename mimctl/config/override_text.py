"""Reads overrides as people type them: `a.b.0=value`, with the types that MMEngine's `DictAction` gives such text.

Numbers, `True`, `False` and `None` are that, `1,2` and `[1,2]` lists, `(1,2)` a tuple, everything else is text. What
DictAction cannot read is read as in a config: `dict(…)`, `{…}`. Quotes keep text as it is, blanks too, both of which
DictAction drops; except around brackets: there a shell has left them.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from mimctl.config.language.evaluate import Interpreter
from mimctl.config.language.limits import MAX_DEPTH, Meter, origin_of
from mimctl.config.language.templates import NoTemplates
from mimctl.config.overrides import CFG_OPTIONS
from mimctl.config.values import ConfigDict
from mimctl.errors import ConfigError

_KEY = re.compile(r"[^\s.=]+(\.[^\s.=]+)*")
_MOST_DIGITS = 70
_BEFORE_QUOTES = frozenset({"", ",", "=", ":", *"([{"})
_CLOSING = {"(": ")", "[": "]", "{": "}"}


def parse_override(text: str) -> tuple[str, Any]:
    """Read `a.b.0=value` → (dotted path, value). Raises ConfigError[bad-override]."""
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
    """Return the value that a piece of command line text stands for; raise ConfigError where `dict(…)` is no data."""
    text = text.strip()
    quoted = _unquoted(text)
    if quoted is not None and quoted.strip()[:1] in ("(", "[") and _is_bracketed(quoted.strip()):
        text = quoted.strip()
    if "," in text and _unquoted(text) is None:
        _require_balance(text)
    return _parse(text, 0)


def _parse(text: str, depth: int) -> Any:
    text = text.strip()
    if depth > MAX_DEPTH:
        raise Meter(CFG_OPTIONS[0]).fail(f"values are nested deeper than {MAX_DEPTH}", code="config-limits")
    if _is_bracketed(text) and text[0] in "[(":
        items = [_parse(part, depth + 1) for part in _split(text[1:-1])]
        return items if text[0] == "[" else tuple(items)
    parts = _split(text)
    if len(parts) > 1 or text.endswith(","):
        return [_parse(part, depth + 1) for part in parts]
    return _parse_one(text)


def _require_balance(text: str) -> None:
    depths = [depth for _, _, depth in _depths(text)]
    if depths and (depths[-1] != 0 or min(depths) < 0):
        raise ConfigError(
            f"the brackets of `{text[:200]}` do not match",
            code="bad-override",
            hints=["put text that is to stay as it is into quotes"],
            origin=origin_of(CFG_OPTIONS),
        )


def _parse_one(text: str) -> Any:
    quoted = _unquoted(text)
    if quoted is not None:
        return quoted
    if (text == "{}" or (text[:1] == "{" and ":" in text) or text[:5] == "dict(") and text[-1] in "})":
        return _evaluate(text)
    if len(text) <= _MOST_DIGITS:
        for kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                continue
    words: dict[str, bool] = {"true": True, "false": False}
    return None if text == "None" else words.get(text.lower(), text)


def _unquoted(text: str) -> str | None:
    """Return what stands between the quotes that enclose the whole text; None where none do."""
    if len(text) < 2 or text[0] not in "'\"" or text[-1] != text[0]:
        return None
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None if text[0] in text[1:-1] else text[1:-1]
    return value if isinstance(value, str) else None


def _is_bracketed(text: str) -> bool:
    """Say whether the bracket that a text begins with is closed by its last character."""
    if text[:1] not in _CLOSING or text[-1:] != _CLOSING[text[0]]:
        return False
    return all(depth or index == len(text) - 1 for index, _, depth in _depths(text))


def _split(text: str) -> list[str]:
    """Split at commas that stand outside brackets and quotes; nothing follows a comma at the end."""
    parts, start = [], 0
    for index, char, depth in _depths(text):
        if char == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    last = text[start:]
    return [*parts, last] if last.strip() else parts


def _depths(text: str) -> list[tuple[int, str, int]]:
    """Return index, character and number of open brackets after it, for each character that stands outside quotes."""
    found, depth, quote, before = [], 0, "", ""
    for index, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"" and before in _BEFORE_QUOTES and text.find(char, index + 1) > 0:
            quote = char
        else:
            depth += (char in "([{") - (char in ")]}")
            found.append((index, char, depth))
        before = before if char.isspace() else char
    return found


def _evaluate(text: str) -> Any:
    """Evaluate `dict(…)` or `{…}` as a config would."""
    name = CFG_OPTIONS[0]
    try:
        node = ast.parse(f"value = {text}").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return text
    interpreter = Interpreter(name, NoTemplates(name, lambda _: None), base=None, read_base=lambda *_: ConfigDict())
    return _displace(interpreter.run_file(node)["value"])


def _displace(value: Any) -> Any:
    if isinstance(value, ConfigDict):
        value.mark(dict.fromkeys(value, CFG_OPTIONS))
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        _displace(item)
    return value
