"""Make a lock file of what is asked for: gather requests and environments, resolve, compare with what is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from mimctl.environment.model import Environment
from mimctl.errors import MimctlError, UsageError
from mimctl.installer.locking.cells import Cell
from mimctl.installer.locking.environments import cells_of
from mimctl.installer.locking.lock import LockWish, Shelf, resolve_cells
from mimctl.installer.locking.lockfile import Asked, Contents, write_lock
from mimctl.installer.locking.reading import Lock, read_lock
from mimctl.installer.locking.requests import LockOptions, asked_of, gather_asked, index_folders, wishes_of
from mimctl.transfer import Note, is_remote, write_file

if TYPE_CHECKING:
    from mimctl.installer.asking.requirements_file import FileContents
    from mimctl.installer.model import InstallPlan
    from mimctl.installer.prepare import Places
    from mimctl.selection.torch_build import TorchBuild


OpenPlaces: TypeAlias = "Callable[[FileContents | None], Places]"
"""Returns where distributions come from, with the indexes that files of requirements name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """A lock that was made, and what was there before."""

    path: Path
    text: str
    contents: Contents
    asked: Asked
    previous: Lock | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_changed(self) -> bool:
        """Return whether the file is to be written."""
        return self.previous is None or self.previous.text != self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class LockChange:
    """One package of one environment that a lock has anew, otherwise or no more; None: not there."""

    environment: str
    name: str
    before: str | None
    after: str | None


def make_lock(
    names: Sequence[str],
    options: LockOptions,
    *,
    path: Path,
    target: Callable[[], Environment],
    open_places: OpenPlaces,
    note: Note | None = None,
) -> Locked:
    """Return the lock of `names` that is to lie at `path`; nothing is written.

    `target` detects the environment where it is needed: to lock for this machine, or for its Python. Raises
    UsageError where nothing is asked for, and what `resolve_cells` and reading requests raise.
    """
    path = path.absolute()
    places = open_places(None)
    previous = read_lock(path, folders=index_folders(places)) if path.exists() else None
    asked = asked_of(names, options, previous, path.parent, places)
    lines = gather_asked(asked, path.parent, places)
    places = open_places(lines)
    cells, notes, torch = cells_of(options, previous, target, asked.torch)
    asked = replace(asked, torch=torch) if torch == "none" else asked
    from mimctl.installer.prepare import load_index

    index = load_index(places)
    shelves: dict[object, Shelf] = {}

    def shelf_for(cell: Cell, build: TorchBuild | None) -> Shelf:
        from mimctl.installer.prepare import open_catalog

        key = (build, str(cell.platform))
        if key not in shelves:
            shelves[key] = open_catalog(cell.environment, places, build)
        return shelves[key]

    wishes = wishes_of(lines, places=places, index=index, shelf=shelf_for(cells[0], None))
    contents = resolve_cells(
        wishes,
        cells,
        shelf_for=shelf_for,
        torch_versions=(index.torch_verified, index.torch_default),
        wish=LockWish(
            torch=torch,
            variant=asked.variant,
            upgrade=options.upgrade,
            upgrade_names=frozenset(options.upgrade_names),
            pre=options.pre,
            typed=" ".join(asked.requests),
        ),
        previous=previous,
        note=note,
    )
    text = write_lock(contents, asked, folder=path.parent)
    if previous is not None and _without_version(previous.text) == _without_version(text):
        text = previous.text
    return Locked(path=path, text=text, contents=contents, asked=asked, previous=previous, notes=notes)


def save_lock(locked: Locked) -> None:
    """Write the file, if it differs; whole or not at all."""
    if locked.is_changed:
        write_file(locked.path, locked.text.encode("utf-8"))


def check_fresh(
    lock: Lock, *, target: Callable[[], Environment], open_places: OpenPlaces, note: Note | None = None
) -> None:
    """Raise MimctlError[stale-lock] where locking anew what `lock` was made for would change it.

    Files of requirements and indexes are read; nothing is written.
    """
    if lock.asked is None:
        raise stale_lock(lock, "another tool wrote it: what it was made for is not known")
    try:
        again = make_lock((), LockOptions(), path=lock.path, target=target, open_places=open_places, note=note)
    except UsageError as err:
        raise stale_lock(lock, err.message) from err
    changes = changes_of(again)
    if again.is_changed:
        told = [f"{each.name}: {each.before or 'not there'} -> {each.after or 'not there'}" for each in changes]
        raise stale_lock(lock, *(dict.fromkeys(told) or ["its text is not what mimctl would write"]))


def with_staleness(plan: InstallPlan, lock: Lock) -> InstallPlan:
    """Return a plan that says where files that its lock was made for are younger than it; no index is asked."""
    if lock.asked is None or plan.nothing_to_do:
        return plan
    files = [lock.path.absolute().parent / each for each in lock.asked.requirement_files if not is_remote(each)]
    made = lock.path.stat().st_mtime
    younger = [file.name for file in files if not file.exists() or file.stat().st_mtime > made]
    note = f"`{lock.path.name}` is older than {', '.join(younger)}; `mimctl lock` brings it up to date"
    return replace(plan, notes=(*plan.notes, note)) if younger else plan


def stale_lock(lock: Lock, *causes: str) -> MimctlError:
    """Return the error for a lock that is not what locking would make."""
    return MimctlError(
        f"`{lock.path.name}` is out of date",
        code="stale-lock",
        causes=causes,
        hints=["bring it up to date: `mimctl lock`", "or install what it has all the same: `mimctl sync --frozen`"],
    )


def changes_of(locked: Locked) -> tuple[LockChange, ...]:
    """Return what differs from the lock that was there, by environment and name."""
    found = []
    for cell, files in locked.contents.items():
        before = _versions(locked.previous, cell)
        after = {name: file.version for name, file in files.items()}
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                found.append(
                    LockChange(environment=str(cell), name=name, before=before.get(name), after=after.get(name))
                )
    return tuple(found)


def _versions(previous: Lock | None, cell: Cell) -> dict[str, str]:
    if previous is None or cell not in previous.cells:
        return {}
    entries = previous.entries_for(cell.environment, previous.groups_of(cell))
    return {name: entry.version for name, entry in entries.items()}


def _without_version(text: str) -> str:
    """Return a lock's text without the version of mimctl that wrote it."""
    head, mark, tail = text.rpartition("\n[tool.mimctl]\n")
    return head + mark + re.sub(r'^version = ".*"\n', "", tail, count=1)


def plain_changes(changes: Sequence[LockChange]) -> list[Mapping[str, str | None]]:
    """Return changes as JSON data."""
    return [
        {"environment": each.environment, "name": each.name, "before": each.before, "after": each.after}
        for each in changes
    ]
