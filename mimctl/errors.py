"""The errors that a person is meant to read: what happened, why, what to type, and where it came from.

Both halves raise them; the command line and the engine's child render them alike (`render`).
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every verb (docs/reference/exit-codes.md)."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NO_COMPATIBLE_BUILD = 3
    NETWORK = 4
    BUG = 101
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a value stands: a file and a 1-based line, or a named place such as `--cfg-options`."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


class MimctlError(Exception):
    """A failure with a stable `code` that `mimctl explain CODE` has a page for.

    `message` says what happened in one line; `causes` why, one fact a line; `hints` what to type next.
    `details` is plain JSON data for `--json` and never holds a secret.
    """

    exit_code: int = ExitCode.FAILED
    default_code: str = "failed"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        causes: tuple[str, ...] | list[str] = (),
        hints: tuple[str, ...] | list[str] = (),
        origin: Origin | None = None,
        exit_code: int | None = None,
        details: dict[str, object] | None = None,
    ) -> None:
        message = r"\n".join(message.splitlines())  # what others wrote may have lines; a message is one
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.causes = tuple(causes)
        self.hints = tuple(hints)
        self.origin = origin
        self.details = details or {}
        if exit_code is not None:
            self.exit_code = exit_code

    def to_dict(self) -> dict[str, object]:
        """Return the error as plain JSON data."""
        return {
            "code": self.code,
            "message": self.message,
            "causes": list(self.causes),
            "hints": list(self.hints),
            "origin": str(self.origin) if self.origin else None,
            "exit_code": int(self.exit_code),
            "details": self.details,
        }


class UsageError(MimctlError):
    """The request cannot be understood: an option, a name on the command line."""

    exit_code = ExitCode.USAGE
    default_code = "usage"


class ConfigError(MimctlError):
    """A config file or an override is wrong; `origin` says where."""

    exit_code = ExitCode.USAGE
    default_code = "config"


class NoCompatibleBuildError(MimctlError):
    """No build in the index fits this environment."""

    exit_code = ExitCode.NO_COMPATIBLE_BUILD
    default_code = "no-compatible-wheel"


class NetworkError(MimctlError):
    """The network is needed, but offline was asked for or the host does not answer."""

    exit_code = ExitCode.NETWORK
    default_code = "network"


class IntegrityError(MimctlError):
    """Downloaded or stored bytes are not what they should be (hash, length, format)."""

    default_code = "hash-mismatch"


class UnsafeFileError(MimctlError):
    """A file was refused because reading it could run code or write outside its place."""

    default_code = "unsafe-checkpoint"


def disk_error(error: OSError, place: object = None) -> MimctlError | None:
    """Return the error for a run that cannot write to `place` (None: what the system names), else None.

    The disk or the quota is full, or writing is forbidden; any other refusal is no mistake of whoever started the run.
    """
    name = place if place is not None else error.filename
    causes = [error.strerror or str(error)]
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hints = [
            "free some space, or give another place: `--work-dir`",
            "keep fewer checkpoints: `default_hooks.checkpoint.max_keep_ckpts=1`",
        ]
        shown = f"to write `{name}`" if name else "on the disk"
        return MimctlError(f"no space left {shown}", code="disk-full", causes=causes, hints=hints)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        hints = ["give a place that you may write to: `--work-dir`"]
        shown = f"`{name}`" if name else "a file"
        return MimctlError(f"no permission for {shown}", code="no-permission", causes=causes, hints=hints)
    return None


def render(error: MimctlError) -> str:
    """Return the error in the project's message grammar, without colour and without a final newline."""
    lines = [f"error[{error.code}]: {error.message}"]
    if error.origin is not None:
        lines.append(f"  --> {error.origin}")
    for number, cause in enumerate(error.causes):
        lines.append(f"  cause: {cause}" if number == 0 else f"         {cause}")
    hints = (*error.hints, f"read more: `mimctl explain {error.code}`")
    lines.append("")
    lines.extend(f"hint: {hint}" for hint in hints)
    return "\n".join(lines)


def nearest(word: str, words: list[str] | tuple[str, ...] | set[str] | frozenset[str], *, most: int = 3) -> list[str]:
    """Return up to `most` of `words` that look like `word`, nearest first.

    Those that differ in case, `_` and `-` alone come before those that look alike (difflib ratio >= 0.6).
    """
    import difflib

    known = sorted(words)
    same = [each for each in known if each != word and _bare(each) == _bare(word)]
    return list(dict.fromkeys([*same, *difflib.get_close_matches(word, known, n=most, cutoff=0.6)]))[:most]


def did_you_mean(names: Iterable[str]) -> list[str]:
    """Return the hint that shows names which may have been meant, in a list that is empty where there are none."""
    shown = " or ".join(f"`{each}`" for each in names)
    return [f"did you mean {shown}?"] if shown else []


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: `1 wheel`, `2 wheels`, `2 toolboxes`."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def distance(left: str, right: str) -> int:
    """Return the number of insertions, deletions, replacements and swaps of neighbours between two words.

    The restricted Damerau-Levenshtein distance.
    """
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        new = [i]
        for j, b in enumerate(right, 1):
            cost = min(row[j] + 1, new[j - 1] + 1, row[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            new.append(cost)
        before, row = row, new
    return row[-1]


def _bare(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")
