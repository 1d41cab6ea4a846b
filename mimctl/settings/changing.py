"""Change the user's settings file: one value set or taken out, comments and other lines stay."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from mimctl.errors import Origin, UsageError
from mimctl.settings.keys import key_of, known, read_value


def set_value(name: str, values: Sequence[str], *, home: Path) -> Path:
    """Write one value into the user's config.toml (comments and other lines stay) and return the file.

    `mirrors.<host>` sets one mirror, `clusters.<name>.<key>` one default of a cluster. Raises UsageError[settings] for
    an unknown name or a value of the wrong kind.
    """
    key = key_of(known(name))
    table, last = _place(name)
    if len(values) > 1 and not key.many:
        raise UsageError(f"`{name}` takes one value, got {len(values)}", code="settings")
    if name.startswith("mirrors."):
        value: object = values[0]
    else:
        value = read_value(name, list(values) if key.many else values[0], Path.cwd(), Origin(file=name), UsageError)
    path = home / "config.toml"
    _write(path, _with(_without(path, name), table, f"{last} = {_toml(value)}"))
    return path


def _place(name: str) -> tuple[str, str]:
    """Return the table that a setting stands in ("": none) and its key there, quoted where TOML wants it."""
    if name == "home":
        raise UsageError("the folder of the settings is set by `MIMCTL_HOME`", code="settings")
    first, _, rest = name.partition(".")
    if first == "mirrors":
        if not rest:
            raise UsageError("name the host: `mimctl settings set mirrors.HOST ADDRESS`", code="settings")
        return first, f'"{rest}"'
    if first == "clusters":
        cluster, _, key = rest.partition(".")
        if not cluster or not key:
            raise UsageError("name what: `mimctl settings set clusters.NAME.partition gpu`", code="settings")
        return f"{first}.{cluster}", key
    return "", name


def _with(lines: list[str], table: str, line: str) -> list[str]:
    """Return the lines of a settings file and one more, in its table."""
    heads = [text.strip().replace('"', "").replace("'", "").replace(" ", "") for text in lines]
    # Plain keys must stand above the first table.
    root = next((number for number, text in enumerate(heads) if text.startswith("[")), len(lines))
    if table and any(text.startswith(f"{table}.") for text in heads[:root]):
        line, table = f"{table}.{line}", ""  # a table cannot be defined a second time
    if not table:
        return [*lines[:root], line, *lines[root:]]
    at = next((number + 1 for number, text in enumerate(heads) if text.startswith(f"[{table}]")), 0)
    return [*lines[:at], line, *lines[at:]] if at else [*lines, *([""] if lines else []), f"[{table}]", line]


def unset_value(name: str, *, home: Path) -> tuple[Path, bool]:
    """Take one value out of the user's config.toml; return the file and whether it was there.

    Works on unknown names too: that is how a file that has one is mended.
    """
    path = home / "config.toml"
    if not path.is_file():
        return path, False
    before = path.read_text(encoding="utf-8").splitlines()
    kept = _without(path, name)
    if kept != before:
        _write(path, kept)
    return path, kept != before


def _without(path: Path, name: str) -> list[str]:
    """Return the lines of a settings file without those that set `name`, a list over several lines included."""
    if not path.is_file():
        return []
    kept: list[str] = []
    table, lines = "", path.read_text(encoding="utf-8").splitlines()
    while lines:
        line = lines.pop(0)
        if line.lstrip().startswith("["):
            table = line.partition("#")[0].strip().strip("[]").strip() + "."
        head = (table + line.partition("=")[0].strip()).replace('"', "").replace("'", "")
        if "=" in line and (head == name or head.startswith(f"{name}.")):
            value = line
            while lines and not _is_toml(value):
                value += "\n" + lines.pop(0)
            continue
        kept.append(line)
    return kept


def _is_toml(text: str) -> bool:
    import tomllib

    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _write(path: Path, lines: list[str]) -> None:
    text = "\n".join(lines) + "\n" if lines else ""
    if not _is_toml(text):  # never leave a file that mimctl cannot read
        raise UsageError(f"`{path}` holds this in a form that only an editor can change", code="settings")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    is_private = _SECRET.search(text) is not None
    mode = 0o600 if is_private else path.stat().st_mode & 0o777 if path.is_file() else 0o666
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)


_SECRET = re.compile(r"://[^/\s\"']*@|://[^\s\"']*\?")
"""A user, password or token in an address: the file that holds one is the user's alone."""


def _toml(value: object) -> str:
    import json

    if isinstance(value, tuple):
        return f"[{', '.join(_toml(each) for each in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    # A JSON string is a TOML basic string as well.
    return str(value) if isinstance(value, int | float) else json.dumps(str(value), ensure_ascii=False)
