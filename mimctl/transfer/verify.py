"""What the bytes of a finished file must be: its length, its SHA-256 or the first digits of it, its MD5."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from mimctl.errors import IntegrityError

_DIGITS = re.compile(r"[0-9a-f]{6,64}")
_MD5 = re.compile(r"[0-9a-f]{32}")

Digests: TypeAlias = dict[str, str]
"""Hashes of one file by their kind (`sha256`, `md5`), in lower-case hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Length in bytes, SHA-256 (whole, or its first 6 to 63 digits) and MD5 in lower-case hex; None is not checked.

    MD5 is what older data sets were published with: it tells damaged bytes, not bytes that were made to deceive.
    """

    sha256: str | None = None
    sha256_prefix: str | None = None
    md5: str | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        for digits in (self.sha256, self.sha256_prefix):
            if digits is not None and not _DIGITS.fullmatch(digits):
                raise ValueError(f"not the hex digits of a SHA-256: {digits!r}")
        if self.sha256 is not None and len(self.sha256) != 64:
            raise ValueError(f"a SHA-256 has 64 digits, not {len(self.sha256)}")
        if self.md5 is not None and not _MD5.fullmatch(self.md5):
            raise ValueError(f"not the hex digits of an MD5: {self.md5!r}")

    @property
    def has_hash(self) -> bool:
        """Return whether any digits of a hash are known."""
        return bool(self.kinds)

    def joined(self, *, sha256: str | None, size: int | None) -> Expected:
        """Return what is expected with what somebody else tells, where it is not known yet."""
        return replace(self, sha256=self.sha256 or sha256, size=self.size if self.size is not None else size)

    @property
    def kinds(self) -> list[str]:
        """Return the names of the hashes that are checked."""
        has_sha256 = self.sha256 is not None or self.sha256_prefix is not None
        return ["sha256"] * has_sha256 + ["md5"] * (self.md5 is not None)

    def problem(self, path: Path, shown: str, digests: Digests | None = None) -> IntegrityError | None:
        """Return what is wrong with the file at `path` (which came from `shown`), or None.

        `digests` are hashes of the file that are known already; those that are computed here are put there.
        """
        known = {} if digests is None else digests
        found_size = path.stat().st_size
        if self.size is not None and found_size != self.size:
            return wrong_length(shown, expected=self.size, found=found_size)
        expected = self.sha256 or self.sha256_prefix
        if expected is not None:
            found = known["sha256"] = known.get("sha256") or sha256_of(path)
            if not (found.startswith(expected) and found.startswith(self.sha256_prefix or "")):
                return _wrong_hash(shown, "sha256", f"{expected}{'' if self.sha256 else '…'}", found)
        if self.md5 is not None:
            found = known["md5"] = known.get("md5") or md5_of(path)
            if found != self.md5:
                return _wrong_hash(shown, "md5", self.md5, found)
        return None


def _wrong_hash(shown: str, kind: str, expected: str, found: str) -> IntegrityError:
    width = len(kind) + len(" expected")
    return IntegrityError(
        f"the file from `{shown}` is not the one that was published",
        code="hash-mismatch",
        causes=[f"{kind} expected {expected}", f"{f'{kind} found':{width}} {found}"],
        hints=["try again; if it stays so, the server or something on the way serves another file"],
        details={"expected": expected.rstrip("…"), "found": found},
    )


def wrong_length(shown: str, *, expected: int, found: int) -> IntegrityError:
    """Return the error for a file of another length than its index says."""
    return IntegrityError(
        f"the file from `{shown}` has the wrong length",
        code="length-mismatch",
        causes=[f"expected {expected} bytes, found {found}"],
        hints=["try again; if it stays so, the server or something on the way serves another file"],
        details={"expected": expected, "found": found},
    )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in lower-case hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def md5_of(path: Path) -> str:
    """Return the MD5 of a file in lower-case hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
