"""Ports files and folders: finds them, keeps to the folder that was named, writes each whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mimctl.errors import MimctlError, Origin, UsageError
from mimctl.files import write_bytes
from mimctl.porting.names import OLD_PACKAGES, Names
from mimctl.porting.rewrite import Ported, port

SUFFIXES = (".py", ".pyi")
_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Porting:
    """What porting files comes to: those with something to tell, those that were refused, links left alone."""

    files: tuple[Ported, ...]
    refused: tuple[MimctlError, ...]
    links: tuple[str, ...]
    seen: int

    @property
    def changed(self) -> list[Ported]:
        """The files whose text changes."""
        return [each for each in self.files if each.after != each.before]


def port_files(place: Path, names: Names) -> Porting:
    """Port a file, or all Python files in a folder, without writing anything.

    Hidden folders, environments and links are passed over; a file that is no Python is refused and the others go on.
    Raises UsageError[port-not-found] where `place` is neither.
    """
    links: list[str] = []
    refused: list[MimctlError] = []
    if place.is_file():
        paths, links = ([], [str(place)]) if place.is_symlink() else ([place], [])
    elif place.is_dir():
        paths = list(_walk(place, links, refused))
    else:
        raise UsageError(f"there is no file or folder `{place}`", code="port-not-found")
    own = _own_packages(place if place.is_dir() else place.parent)
    done: list[Ported] = []
    for path in paths:
        try:
            ported = port(path.read_bytes(), str(path), names, own)
        except MimctlError as err:
            refused.append(err)
        except OSError as err:
            refused.append(_refused(path, f"it cannot be read: {err.strerror}"))
        else:
            done.append(ported)
    files = tuple(each for each in done if each.moved or each.left or each.notes)
    return Porting(files=files, refused=tuple(refused), links=tuple(sorted(links)), seen=len(paths))


def _walk(folder: Path, links: list[str], refused: list[MimctlError]) -> Iterator[Path]:
    try:
        with os.scandir(folder) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except OSError as err:
        refused.append(_refused(folder, f"it cannot be read: {err.strerror}"))
        return
    for entry in entries:
        path = folder / entry.name
        if entry.is_symlink():
            if path.suffix in SUFFIXES or path.is_dir():
                links.append(str(path))
        elif entry.is_dir():
            if not entry.name.startswith(".") and entry.name not in _SKIPPED and not (path / "pyvenv.cfg").exists():
                yield from _walk(path, links, refused)
        elif entry.is_file() and path.suffix in SUFFIXES:
            yield path


def _own_packages(folder: Path) -> frozenset[str]:
    """Return old packages that are the project itself: inside one, or with one in the folder."""
    inside = {each.name for each in (folder.absolute(), *folder.absolute().parents) if (each / "__init__.py").is_file()}
    within = {each for each in OLD_PACKAGES if (folder / each / "__init__.py").is_file()}
    return frozenset(within | (inside & OLD_PACKAGES))


def write_all(porting: Porting) -> list[MimctlError]:
    """Write the changed files, each through a temporary file and a rename; return why some could not be.

    A file that was changed since it was read is left alone.
    """
    refused = []
    for each in porting.changed:
        path = Path(each.path)
        try:
            if path.is_symlink() or path.read_bytes() != each.read:
                refused.append(_refused(path, "it was changed while it was looked at"))
                continue
            write_bytes(path, each.data, mode=path.stat().st_mode & 0o7777)
        except OSError as err:
            refused.append(_refused(path, f"it cannot be written: {err.strerror}"))
    return refused


def _refused(path: Path, reason: str) -> MimctlError:
    return MimctlError(
        f"`{path}` is left as it is: {reason}", code="port-refused", origin=Origin(file=str(path), line=None)
    )
