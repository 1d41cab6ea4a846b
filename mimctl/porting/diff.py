"""Shows what porting changes as a unified diff, as `git apply` and `patch` take it."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from mimctl.porting.rewrite import Ported

_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def unified(ported: Iterable[Ported], folder: Path) -> str:
    """Return the changes of files as one diff, with names relative to `folder`; line ends are those of the files."""
    return "".join(part for each in ported for part in _diff(each, folder))


def _diff(ported: Ported, folder: Path) -> list[str]:
    before, after = (_LINES.findall(text) for text in (ported.before, ported.after))
    path = Path(ported.path)
    path = path.relative_to(folder) if path.is_relative_to(folder) else path
    name = path.as_posix().lstrip("/")
    parts = []
    for line in difflib.unified_diff(before, after, _quoted(f"a/{name}"), _quoted(f"b/{name}")):
        has_end = line.endswith(("\n", "\r"))
        parts.append(line if has_end else f"{line}\n\\ No newline at end of file\n")
    return parts


def _quoted(name: str) -> str:
    """Return a file's name as git writes it: one with control characters must not look like further lines of a diff."""
    if name.isprintable() and not set(name) & {'"', "\\"}:
        return name
    plain = (f"\\{byte:03o}" if byte < 32 or byte > 126 or byte in b'"\\' else chr(byte) for byte in os.fsencode(name))
    return f'"{"".join(plain)}"'
