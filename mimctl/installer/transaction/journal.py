"""The journal of one change: what was there before, and who changes it; written before the first change, gone after.

It is a folder beside `site-packages`, on the same file system, so that files are kept as hard links. Its name is its
state, so one rename is each step: `.mimctl-begun-…` is being written and nothing has changed yet, `.mimctl-transaction`
means that the environment may be half-changed, `.mimctl-done-…` is rubbish.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mimctl.errors import MimctlError
from mimctl.files import sync_folder
from mimctl.transfer.owner import Owner, this_process

OPEN = ".mimctl-transaction"
OURS = ".mimctl-"
"""What we keep beside `site-packages` begins so; none of it counts as a file of the environment."""
_BEGUN, _DONE = ".mimctl-begun-", ".mimctl-done-"
_SCHEMA_VERSION = 2
_RESERVE = "reserve"
_RESERVE_BYTES = 256 * 1024
_SITE_FOLDERS = ("site-packages", "dist-packages")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A file that was there, the name of its copy, and the distribution that it belongs to (empty: to none)."""

    place: str
    copy: str
    distribution: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What was there: files (links too) and folders with their modes below `roots`, and copies of the files."""

    roots: tuple[Path, ...]
    foreign: frozenset[str]
    """Folders below `roots` that are nobody's but the user's: not looked into."""
    files: frozenset[str]
    folders: Mapping[str, int]
    kept: tuple[Kept, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """A change that has begun and not ended."""

    path: Path
    owner: Owner
    what: str
    """What was begun: `install det`."""
    installer: str
    """`pip` or `uv`; empty where it is not known."""
    asked: frozenset[str]
    """Names of all distributions that the change brings, replaces or removes; empty where it is not known."""

    def copy_of(self, kept: Kept) -> Path:
        """Return the copy of a file."""
        return self.path / "kept" / kept.copy

    @property
    def pulse(self) -> Path:
        """Return the file whose time says until when the change was at work."""
        return self.path / "pulse"

    def died_at(self) -> float:
        """Return when the change was last known to be at work, by the clock of the file system."""
        return self.pulse.stat().st_mtime


def find_journal(search: Iterable[Path]) -> Path | None:
    """Return the folder of a change that goes on or was killed, for the folders of a module search path.

    One look for each folder of installed packages: cheap enough for every command.
    """
    for folder in search:
        if folder.name in _SITE_FOLDERS and (folder.parent / OPEN).is_dir():
            return folder.parent / OPEN
    return None


def begin(folder: Path, *, what: str, installer: str, asked: Iterable[str]) -> Path:
    """Make an unfinished journal beside `site-packages`, and return its folder, to be filled and opened."""
    clear(folder)
    path = folder / f"{_BEGUN}{secrets.token_hex(8)}"
    path.mkdir()
    (path / "kept").mkdir()
    (path / "pulse").touch()
    (path / _RESERVE).write_bytes(bytes(_RESERVE_BYTES))
    facts = {
        "schema_version": _SCHEMA_VERSION,
        "owner": this_process().to_dict(),
        "what": what,
        "installer": installer,
        "asked": sorted(asked),
    }
    _write(path / "journal.json", facts)
    # Whoever shares the environment may know who changes it, whatever this user's umask is.
    path.chmod(0o755)
    (path / "journal.json").chmod(0o644)
    return path


def open_journal(path: Path, snapshot: Snapshot, prefix: Path) -> Journal:
    """Write the snapshot and give the journal its name: from here on the environment may change.

    Paths are written relative to `prefix`, which may be reached by another name when they are read.
    """

    root = f"{prefix}{os.sep}"

    def inner(place: str | Path) -> str:
        return str(place).removeprefix(root) if str(place) != str(prefix) else os.curdir

    document = {
        "roots": [inner(each) for each in snapshot.roots],
        "foreign": sorted(map(inner, snapshot.foreign)),
        "files": sorted(map(inner, snapshot.files)),
        "folders": {inner(each): mode for each, mode in snapshot.folders.items()},
        "kept": [[each.place.removeprefix(root), each.copy, each.distribution] for each in snapshot.kept],
    }
    _write(path / "before.json", document)
    for folder in (path / "kept", path):
        sync_folder(folder)
    path.rename(path.parent / OPEN)
    sync_folder(path.parent)
    return read_journal(path.parent / OPEN)


def read_journal(path: Path) -> Journal:
    """Read who began a change and what; raises MimctlError[killed-install] where the journal is no longer whole."""
    try:
        facts = json.loads((path / "journal.json").read_text(encoding="utf-8"))
        if facts["schema_version"] != _SCHEMA_VERSION:
            raise ValueError(f"schema_version is {facts['schema_version']}, this mimctl knows {_SCHEMA_VERSION}")
        owner, asked = Owner.from_dict(facts["owner"]), frozenset(map(str, facts["asked"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
        raise _unreadable(path, err) from err
    what, installer = str(facts.get("what", "")), str(facts.get("installer", ""))
    return Journal(path=path, owner=owner, what=what, installer=installer, asked=asked)


def read_snapshot(journal: Journal, prefix: Path) -> Snapshot:
    """Read what was there before; raises as `read_journal` does, for places outside `prefix` too."""
    outer = functools.partial(_below, str(prefix))
    try:
        document = json.loads((journal.path / "before.json").read_text(encoding="utf-8"))
        kept = tuple(
            Kept(
                place=outer(place),
                copy=Path(copy).name,
                distribution=str(distribution),
            )
            for place, copy, distribution in document["kept"]
        )
        return Snapshot(
            roots=tuple(Path(outer(each)) for each in document["roots"]),
            foreign=frozenset(map(outer, document["foreign"])),
            files=frozenset(map(outer, document["files"])),
            folders={outer(each): int(mode) for each, mode in document["folders"].items()},
            kept=kept,
        )
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise _unreadable(journal.path, err) from err


def _below(prefix: str, inner: str) -> str:
    if Path(inner).is_absolute() or Path(os.path.normpath(inner)).parts[:1] == (os.pardir,):
        raise ValueError(f"`{inner}` is not inside {prefix}")
    return os.path.normpath(os.path.join(prefix, inner))  # noqa: PTH118


def note_removals(journal: Journal, paths: Iterable[str]) -> None:
    """Note what is about to be removed: a repair that is killed leaves traces that look like new files."""
    with contextlib.suppress(OSError):  # a full disk: removing is what helps
        _write(journal.path / "removing.json", sorted(paths))


def noted_removals(journal: Journal) -> frozenset[str]:
    """Return what an earlier, killed repair was about to remove."""
    try:
        return frozenset(json.loads((journal.path / "removing.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return frozenset()


def use_reserve(path: Path) -> None:
    """Give the disk back what was set aside for undoing the change: on a full disk, a lock could not be written."""
    with contextlib.suppress(OSError):
        (path / _RESERVE).unlink()


def close_journal(path: Path) -> None:
    """End the change: one rename. What is left of the journal goes afterwards, now or before the next change."""
    done = path.parent / f"{_DONE}{secrets.token_hex(8)}"
    path.rename(done)
    sync_folder(path.parent)
    shutil.rmtree(done, ignore_errors=True)


def clear(folder: Path) -> None:
    """Remove journals that were never opened and those that are done; only who holds the lock may."""
    for left in leftovers(folder):
        shutil.rmtree(left, ignore_errors=True)


def leftovers(folder: Path) -> Iterator[Path]:
    """Yield what killed commands left and nobody needs."""
    for prefix in (_BEGUN, _DONE):
        yield from sorted(folder.glob(f"{prefix}*"))


def _write(path: Path, data: object) -> None:
    """Write JSON so that it is there whole or not at all, after a power cut too."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(data, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def _unreadable(path: Path, error: Exception) -> MimctlError:
    return MimctlError(
        f"an installation was killed, and its journal `{path}` cannot be read",
        code="killed-install",
        causes=[f"{type(error).__name__}: {error}"],
        hints=[
            "it is another user's: let them run `mimctl doctor --fix`"
            if isinstance(error, PermissionError)
            else f"check the packages by hand, then remove the journal: `rm -r {path}`"
        ],
    )
