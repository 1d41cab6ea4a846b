"""The cache's folder: nobody's but its user's, what lies in it by kind, and what may go."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl.errors import MimctlError
from mimctl.transfer.cache_users import say_used, users_since
from mimctl.transfer.exclusive import Lock, holding, is_held

if TYPE_CHECKING:
    from mimctl.transfer.model import Note

KINDS: Mapping[str, tuple[str, ...]] = {
    "wheels": ("wheels", "sources"),
    "weights": ("weights",),
    "pages": ("index", "pages", "metadata", "metafiles"),
    "configs": ("upstream",),
    "site": ("site",),
}
"""What is kept, and the folders of it. What a file hashed to when it was first seen is no cache and not listed here."""

_WHOLE = "configs"
"""A kind that is of use only whole: the files below one of its folders count as used when one of them was."""
_RECORDS = "by-url"
_PARTIAL = (".part", ".part.json")
_PARTIAL_DAYS = 1.0
"""A partial file is resumed until it is this old."""
_CLOCKS_S = 300.0
"""How far two clocks that write times into one folder may differ."""
_DAY_S = 24 * 3600.0
_NOTHING: Mapping[Path, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One file of the cache."""

    kind: str
    path: Path
    size: int
    """Bytes."""
    used_s: float
    """When it was used last, in seconds since 1970."""
    is_partial: bool


def open_cache(folder: Path, note: Note | None = None) -> None:
    """Make the cache's folder (0700) where it is not there, and say in it that this process uses it.

    Write permissions of others are taken away, and that is said. A folder that cannot be made is no error here: what
    needs it says so. Raises MimctlError[cache-not-private] where the folder belongs to somebody else.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        facts = folder.stat()
    except OSError:
        return
    _check_private(folder, facts, note)
    with contextlib.suppress(OSError):
        say_used(folder)
        while is_held(_removal(folder)):
            time.sleep(0.05)


def mark_used(path: Path, *, always: bool = False) -> None:
    """Note that a file of the cache is used now, in its time of access; the time of its contents stays.

    For wheels once a day is enough: it changes the file's ctime, by which uv tells whether it has unpacked a wheel
    already. With `always` it is noted whenever it is used, so that nobody takes it away meanwhile.
    """
    with contextlib.suppress(OSError):
        facts = path.stat()
        if always or time.time() - facts.st_atime > _DAY_S:
            os.utime(path, ns=(time.time_ns(), facts.st_mtime_ns))


def contents(folder: Path) -> Iterator[Kept]:
    """Yield the files of the cache, what it records of hashes left out; links are not followed."""
    for kind, names in KINDS.items():
        for name in names:
            found = _files(kind, folder / name)
            yield from _together(list(found), folder / name) if kind == _WHOLE else found


def prune(
    folder: Path,
    *,
    days: float,
    spared: Mapping[Path, str] = _NOTHING,
    is_dry_run: bool = False,
    note: Note | None = None,
) -> list[Kept]:
    """Remove files that nobody used for `days` days, and partial files that nobody continued for a day; return them.

    What a running mimctl uses stays, whatever its age, and files that are `spared` (resolved path → why, which is
    said). With `is_dry_run` nothing is removed.
    """
    now = time.time()

    def is_old(each: Kept) -> bool:
        limit_days = min(days, _PARTIAL_DAYS) if each.is_partial else days
        return now - each.used_s >= limit_days * _DAY_S

    return _remove(folder, is_old, contents(folder), spared=spared, is_dry_run=is_dry_run, note=note)


def clean(
    folder: Path,
    *,
    kinds: Iterable[str] = KINDS,
    spared: Mapping[Path, str] = _NOTHING,
    is_dry_run: bool = False,
    note: Note | None = None,
) -> list[Kept]:
    """Remove all files of some kinds and return them.

    What a running mimctl uses stays, files that are `spared` (resolved path → why, which is said), and records of
    hashes.
    """
    wanted, there = set(kinds), contents(folder)
    return _remove(folder, lambda each: each.kind in wanted, there, spared=spared, is_dry_run=is_dry_run, note=note)


def _check_private(folder: Path, facts: os.stat_result, note: Note | None) -> None:
    if not hasattr(os, "getuid"):
        return
    if facts.st_uid != os.getuid() and facts.st_uid != 0:
        raise MimctlError(
            f"the cache `{folder}` belongs to another user",
            code="cache-not-private",
            causes=["whoever owns it can change a file after its hash was checked"],
            hints=[
                "name a folder of yours: `MIMCTL_CACHE_DIR=DIR`, or `mimctl settings set cache_dir DIR`",
                "to share downloads: `mimctl settings set shared_cache DIR`",
            ],
        )
    others = facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if others and facts.st_uid == os.getuid():
        with contextlib.suppress(OSError):
            folder.chmod(stat.S_IMODE(facts.st_mode) & ~others)
            if note is not None:
                note(f"others could write to the cache `{folder}`; that is mended (to share: `shared_cache`)")


def _removal(folder: Path) -> Lock:
    return Lock(
        folder=folder, name=".removing", doing=f"which removes files from the cache `{folder}`", code="file-locked"
    )


def _remove(
    folder: Path,
    is_wanted: Callable[[Kept], bool],
    files: Iterable[Kept],
    *,
    spared: Mapping[Path, str],
    is_dry_run: bool,
    note: Note | None,
) -> list[Kept]:
    if not folder.is_dir():
        return []
    say = note or (lambda _line: None)
    with contextlib.nullcontext() if is_dry_run else holding(_removal(folder), say):
        since = users_since(folder)
        gone = []
        for each in files:
            is_in_use = each.used_s >= since - _CLOCKS_S
            if not is_wanted(each) or is_in_use or _is_being_written(each):
                continue
            if reason := spared.get(each.path.resolve()):
                say(f"kept `{each.path.name}`: {reason}")
                continue
            if not is_dry_run:
                try:
                    each.path.unlink()
                except OSError:
                    continue
                _remove_empty(each.path.parent, folder)
            gone.append(each)
        return gone


def _is_being_written(each: Kept) -> bool:
    if not each.is_partial:
        return False
    name = each.path.name.removesuffix(".json").removesuffix(".part")
    return is_held(Lock(folder=each.path.parent, name=f".{name}.lock", doing="", code="file-locked"))


def _remove_empty(folder: Path, top: Path) -> None:
    with contextlib.suppress(OSError):
        while folder != top:
            folder.rmdir()
            folder = folder.parent


def _together(files: list[Kept], folder: Path) -> Iterator[Kept]:
    """Yield files with the time at which any of their folder was used."""
    used_s: dict[str, float] = {}
    for each in files:
        name = each.path.relative_to(folder).parts[0]
        used_s[name] = max(each.used_s, used_s.get(name, 0.0))
    for each in files:
        yield replace(each, used_s=used_s[each.path.relative_to(folder).parts[0]])


def _files(kind: str, folder: Path) -> Iterator[Kept]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != _RECORDS]
        for name in names:
            path = Path(place) / name
            try:
                facts = path.lstat()
            except OSError:
                continue
            yield Kept(
                kind=kind,
                path=path,
                size=facts.st_size,
                used_s=max(facts.st_atime, facts.st_mtime),
                is_partial=name.endswith(_PARTIAL),
            )
