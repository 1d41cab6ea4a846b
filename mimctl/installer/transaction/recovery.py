"""Bring an environment back to what a journal says it was, and leave alone what others have installed since.

What is new is the change's own, unless it is somebody else's: a distribution that was installed after the change's last
sign of life, or by another installer, or that the change never meant to bring; and whatever such a distribution
requires. The rule stands in docs/explanation/transactions.md.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mimctl.environment.distributions import normalise, read_metadata
from mimctl.environment.installed import Distribution
from mimctl.environment.model import Environment
from mimctl.errors import MimctlError
from mimctl.installer.transaction.exclusive import is_being_changed, lock_place, locked
from mimctl.installer.transaction.journal import (
    Journal,
    Kept,
    Snapshot,
    clear,
    close_journal,
    find_journal,
    note_removals,
    noted_removals,
    read_journal,
    read_snapshot,
    use_reserve,
)
from mimctl.installer.transaction.snapshot import claimed_by, distributions_inside, keep, walk
from mimctl.resolution.requirements import marker_environment, requirements_of

_GRACE_S = 2.0
"""The last sign of life is up to a quarter of a second old when a process dies, more on a busy machine."""
_TOLD_FAILURES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What was brought back; each a distribution with its version: `numpy 2.1.0`."""

    journal: Journal
    removed: tuple[str, ...]
    restored: tuple[str, ...]
    left: tuple[str, ...]
    """Installed by others since, and left as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A distribution that is there now and was not there before, or not so."""

    distribution: Distribution
    files: frozenset[str]
    is_whole: bool
    """Whether every file is there that its RECORD lists."""

    def __str__(self) -> str:
        return f"{self.distribution.name} {self.distribution.version}"


def repair(env: Environment, say: Callable[[str], None]) -> Repair | None:
    """Bring an environment back to what it was before a change that was killed; None where there was none.

    Waits for a change that goes on. May be killed and repeated. Raises MimctlError[killed-install] where something
    cannot be brought back, [environment-locked] as `locked` does.
    """
    path = find_journal([env.paths.purelib])
    if path is not None and not is_being_changed(env):
        use_reserve(path)
    with locked(env, say):
        clear(lock_place(env))
        path = find_journal([env.paths.purelib])
        if path is None:
            return None
        journal = read_journal(path)
        snapshot = read_snapshot(journal, env.paths.prefix)
        done = undo(env, journal, snapshot, died_at=journal.died_at() + _GRACE_S)
        close_journal(path)
        return done


def undo(env: Environment, journal: Journal, snapshot: Snapshot, *, died_at: float = math.inf) -> Repair:
    """Remove what the change brought and bring back what it replaced.

    `died_at` is a time by the clock of the file system: what came later is somebody else's. Raises
    MimctlError[killed-install] where the system refuses something; all else is done then.
    """
    use_reserve(journal.path)
    new = list(_new_distributions(env, journal, snapshot))
    others = _others(env, new, journal, died_at)
    protected = frozenset().union(*(each.files for each in others))
    kept_names = {each.distribution.name for each in others}
    own = [each for each in new if each not in others]
    claimed = frozenset().union(*(each.files for each in own))
    removals = list(_removals(snapshot, protected, claimed, noted_removals(journal), died_at))
    note_removals(journal, removals)
    failures: list[OSError] = []
    # Without its RECORD, a folder can no longer be taken for a distribution that somebody else has installed.
    for path in sorted(removals, key=lambda each: os.path.basename(each) != "RECORD"):  # noqa: PTH119
        with _collected(failures), contextlib.suppress(FileNotFoundError):
            _remove(path)
    _remove_empty_folders(snapshot)
    restored: set[str] = set()
    for each in snapshot.kept:
        if each.distribution in kept_names or each.place in protected:
            continue
        with _collected(failures):
            if _put_back(each, snapshot, journal):
                restored.add(each.distribution)
    _make_empty_folders(snapshot)
    if failures:
        raise _failed(journal, failures)
    versions = {each.distribution.name: str(each) for each in own}
    return Repair(
        journal=journal,
        removed=tuple(sorted(versions.values())),
        restored=tuple(sorted(name for name in restored if name)),
        left=tuple(sorted(map(str, others))),
    )


def _new_distributions(env: Environment, journal: Journal, snapshot: Snapshot) -> Iterator[_Found]:
    records = {Path(each.place): journal.copy_of(each) for each in snapshot.kept if each.place.endswith("RECORD")}
    for each in distributions_inside(env):
        record = each.path / "RECORD"
        if str(record) in snapshot.files and (record not in records or _is_same(record, records[record])):
            continue
        if not record.is_file():
            continue  # half there: its files are judged one by one
        files = frozenset(claimed_by(each))
        is_whole = all(os.path.lexists(path) for path in files if not path.endswith(".pyc"))
        yield _Found(distribution=each, files=files, is_whole=is_whole)


def _others(env: Environment, new: list[_Found], journal: Journal, died_at: float) -> list[_Found]:
    """Return the new distributions that somebody else has installed, and those that these require."""
    whole = {each.distribution.name: each for each in new if each.is_whole}
    queue = [each for each in new if _is_anothers(each.distribution, journal, died_at)]
    markers = marker_environment(env)
    others: list[_Found] = []
    while queue:
        each = queue.pop()
        if each in others:
            continue
        others.append(each)
        declared = read_metadata(each.distribution).get("requires-dist", [])
        with contextlib.suppress(MimctlError):
            for needed in requirements_of(declared, "", markers, by=each.distribution.name):
                found = whole.get(normalise(needed.requirement.name))
                queue += [found] if found is not None else []
    return others


def _is_anothers(distribution: Distribution, journal: Journal, died_at: float) -> bool:
    if distribution.path.stat().st_mtime > died_at:
        return True
    if not journal.installer:
        return False
    installer = _installer_of(distribution)
    return bool(installer and installer != journal.installer) or distribution.name not in journal.asked


def _installer_of(distribution: Distribution) -> str:
    try:
        return (distribution.path / "INSTALLER").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _removals(
    snapshot: Snapshot, protected: frozenset[str], claimed: frozenset[str], noted: frozenset[str], died_at: float
) -> Iterator[str]:
    for path, is_folder in walk(snapshot.roots, snapshot.foreign):
        if is_folder or path in snapshot.files or path in protected:
            continue
        if path.endswith(".pyc"):
            if _source_of(path) not in protected:
                yield path
        elif path in claimed or path in noted or not _is_later(path, died_at):
            yield path


def _is_later(path: str, died_at: float) -> bool:
    """Return whether a file that no distribution claims was put there after a time.

    The time of the last status change tells, but it changes with every hard link made elsewhere (uv's cache), so the
    folder's is asked too. Times of change can be set at will and prove only that a file is no older.
    """
    try:
        file = os.lstat(path)
        if file.st_mtime > died_at:
            return True
        return file.st_ctime > died_at and os.lstat(os.path.dirname(path)).st_ctime > died_at  # noqa: PTH120
    except FileNotFoundError:
        return False


def _source_of(path: str) -> str:
    """Return the file that a compiled file was made from: `a/__pycache__/b.cpython-311.pyc` → `a/b.py`."""
    folder, name = os.path.split(path)
    if os.path.basename(folder) == "__pycache__":  # noqa: PTH119
        folder = os.path.dirname(folder)  # noqa: PTH120
    return os.path.join(folder, name.partition(".")[0] + ".py")  # noqa: PTH118


def _remove(path: str) -> None:
    os.unlink(path)  # noqa: PTH108


def _remove_empty_folders(snapshot: Snapshot) -> None:
    folders = [path for path, is_folder in walk(snapshot.roots, snapshot.foreign) if is_folder]
    for path in reversed(folders):
        if path not in snapshot.folders:
            with contextlib.suppress(OSError):  # not empty: somebody else's
                os.rmdir(path)  # noqa: PTH106


def _make_empty_folders(snapshot: Snapshot) -> None:
    """Make the folders again that were there and held nothing."""
    filled: set[str] = set()
    for path in (*snapshot.files, *snapshot.folders):
        filled.add(os.path.dirname(path))  # noqa: PTH120
    for path in snapshot.folders:
        if path not in filled:
            with contextlib.suppress(OSError):
                _make_folder(Path(path), snapshot)


def _put_back(kept: Kept, snapshot: Snapshot, journal: Journal) -> bool:
    """Bring one file back; return whether it was gone or another."""
    place, copy = Path(kept.place), journal.copy_of(kept)
    if _is_same(place, copy):
        return False
    _make_folder(place.parent, snapshot)
    temporary = journal.path / "restored"
    temporary.unlink(missing_ok=True)
    if not keep(str(copy), str(temporary)):
        raise FileNotFoundError(errno.ENOENT, "no copy of it was kept", kept.place)
    try:
        temporary.replace(place)
    except OSError:  # another file system
        shutil.copy2(temporary, place, follow_symlinks=False)
    return True


def _make_folder(folder: Path, snapshot: Snapshot) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent, snapshot)
    folder.mkdir()
    mode = snapshot.folders.get(str(folder))
    if mode is not None:
        folder.chmod(mode)


def _is_same(place: Path, copy: Path) -> bool:
    """Return whether a file is still the one that was kept, or has the same mode and content."""
    try:
        now, then = place.lstat(), copy.lstat()
        if (now.st_dev, now.st_ino) == (then.st_dev, then.st_ino):
            return True
        if (now.st_mode, now.st_size) != (then.st_mode, then.st_size):
            return False
        if place.is_symlink():
            return place.readlink() == copy.readlink()
        return place.read_bytes() == copy.read_bytes()  # times prove nothing: some wheels' files all have the same
    except OSError:
        return False


@contextlib.contextmanager
def _collected(failures: list[OSError]) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        failures.append(err)


def _failed(journal: Journal, failures: list[OSError]) -> MimctlError:
    told = [str(each) for each in failures[:_TOLD_FAILURES]]
    more = len(failures) - len(told)
    return MimctlError(
        f"`{journal.what}` could not be undone altogether",
        code="killed-install",
        causes=[*told, *([f"and {more} more"] if more else [])],
        hints=["mend what is named, then: `mimctl doctor --fix`"],
    )
