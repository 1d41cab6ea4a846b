"""`{{ … }}` inside configs: the file's own name, environment variables with a default, values of the base."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable
from typing import Any

_TEMPLATE = re.compile(r"\{\{\s*(?:(file\w+)|\$(\w+)\s*:\s*([^\s{}]*)|_base_\.([\w.]+))\s*\}\}")
_SINGLE = re.compile(r"\{\s*(?:(file\w+)|\$(\w+)\s*:\s*([^\s{}]*)|(?!))\s*\}")
_BARE_ENV = re.compile(
    r"""(?P<skip>'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|\#[^\n]*)"""
    r"""|\{\{\s*(?P<env>\$\w+\s*:\s*[^\s{}'"]*)\s*\}\}""",
    re.DOTALL,
)
_TEXT_BASE = re.compile(r"""(?P<quote>["']?)(?P<body>\{\{\s*(?:_base_\.[\w.]+)\s*\}\})(?P=quote)""")

_TEXT_ENV = re.compile(
    r"""(?P<before>[:\[,-][ \t]*)(?P<body>\{\{\s*\$\w+\s*:\s*[^\s{}'"]*\s*\}\})(?=[ \t]*(?:[\n,\]}]|$))"""
)
_BARE = "\ue000"
"""Goes before a variable that stands without quotes in YAML or JSON: what it holds is read as a value there."""
_WORDS = {"true": True, "false": False, "null": None}

FileFacts = dict[str, str]


def file_facts(path: str) -> FileFacts:
    """Return what `{{ fileDirname }}` and its kin stand for in `path`."""
    folder, name = os.path.split(path)  # the text, no path object: on the path of every load
    stem, suffix = os.path.splitext(name)  # noqa: PTH122
    return {
        "fileDirname": folder,
        "fileBasename": name,
        "fileBasenameNoExtension": stem,
        "fileExtname": suffix,
    }


def quote_bare_environment(text: str) -> str:
    """Quote `{{$NAME:default}}` where it stands outside strings, so that the source can be parsed."""
    return _BARE_ENV.sub(lambda m: m["skip"] or "{{'" + m["env"] + "'}}", text)


def quote_base_references(text: str) -> str:
    """Quote `{{ _base_.x }}` in YAML or JSON text, where it may stand without quotes, and `{{$NAME:default}}` too."""
    quoted = _TEXT_BASE.sub(lambda m: '"' + m["body"] + '"', text)
    return _TEXT_ENV.sub(lambda m: f'{m["before"]}"{_BARE}{m["body"]}"', quoted) if "$" in quoted else quoted


class Templates:
    """Fills templates of one file; remembers which environment variables it read, with what they held.

    `fills` says whether names of the file, and of the environment, are filled in; values of the base always are.
    `conceals` leaves variables that hold something as they are written.
    """

    __slots__ = ("base", "conceals", "environment", "facts", "fills_environment")

    def __init__(
        self,
        path: str,
        base: Callable[[str], Any],
        *,
        fills: tuple[bool, bool] = (True, True),
        conceals: bool = False,
    ) -> None:
        self.facts = file_facts(path) if fills[0] else {}
        self.conceals = conceals
        self.fills_environment = fills[1]
        self.base = base
        self.environment: dict[str, str | None] = {}

    def fill(self, text: str) -> Any:
        """Return `text` with its templates filled; text that is one `{{ _base_.x }}` becomes the value itself."""
        whole = _TEMPLATE.fullmatch(text)
        if whole and whole[4]:
            return self.base(whole[4])
        return _TEMPLATE.sub(self._text, text)

    def fill_formatted(self, text: str) -> str:
        """Fill the constant part of an f-string, where doubled braces have become single ones."""
        return _SINGLE.sub(self._text, text)

    def fill_literal(self, text: str) -> Any:
        """Return the value of an unquoted `{{ $NAME:default }}`: a literal where it reads as one, else the text."""
        filled = self.fill("{{" + text + "}}")
        try:
            return ast.literal_eval(filled)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return filled

    def _text(self, match: re.Match[str]) -> str:
        fact, variable, default = match[1], match[2], match[3]
        if fact:
            return self.facts.get(fact, match[0])
        if variable:
            return self._environment(variable, default) if self.fills_environment else match[0]
        return str(self.base(match[4]))

    def _environment(self, variable: str, default: str) -> str:
        held = os.environ.get(variable)
        self.environment[variable] = held
        if held and self.conceals:
            return f"{{{{${variable}:{default}}}}}"
        value = default if held is None else held
        if not value:
            raise KeyError(f"environment variable {variable}, which has no default here")
        return value


class NoTemplates(Templates):
    """The text of pure-Python configs is what it says: nothing is filled in, as MMEngine has it."""

    __slots__ = ()

    def fill(self, text: str) -> Any:
        """Return `text`."""
        return text

    def fill_formatted(self, text: str) -> str:
        """Return `text`."""
        return text


def is_template(text: str) -> bool:
    """Say whether loading `text` as part of a config would fill something into it."""
    return _TEMPLATE.search(text) is not None


def look_up(base: dict[str, Any] | None, dotted: str) -> Any:
    """Return what `_base_.a.0.b` stands for; raise KeyError where the base has no such value."""
    value: Any = base or {}
    for part in dotted.split("."):
        if isinstance(value, (list, tuple)) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            raise KeyError(f"_base_.{dotted}")
    return value


def fill_all(value: Any, templates: Templates) -> Any:
    """Return parsed YAML or JSON with the templates of all its strings filled, dicts and lists in place."""
    if isinstance(value, str):
        if value.startswith(_BARE) and "{{" in value:
            found = templates.fill_literal(value.removeprefix(_BARE)[2:-2])
            return _WORDS.get(found, found) if isinstance(found, str) else found
        return templates.fill(value) if "{{" in value else value
    if isinstance(value, tuple):
        return tuple(fill_all(item, templates) for item in value)
    pairs = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    for key, item in pairs:
        filled = fill_all(item, templates)
        if filled is not item:
            dict.__setitem__(value, key, filled) if isinstance(value, dict) else value.__setitem__(key, filled)
    return value
