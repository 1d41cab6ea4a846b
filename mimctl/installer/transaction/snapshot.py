"""What is in an environment before a change: every name, and a copy of every file that an installer may replace."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from mimctl.environment.distributions import scan_all
from mimctl.environment.installed import Distribution
from mimctl.environment.model import Environment
from mimctl.installer.transaction.journal import OURS, Kept, Snapshot

_INSTALLED_FOLDERS = ("bin", "Scripts", "lib", "lib64", "Lib", "include", "Include", "share", "etc", "man")
"""Folders of a virtual environment that wheels write to; others may hold a project and its data."""


def take_snapshot(
    env: Environment, folder: Path, *, changing: frozenset[str] | None = None, written: frozenset[str] = frozenset()
) -> Snapshot:
    """Note what is there, and keep in `folder` what may change.

    That is everything, or, where `changing` names the distributions that an installer will touch: their files, those at
    the places `written` to, and all outside the folders of packages; packages that none of these lies in are not looked
    into. Installers never write into an existing file, they
    put another in its place; so a hard link is as good as a copy. Only `.pth` files are known to be written into.
    """
    roots = find_roots(env)
    owners = {
        path: each.name
        for each in distributions_inside(env)
        if changing is None or each.name in changing
        for path in claimed_by(each)
    }
    foreign = _foreign_folders(env)
    if changing is not None:
        foreign |= _untouched_folders(env, [*owners, *written])
    files: set[str] = set()
    folders: dict[str, int] = {}
    for path, is_folder in walk(roots, foreign):
        if is_folder:
            folders[path] = os.lstat(path).st_mode & 0o7777
        else:
            files.add(path)
    prefix = str(env.paths.prefix)
    elsewhere = {path for path in owners.keys() - files if _is_below(path, prefix) and os.path.lexists(path)}
    if changing is None:
        wanted = sorted(path for path in files | elsewhere if path in owners or not path.endswith(".pyc"))
    else:
        site = tuple(f"{each}{os.sep}" for each in (env.paths.purelib, env.paths.platlib))
        wanted = sorted(
            path
            for path in files | elsewhere
            if path in owners
            or path in written
            or (not path.endswith(".pyc") and (not path.startswith(site) or path.endswith(".pth")))
        )
    kept = []
    for number, path in enumerate(wanted):
        if keep(path, f"{folder}{os.sep}{number}"):
            kept.append(Kept(place=path, copy=str(number), distribution=owners.get(path, "")))
    return Snapshot(roots=roots, foreign=foreign, files=frozenset(files | elsewhere), folders=folders, kept=tuple(kept))


def find_roots(env: Environment) -> tuple[Path, ...]:
    """Return the folders that an installer writes to: the whole prefix of a virtual environment, else its schemes."""
    if env.paths.is_virtual:
        return (env.paths.prefix,)
    places = [env.paths.purelib, env.paths.platlib, env.paths.scripts]
    places += [entry for entry in env.paths.search if entry.name in ("site-packages", "dist-packages")]
    places = [each for each in dict.fromkeys(places) if each.is_dir() and each.is_relative_to(env.paths.prefix)]
    return tuple(each for each in places if not any(each != one and each.is_relative_to(one) for one in places))


def _foreign_folders(env: Environment) -> frozenset[str]:
    if not env.paths.is_virtual:
        return frozenset()
    with os.scandir(env.paths.prefix) as entries:
        return frozenset(
            entry.path
            for entry in entries
            if entry.is_dir(follow_symlinks=False) and entry.name not in _INSTALLED_FOLDERS
        )


def _untouched_folders(env: Environment, touched: Iterable[str]) -> frozenset[str]:
    """Return the packages that no file of `touched` lies in: most of an environment is in a few of them."""
    found: set[str] = set()
    for site in {env.paths.purelib, env.paths.platlib}:
        start = f"{site}{os.sep}"
        tops = {path[len(start) :].partition(os.sep)[0] for path in touched if path.startswith(start)}
        try:
            entries = list(os.scandir(site))
        except OSError:
            continue
        found.update(
            entry.path
            for entry in entries
            if entry.name not in tops
            and not entry.name.startswith("~")
            and not entry.name.endswith((".dist-info", ".egg-info", ".data"))
            and entry.is_dir(follow_symlinks=False)
        )
    return frozenset(found)


def walk(roots: Iterable[Path], foreign: frozenset[str]) -> Iterator[tuple[str, bool]]:
    """Yield everything below `roots` as (path, whether it is a folder), parents first; links are not followed."""
    stack = [str(root) for root in roots]
    while stack:
        with os.scandir(stack.pop()) as entries:
            for entry in entries:
                if entry.name.startswith(OURS):
                    continue
                is_folder = entry.is_dir(follow_symlinks=False)
                yield entry.path, is_folder
                if is_folder and entry.path not in foreign:
                    stack.append(entry.path)


def distributions_inside(env: Environment) -> list[Distribution]:
    """Return the distributions that lie where an installer changes things (not in the system's own Python, say)."""
    roots = find_roots(env)
    return [each for each in scan_all(env.paths.search) if any(each.path.is_relative_to(root) for root in roots)]


def claimed_by(distribution: Distribution) -> list[str]:
    """Return the files that the RECORD of a distribution lists (PEP 376), and all of its `.dist-info` folder."""
    info = distribution.path
    try:
        lines = (info / "RECORD").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    site = str(info.parent)
    places = [
        os.path.normpath(os.path.join(site, row[0])) if ".." in row[0] else f"{site}{os.sep}{row[0]}"  # noqa: PTH118
        for row in csv.reader(lines)
        if row and row[0]
    ]
    if info.is_dir():
        places += [path for path, is_folder in walk([info], frozenset()) if not is_folder]
    return list(dict.fromkeys(places))


def keep(place: str, copy: str) -> bool:
    """Make `copy` the same file as `place`, as a link where that is possible; return whether there is such a file."""
    try:
        if not place.endswith(".pth"):
            os.link(place, copy, follow_symlinks=False)
            return True
    except OSError:  # another file system, or one without links
        pass
    try:
        shutil.copy2(place, copy, follow_symlinks=False)
    except FileNotFoundError:
        return False
    except OSError:
        if Path(place).is_dir():  # a RECORD that lists one
            return False
        raise
    return True


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder + os.sep)
