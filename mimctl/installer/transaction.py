"""Undo for one change of an environment: what was there before is known, and what gets replaced is copied first."""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mimctl.environment.model import Distribution, Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The files and folders that were there, and copies of those that the change will replace."""

    roots: tuple[Path, ...]
    files: frozenset[str]
    folders: frozenset[str]
    copies: tuple[tuple[Path, Path], ...]
    """(place, copy) of each file of the distributions to be replaced."""


@contextlib.contextmanager
def undone_on_failure(env: Environment, replaced: Iterable[str]) -> Iterator[None]:
    """Run the body; where it raises (Ctrl-C too), bring the environment back to what it was.

    `replaced` names the distributions that will be upgraded, replaced or removed.
    """
    with tempfile.TemporaryDirectory(prefix="mimctl-undo-") as folder:
        there = [each for name in replaced if (each := env.distributions.get(name)) is not None]
        snapshot = take_snapshot(env, there, Path(folder))
        try:
            yield
        except BaseException:
            with _uninterrupted():
                restore(snapshot)
            raise


def take_snapshot(env: Environment, replaced: Iterable[Distribution], folder: Path) -> Snapshot:
    """Note what is there, and copy the files of `replaced` into `folder`."""
    roots = _roots(env)
    files: set[str] = set()
    folders: set[str] = set()
    for root in roots:
        for folder_name, inner, names in os.walk(root):
            folders.add(folder_name)
            folders.update(os.path.join(folder_name, name) for name in inner)  # noqa: PTH118
            files.update(os.path.join(folder_name, name) for name in names)  # noqa: PTH118
    copies = []
    for number, place in enumerate(_recorded(replaced)):
        copy = folder / str(number)
        shutil.copy2(place, copy, follow_symlinks=False)
        copies.append((place, copy))
    return Snapshot(roots=roots, files=frozenset(files), folders=frozenset(folders), copies=tuple(copies))


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
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(f".{place.name}.mimctl")
        shutil.copy2(copy, temporary, follow_symlinks=False)
        temporary.replace(place)


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


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Keep Ctrl-C from ending the undo half-way."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
