"""Remembers what the files of an index and their sources were, so that building it again reads only what is new.

A file counts as unchanged while its size, its two times (of contents and of inode) and its inode are as they were.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mimctl
from mimctl.errors import MimctlError
from mimctl.site.entry import Entry

_FORMAT = 1
_TICK_NS = 100_000_000
"""A file that changed this shortly before it was looked at may change again without another time."""

Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of the last build of one index."""

    files: str = ""
    """The folder of the wheels."""
    entries: Mapping[str, Entry] = field(default_factory=dict)
    """By the names of wheels."""
    stamps: Mapping[str, Stamp] = field(default_factory=dict)
    """Of files in `files/`, by name."""
    sources: Mapping[str, tuple[Stamp, str]] = field(default_factory=dict)
    """Path of a wheel that was taken → (its stamp, its sha256)."""

    def hash_of(self, path: Path, stamp: Stamp) -> str | None:
        """Return the sha256 of a file that was read the last time and bears the same stamp now."""
        if self.stamps.get(path.name) == stamp and path.name in self.entries and str(path.parent) == self.files:
            return self.entries[path.name].sha256
        known, sha256 = self.sources.get(str(path), (None, ""))
        return sha256 if known == stamp else None

    def find(self, filename: str, sha256: str) -> Entry | None:
        """Return the entry of a wheel that still lies in the index with its METADATA as both were written."""
        entry = self.entries.get(filename)
        if entry is None or entry.sha256 != sha256:
            return None
        return entry if self._is_unchanged(filename) and self._is_unchanged(f"{filename}.metadata") else None

    def _is_unchanged(self, name: str) -> bool:
        stamp = self.stamps.get(name)
        return stamp is not None and stamp_of(f"{self.files}/{name}") == stamp


def stamp_of(path: Path | str) -> Stamp | None:
    """Return size, times and inode of a plain file, None where there is none."""
    try:
        facts = os.stat(path)  # noqa: PTH116 - thousands of them: no Path for each
    except OSError:
        return None
    if not stat.S_ISREG(facts.st_mode):
        return None
    return (facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino)


def recall(cache_dir: Path | None, out: Path, entries: Mapping[str, Entry]) -> Known:
    """Return what is known of the index at `out`, which holds `entries`.

    That is nothing where it was never built here, or where others changed its index.json.
    """
    if cache_dir is None or not entries:
        return Known()
    try:
        data = json.loads(_path(cache_dir, out).read_text(encoding="utf-8"))
        if data["format"] != _FORMAT or data["mimctl"] != mimctl.__version__ or data["folder"] != str(out):
            return Known()
        if stamp_of(out / "index.json") != tuple(data["index"]):
            return Known()
        return Known(
            files=str(out / "files"),
            entries=entries,
            stamps={name: _stamp(stamp) for name, stamp in data["files"].items()},
            sources={path: (_stamp(stamp), str(sha256)) for path, (stamp, sha256) in data["sources"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Known()


def remember(
    cache_dir: Path | None, out: Path, filenames: Iterable[str], sources: Mapping[str, tuple[Stamp, str]]
) -> None:
    """Write down what the index at `out` is made of now; a cache that cannot be written is as good as none."""
    from mimctl.transfer import write_file

    if cache_dir is None:
        return
    now = time.time_ns()
    names = [name for each in filenames for name in (each, f"{each}.metadata")]
    data = {
        "format": _FORMAT,
        "mimctl": mimctl.__version__,
        "folder": str(out),
        "index": stamp_of(out / "index.json"),
        "files": {name: stamp for name in names if (stamp := stamp_of(f"{out}/files/{name}"))},
        "sources": {path: each for path, each in sources.items() if now - each[0][2] > _TICK_NS},
    }
    try:
        write_file(_path(cache_dir, out), json.dumps(data).encode("utf-8"))
    except MimctlError:
        return


def _path(cache_dir: Path, out: Path) -> Path:
    return cache_dir / "site" / f"{hashlib.sha256(bytes(out)).hexdigest()[:32]}.json"


def _stamp(raw: Any) -> Stamp:
    size, written, changed, inode = map(int, raw)
    return (size, written, changed, inode)
