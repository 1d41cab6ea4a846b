"""Resolve what is asked for in each environment of a lock: what is locked stays where it still serves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from mimctl.environment.model import Environment
from mimctl.errors import IntegrityError, UsageError
from mimctl.index.model import IndexFile
from mimctl.installer.locking.cells import Cell
from mimctl.installer.locking.lockfile import Contents
from mimctl.installer.locking.reading import Lock
from mimctl.installer.locking.torch_choice import torch_for, with_torch
from mimctl.resolution.model import Catalog, Pick, Present, Provided, ResolveOptions, Wanted
from mimctl.resolution.names import TORCH_FAMILY
from mimctl.resolution.resolve import resolve
from mimctl.selection.choose import choose
from mimctl.selection.torch_build import TorchBuild
from mimctl.transfer import Progress, is_remote, local_path, sha256_of


class Shelf(Catalog, Protocol):
    """A catalog that hands out what it lists."""

    def fetch(self, file: IndexFile, *, progress: Progress | None = None) -> Path:
        """Return a verified copy of a file."""


ShelfFor = Callable[[Cell, TorchBuild | None], Shelf]
"""Opens the catalog of an environment, with the build of torch that joins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockWish:
    """The choices of one lock; `torch` as `mimctl install --torch` takes it."""

    torch: str = "auto"
    variant: str | None = None
    upgrade: bool = False
    """Nothing stays only because it was locked."""
    upgrade_names: frozenset[str] = frozenset()
    """These do not."""
    pre: bool = False
    typed: str = ""
    """What the person asked for, for hints."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is wanted of every environment alike."""

    wanted: Sequence[Wanted]
    provided: Mapping[str, Provided]
    constraints: Sequence[Wanted] = ()


def resolve_cells(
    wishes: Wishes,
    cells: Sequence[Cell],
    *,
    shelf_for: ShelfFor,
    torch_versions: tuple[str | None, str | None],
    wish: LockWish,
    previous: Lock | None = None,
    note: Callable[[str], None] | None = None,
) -> Contents:
    """Return the wheels of each environment, every one with its hash.

    `torch_versions` are the newest that was verified and the one that an installation brings. What `previous` has
    locked for an environment is kept where it serves. Raises what `mimctl.resolution.resolve` does, for the first
    environment that has no answer, and UsageError for what cannot be locked.
    """
    check_distinct(cells)
    check_lockable(wishes.provided.values())
    contents = {}
    for cell in cells:
        if note is not None:
            note(f"resolving for {cell}")
        locked = locked_files(previous, cell)
        kept = {} if wish.upgrade else {name: file for name, file in locked.items() if name not in wish.upgrade_names}
        contents[cell] = _resolve(
            wishes, cell, shelf_for=shelf_for, torch_versions=torch_versions, wish=wish, kept=kept
        )
        _check_unchanged(locked, contents[cell])
    return contents


def check_distinct(cells: Sequence[Cell]) -> None:
    """Raise UsageError where two environments cannot be told apart by whoever reads the lock."""
    seen: dict[tuple[str, str, str], Cell] = {}
    for cell in cells:
        key = (str(cell.platform), cell.minor, cell.group)
        if key in seen:
            raise UsageError(
                f"`{seen[key]}` and `{cell}` are the same environment to an installer",
                causes=["markers tell Pythons apart by their minor version"],
                hints=["name one of them"],
            )
        seen[key] = cell


def check_lockable(provided: Iterable[Provided]) -> None:
    """Raise UsageError for what has no file that others could fetch: a folder, a repository, a source archive."""
    for each in provided:
        if each.editable is not None or each.wheel is None or not each.origin.endswith(".whl"):
            raise not_lockable(each.origin)


def not_lockable(shown: str) -> UsageError:
    """Return the error for something that is no wheel."""
    return UsageError(
        f"`{shown}` cannot be locked",
        causes=["a lock names wheels with their hashes, this would be built anew each time"],
        hints=[f"build it and lock the wheel: `python -m pip wheel --no-deps {shown}`"],
    )


def _resolve(
    wishes: Wishes,
    cell: Cell,
    *,
    shelf_for: ShelfFor,
    torch_versions: tuple[str | None, str | None],
    wish: LockWish,
    kept: Mapping[str, IndexFile],
) -> dict[str, IndexFile]:
    torch = torch_for(cell, wish.torch, torch_versions, kept.get("torch"))
    shelf = shelf_for(cell, torch)
    resolution = resolve(
        wishes.wanted,
        env=cell.environment,
        catalog=shelf,
        installed=_Locked(kept, shelf),
        provided=wishes.provided,
        options=ResolveOptions(
            variant=wish.variant,
            verified=torch_versions[0],
            pre=wish.pre,
            torch=torch,
            leaves_torch_out=wish.torch == "none",
            follows_kept=True,
            constraints=tuple(wishes.constraints),
            typed=wish.typed,
        ),
    )
    return {name: _hashed(_file_of(pick, kept), shelf) for name, pick in resolution.picks.items()}


class _Locked:
    """What a lock has, as what is there: it is preferred, but nobody is protected for its sake."""

    def __init__(self, files: Mapping[str, IndexFile], catalog: Catalog) -> None:
        # Torch's family is chosen by build, and follows torch.
        self._files = {name: file for name, file in files.items() if name not in TORCH_FAMILY}
        self._catalog = catalog

    def names(self) -> Iterable[str]:
        """Return nothing: a lock that is made anew drops what nobody needs any more."""
        return ()

    def get(self, name: str) -> Present | None:
        """Return what is locked of that name."""
        file = self._files.get(name)
        if file is None:
            return None
        backend = file.build.backend if file.build else None
        return Present(name=name, version=file.version, sha256=file.sha256, backend=backend)

    def requires_dist(self, name: str) -> tuple[str, ...]:
        """Return the requirements that the locked wheel declares.

        Its index tells them at once, if it still has that wheel; the wheel itself does in any case.
        """
        locked = self._files[name]
        files = self._catalog.project(name).files
        return self._catalog.metadata(next((each for each in files if _is_same(each, locked)), locked)).requires_dist


def _is_same(one: IndexFile, other: IndexFile) -> bool:
    return (one.filename, one.sha256) == (other.filename, other.sha256)


def locked_files(previous: Lock | None, cell: Cell) -> dict[str, IndexFile]:
    """Return what a lock has for one of its environments, nothing where it does not cover it."""
    if previous is None or cell not in previous.cells:
        return {}
    env = _with_locked_torch(cell.environment, previous, cell)
    found = {}
    for name, entry in previous.entries_for(cell.environment, previous.groups_of(cell)).items():
        chosen = choose(env, entry.files).chosen
        if chosen is not None:
            found[name] = chosen
    return found


def _with_locked_torch(env: Environment, previous: Lock, cell: Cell) -> Environment:
    entry = previous.entries_for(env, previous.groups_of(cell)).get("torch")
    return with_torch(env, entry.version, cell.accelerator) if entry else env


def _file_of(pick: Pick, kept: Mapping[str, IndexFile]) -> IndexFile:
    if pick.file is not None:
        return pick.file
    if pick.provided is None:
        return kept[pick.name]
    given = pick.provided
    assert given.wheel is not None
    _, _, rest = given.wheel.stem.split("-", 2)
    python, abi, platforms = rest.rsplit("-", 2)
    return IndexFile(
        project=pick.name,
        filename=given.wheel.name,
        url=given.origin if is_remote(given.origin) else str(given.wheel),
        sha256=given.sha256 or sha256_of(given.wheel),
        size=given.wheel.stat().st_size,
        version=pick.version,
        tags=tuple(
            f"{one}-{two}-{three}"
            for one in python.split(".")
            for two in abi.split(".")
            for three in platforms.split(".")
        ),
    )


def _hashed(file: IndexFile, shelf: Shelf) -> IndexFile:
    """Return a file with its hash, fetched where its index gives none, and with its size where that is cheap."""
    if file.sha256 is None:
        path = shelf.fetch(file)
        return replace(file, sha256=sha256_of(path), size=path.stat().st_size)
    if file.size is None and not is_remote(file.url):
        return replace(file, size=local_path(file.url).stat().st_size)
    return file


def _check_unchanged(locked: Mapping[str, IndexFile], now: Mapping[str, IndexFile]) -> None:
    """Raise IntegrityError[hash-changed] where a wheel that was locked is another file now."""
    for name, file in now.items():
        before = locked.get(name)
        if before is None or before.filename != file.filename or before.build != file.build:
            continue
        if before.sha256 != file.sha256:
            raise IntegrityError(
                f"`{file.filename}` is not the file that was locked",
                code="hash-changed",
                causes=[f"sha256 locked  {before.sha256}", f"sha256 offered {file.sha256}"],
                hints=[
                    "a version is published once: ask who serves the index why it changed",
                    f"if that is on purpose, remove `{name}` from the lock file and lock again",
                ],
                details={"expected": before.sha256, "found": file.sha256},
            )
