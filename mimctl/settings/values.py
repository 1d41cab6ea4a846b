"""How the value of a setting is read, from a file, a variable or the command line."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class Key(NamedTuple):
    """One setting: how its value is read, its environment variable, one line on what it is for."""

    read: Callable[[Any, Path], Any]
    meaning: str
    variable: str | None = None
    many: bool = False
    is_harmless: bool = False
    """A project's file may set it without asking: it names no place that anything comes from or goes to."""


def read_text(value: Any, _folder: Path) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError("wants a text")
    return value


def read_path(value: Any, folder: Path) -> Path:
    """Return a path, from `folder` on."""
    return folder / Path(read_text(value, folder)).expanduser()


def read_interpreter(value: Any, folder: Path) -> Path:
    """Return the path of an interpreter or an environment; a bare name that lies not here is one on PATH."""
    path = read_path(value, folder)
    text = read_text(value, folder)
    return path if Path(text).name != text or text in (".", "..") or path.exists() else Path(text)


def read_flag(value: Any, _folder: Path) -> bool:
    """Return a truth value, as a word too."""
    if isinstance(value, bool):
        return value
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise ValueError("wants true or false")


def read_addresses(value: Any, folder: Path) -> tuple[str, ...]:
    """Return addresses; those that are paths begin at `folder`."""
    words = value.split() if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not all(isinstance(each, str) and each for each in words):
        raise ValueError("wants an address or a list of addresses")
    return tuple(each if "://" in each else str(folder / Path(each).expanduser()) for each in words)


def read_mapping(value: Any, _folder: Path) -> dict[str, str]:
    """Return a table of texts."""
    if not isinstance(value, dict) or not all(isinstance(each, str) for pair in value.items() for each in pair):
        raise ValueError("wants a table of host = replacement")
    return dict(value)


def read_number(kind: type[int] | type[float], least: float) -> Callable[[Any, Path], float]:
    """Return a reader of numbers of a kind, `least` or more."""

    def read(value: Any, _folder: Path) -> float:
        if isinstance(value, bool):
            raise ValueError("wants a number")
        number = kind(value)
        if number < least:
            raise ValueError(f"wants a number >= {least}")
        return number

    return read


def read_choice(*words: str) -> Callable[[Any, Path], str]:
    """Return a reader of one of some words."""

    def read(value: Any, _folder: Path) -> str:
        if value not in words:
            raise ValueError(f"wants one of {', '.join(words)}")
        return str(value)

    return read


def read_lines(value: Any, folder: Path) -> tuple[str, ...]:
    """Return a text, or a list of texts, as lines."""
    lines = [value] if isinstance(value, str) else value
    if not isinstance(lines, list | tuple) or not lines:
        raise ValueError("wants a text or a list of texts")
    return tuple(read_text(each, folder) for each in lines)


def read_words(value: Any, folder: Path) -> str:
    """Return words as a shell would read them, in one text."""
    text = read_text(value, folder)
    try:
        shlex.split(text)
    except ValueError as err:
        raise ValueError(f"is not quoted as a shell would read it ({err})") from err
    return text


def read_duration(value: Any, folder: Path) -> str:
    """Return a duration in one of Slurm's forms; a number counts minutes."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else read_text(value, folder)
