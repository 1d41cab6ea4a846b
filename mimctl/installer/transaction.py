"""Undo for one change of an environment: what was there before is known, and kept as long as the change lasts."""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from mimctl.environment.model import Distribution, Environment

_UNDO_PREFIX = ".mimctl-undo-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The files and folders that were there, and copies of those that a change may replace."""

    roots: tuple[Path, ...]
    files: frozenset[str]
    folders: frozenset[str]
    copies: tuple[tuple[Path, Path], ...]
    """(place, copy) of each file of the distributions."""


@contextlib.contextmanager
def undone_on_failure(env: Environment, *, kept: frozenset[str] = frozenset()) -> Iterator[None]:
    """Run the body; where it raises (Ctrl-C and SIGTERM too), bring the environment back to what it was.

    `kept` names distributions that the body cannot change: no copies of them are made.
    """
    place = _undo_place(env)
    with tempfile.TemporaryDirectory(prefix=_UNDO_PREFIX, dir=place if place.is_dir() else None) as folder:
        there = [each for name, each in env.distributions.items() if name not in kept and _is_inside(each, env)]
        snapshot = take_snapshot(env, there, Path(folder))
        try:
            with _handled(signal.SIGTERM, _terminate):
                yield
        except BaseException:
            with _handled(signal.SIGINT, signal.SIG_IGN), _handled(signal.SIGTERM, signal.SIG_IGN):
                restore(snapshot)
            raise


def undo_folders(env: Environment) -> tuple[Path, ...]:
    """Return the folders of changes that go on now, or that were killed: only these leave one behind."""
    return tuple(sorted(_undo_place(env).glob(f"{_UNDO_PREFIX}*")))


def _undo_place(env: Environment) -> Path:
    return env.paths.purelib.parent


def take_snapshot(env: Environment, distributions: Iterable[Distribution], folder: Path) -> Snapshot:
    """Note what is there, and keep the files of `distributions` in `folder`.

    Installers never write into an existing file, they put another in its place; so a hard link is as good as a copy,
    and thousands of them take a fraction of a second.
    """
    copies = []
    for number, place in enumerate(_recorded(distributions)):
        copy = folder / str(number)
        _keep(place, copy)
        copies.append((place, copy))
    roots = _roots(env)  # walked after that: what is kept lies within, and is not to be taken for new
    files: set[str] = set()
    folders: set[str] = set()
    for root in roots:
        for folder_name, inner, names in os.walk(root):
            folders.add(folder_name)
            folders.update(os.path.join(folder_name, name) for name in inner)  # noqa: PTH118
            files.update(os.path.join(folder_name, name) for name in names)  # noqa: PTH118
    return Snapshot(roots=roots, files=frozenset(files), folders=frozenset(folders), copies=tuple(copies))


def _keep(place: Path, copy: Path) -> None:
    try:
        os.link(place, copy, follow_symlinks=False)
    except OSError:  # another file system, or one without links
        shutil.copy2(place, copy, follow_symlinks=False)


def _is_inside(distribution: Distribution, env: Environment) -> bool:
    """Return whether a distribution lies where an installer changes things (not in the system's own Python, say)."""
    return any(distribution.path.is_relative_to(root) for root in _roots(env))


def restore(snapshot: Snapshot) -> None:
    """Remove what is new and bring back what was replaced."""
    for root in snapshot.roots:
        for folder_name, inner, names in os.walk(root, topdown=False):
            for name in names:
                path = os.path.join(folder_name, name)  # noqa: PTH118
                if path not in snapshot.files:
                    Path(path).unlink(missing_ok=True)
            for name in inner:
                path = os.path.join(folder_name, name)  # noqa: PTH118
                if path not in snapshot.folders:
                    _remove_folder(Path(path))
    for place, copy in snapshot.copies:
        if _is_same(place, copy):
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(f".{place.name}.mimctl")
        temporary.unlink(missing_ok=True)
        _keep(copy, temporary)
        temporary.replace(place)


def _is_same(place: Path, copy: Path) -> bool:
    """Return whether a file is still the one that was kept."""
    try:
        now, then = place.lstat(), copy.lstat()
    except OSError:
        return False
    same_link = (now.st_dev, now.st_ino) == (then.st_dev, then.st_ino)
    return same_link or (now.st_size, now.st_mtime_ns) == (then.st_size, then.st_mtime_ns)


def _remove_folder(path: Path) -> None:
    """Remove a folder that was not there before: empty by now, or a link."""
    with contextlib.suppress(OSError):
        if path.is_symlink():
            path.unlink()
        else:
            path.rmdir()


def _roots(env: Environment) -> tuple[Path, ...]:
    """Return the folders that an installer writes to: the whole prefix of a virtual environment, else its schemes."""
    if env.paths.is_virtual:
        return (env.paths.prefix,)
    places = [env.paths.purelib, env.paths.platlib, env.paths.scripts, env.paths.data / "share"]
    places += [entry for entry in env.paths.search if entry.name in ("site-packages", "dist-packages")]
    return tuple(dict.fromkeys(place for place in places if place.is_dir()))


def _recorded(distributions: Iterable[Distribution]) -> list[Path]:
    """Return the files that the RECORDs of distributions list (PEP 376) and that are there."""
    found = []
    for each in distributions:
        try:
            lines = (each.path / "RECORD").read_text(encoding="utf-8").splitlines()
        except OSError:
            lines = [str(path.relative_to(each.path.parent)) for path in each.path.rglob("*") if path.is_file()]
        for row in csv.reader(lines):
            place = Path(os.path.normpath(each.path.parent / row[0])) if row else None
            if place is not None and place.is_file():
                found.append(place)
    return list(dict.fromkeys(found))


def _terminate(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


@contextlib.contextmanager
def _handled(
    number: signal.Signals, handler: Callable[[int, FrameType | None], None] | signal.Handlers
) -> Iterator[None]:
    """Handle a signal so for a while; only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)
