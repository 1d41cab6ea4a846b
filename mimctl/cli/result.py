"""What a command hands to the one place that prints: plain data, and its human rendering as lines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple


class Styled(NamedTuple):
    """A line of text with one style (`bold`, `green`, `yellow`, `red`, `dim`), used only where colour is on."""

    text: str
    style: str


class Code(NamedTuple):
    """Source text of a language (`python`, `yaml`, `json`), highlighted where colour is on."""

    text: str
    language: str


Line = str | Styled | Code

_ANSI = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
_UNSEEN = (*range(127, 160), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
"""DEL and the second row of control characters; marks of direction (UAX 9), separators of lines and paragraphs."""
_CONTROLS = dict.fromkeys((*range(9), *range(11, 32), *_UNSEEN), "�")
_ESCAPED = {code: f"\\u{code:04x}" for code in _UNSEEN}


def tame(text: str) -> str:
    """Return text that a terminal only shows: names and messages of others must not move the cursor or clear it."""
    return _ANSI.sub("", text).translate(_CONTROLS)


def to_json(data: object) -> str:
    """Return an indented JSON document that a terminal only shows: what it might obey is escaped, not changed."""
    import json

    text = json.dumps(data, indent=2, ensure_ascii=False, default=str).translate(_ESCAPED)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a file's name that is no text; JSON has an escape for its bytes
        text = re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)
    return text


class Result(NamedTuple):
    """The outcome of a command.

    `data` is the JSON document without its envelope; `lines` the human text for stdout; `quiet` what is left of it
    with `-q` (bare data, nothing for most commands); `notes` go to stderr before it, `closing` after it. `document` is
    JSON text that takes the place of `data` and its envelope where another program dictates the form.
    """

    data: Mapping[str, object] = MappingProxyType({})
    lines: Sequence[Line] = ()
    quiet: Sequence[Line] = ()
    notes: Sequence[Line] = ()
    closing: Sequence[Line] = ()
    document: str | None = None
    exit_code: int = 0


def table(rows: Sequence[Sequence[object]], head: Sequence[str] = ()) -> list[Line]:
    """Return rows as aligned columns two blanks apart, nothing cut; `head` is bold."""
    cells = [[str(cell) for cell in row] for row in ([head, *rows] if head else rows)]
    if not cells:
        return []
    widths = [max(len(row[column]) for row in cells if column < len(row)) for column in range(max(map(len, cells)))]
    texts = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in cells]
    return [Styled(texts[0], "bold"), *texts[1:]] if head else list(texts)
