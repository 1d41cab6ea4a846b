"""Read a lock file: what it was made for, and which wheels an environment gets. Nothing in it is believed unchecked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from mimctl.environment.distributions import normalise
from mimctl.environment.model import Environment
from mimctl.errors import MimctlError, UsageError
from mimctl.index.model import Build, IndexFile
from mimctl.installer.locking.cells import Cell, cell_for
from mimctl.installer.locking.lockfile import TOOL, Asked, bad_lock, check_document
from mimctl.installer.locking.markers import active_groups
from mimctl.resolution.requirements import marker_environment
from mimctl.transfer import is_remote

if TYPE_CHECKING:
    from packaging.pylock import Package, PackageWheel, Pylock

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A package of a lock file with the wheels it may be installed from."""

    name: str
    version: str
    marker: Any
    files: tuple[IndexFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A lock file that was read; `asked` None: another tool wrote it."""

    path: Path
    text: str
    document: Pylock
    entries: tuple[Entry, ...]
    cells: tuple[Cell, ...] = ()
    asked: Asked | None = None

    def groups_of(self, cell: Cell) -> frozenset[str]:
        """Return the dependency groups that an environment of this lock needs."""
        return active_groups(cell, self.cells)

    def default_groups(self) -> frozenset[str]:
        """Return what an installer takes that is told of no group."""
        return frozenset(self.document.default_groups or ())

    def entries_for(self, env: Environment, groups: Collection[str]) -> dict[str, Entry]:
        """Return what is for an environment by name.

        Raises MimctlError[not-locked] where the lock is for other platforms or Pythons, [bad-lock] where it names a
        package twice for one.
        """
        markers = marker_environment(env)
        shown = self.path.name
        if self.document.requires_python and not self.document.requires_python.contains(
            env.python.value, prereleases=True
        ):
            raise not_locked(self, f"it is for Python {self.document.requires_python}, found {env.python.value}")
        environments = self.document.environments or ()
        if environments and not any(each.evaluate(dict(markers)) for each in environments):
            raise not_locked(self, f"found Python {env.python.value}, {env.platform.value}")
        values: Any = {**markers, "extras": frozenset(), "dependency_groups": frozenset(groups)}
        found: dict[str, Entry] = {}
        for entry in self.entries:
            if entry.marker is not None and not entry.marker.evaluate(values, context="lock_file"):
                continue
            if entry.name in found:
                raise bad_lock(shown, f"`{entry.name}` has two entries for one environment")
            found[entry.name] = entry
        return found


def not_locked(lock: Lock, *causes: str) -> MimctlError:
    """Return the error for an environment that a lock does not cover."""
    covered = [f"it covers {cell}" for cell in lock.cells] or [
        f"it covers {marker}" for marker in lock.document.environments or ()
    ]
    again = " ".join(["mimctl lock", *(f"--for {words}" for words in dict.fromkeys(cell.words for cell in lock.cells))])
    return MimctlError(
        f"`{lock.path.name}` does not cover this environment",
        code="not-locked",
        causes=[*causes, *covered],
        hints=[f"lock for one more: `{again} --for SYSTEM-MACHINE-ACCELERATOR`"],
    )


def read_lock(path: Path, *, folders: Collection[Path] = ()) -> Lock:
    """Return the lock file at `path`.

    Its local wheels must lie below its own folder or one of `folders`, which a person named. Raises
    UsageError[no-lock] where there is none, MimctlError[bad-lock] for what is no lock file or not to be followed: a
    wheel without SHA-256, a name with a path in it, a file elsewhere; [only-sdist] for what has no wheel.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as err:
        raise UsageError(
            f"there is no lock file `{path}`",
            code="no-lock",
            hints=["make one: `mimctl lock det`", "or name it: `mimctl sync FILE`"],
        ) from err
    except UnicodeDecodeError as err:
        raise bad_lock(path.name, "it is no text in UTF-8") from err
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as err:
        raise bad_lock(path.name, str(err)) from err
    document = check_document(data, path.name)
    home = path.absolute().parent
    place = _Place(shown=path.name, home=home, folders=(home, *(folder.absolute() for folder in folders)))
    entries = tuple(_entry(package, place) for package in document.packages)
    said = (document.tool or {}).get(TOOL)
    asked, cells = _asked(said, path.name) if said is not None else (None, ())
    return Lock(path=path, text=text, document=document, entries=entries, cells=cells, asked=asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a lock file lies, and where its local wheels may."""

    shown: str
    home: Path
    folders: tuple[Path, ...]


def _entry(package: Package, place: _Place) -> Entry:
    name = normalise(package.name)
    if package.version is None:
        raise bad_lock(place.shown, f"`{name}` has no version")
    if not package.wheels:
        raise MimctlError(
            f"`{place.shown}` has no wheel of `{name}`",
            code="only-sdist",
            causes=["mimctl builds nothing unasked"],
            hints=["build the wheel yourself and lock with it: `mimctl lock PATH/TO/WHEEL …`"],
        )
    build = _build((package.tool or {}).get(TOOL), name, place)
    version = str(package.version)
    files = tuple(_file(wheel, name, version, build, place) for wheel in package.wheels)
    return Entry(name=name, version=version, marker=package.marker, files=files)


def _file(wheel: PackageWheel, name: str, version: str, build: Build | None, place: _Place) -> IndexFile:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    filename = wheel.filename
    try:
        project, said, _, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename as err:
        raise bad_lock(place.shown, f"`{redact_name(filename)}` is not the name of a wheel") from err
    if PurePosixPath(filename).name != filename or "\\" in filename or not filename.isprintable():
        raise bad_lock(place.shown, f"`{redact_name(filename)}` is not the name of a wheel")
    if normalise(project) != name or str(said) != version:
        raise bad_lock(place.shown, f"`{filename}` is no wheel of `{name}` {version}")
    sha256 = str(wheel.hashes.get("sha256", "")).lower()
    if not _SHA256.fullmatch(sha256):
        raise bad_lock(place.shown, f"`{filename}` has no SHA-256")
    return IndexFile(
        project=name,
        filename=filename,
        url=_address(wheel, filename, place),
        sha256=sha256,
        size=wheel.size,
        version=version,
        tags=tuple(sorted(map(str, tags))),
        build=build,
        address=place.shown,
    )


def _address(wheel: PackageWheel, filename: str, place: _Place) -> str:
    """Return where a wheel is fetched from: an address of HTTP as it stands, or the path of a file that may be read."""
    if wheel.url is not None and is_remote(wheel.url):
        return wheel.url
    if wheel.url is not None:
        parts = urlsplit(wheel.url)
        if parts.scheme.lower() != "file" or parts.netloc not in ("", "localhost"):
            raise bad_lock(place.shown, f"`{filename}` is to come from an address that is none of http, https, file")
        path = Path(unquote(parts.path))
    else:
        path = place.home / (wheel.path or "")
    resolved = path.resolve()
    if not any(resolved.is_relative_to(folder.resolve()) for folder in place.folders):
        raise MimctlError(
            f"`{place.shown}` names a file outside its folder",
            code="bad-lock",
            causes=[f"`{filename}` is to come from `{resolved.parent}`"],
            hints=[f"if that is meant, name the folder: `--find-links {resolved.parent}`, or its index: `--index DIR`"],
        )
    return str(resolved)


def redact_name(name: str) -> str:
    """Return a name out of a file for a message: nothing that moves a terminal's cursor, and not endless."""
    return "".join(letter if letter.isprintable() else "�" for letter in name[:200])


def _build(said: object, name: str, place: _Place) -> Build | None:
    if not isinstance(said, Mapping) or said.get("build") is None:
        return None
    raw = said["build"]
    if not isinstance(raw, Mapping) or not isinstance(raw.get("backend"), str):
        raise bad_lock(place.shown, f"the build of `{name}` has no backend")
    text = {key: raw.get(key) for key in ("min-torch", "max-torch", "min-driver", "toolkit")}
    lists = {key: raw.get(key, []) for key in ("archs", "ptx")}
    is_right = all(value is None or isinstance(value, str) for value in text.values()) and all(
        isinstance(value, list) and all(isinstance(each, str) for each in value) for value in lists.values()
    )
    if not is_right:
        raise bad_lock(place.shown, f"the build of `{name}` cannot be read")
    return Build(
        backend=raw["backend"],
        min_torch=text["min-torch"],
        max_torch=text["max-torch"],
        min_driver=text["min-driver"],
        toolkit=text["toolkit"],
        archs=tuple(lists["archs"]),
        ptx=tuple(lists["ptx"]),
    )


def _asked(said: object, shown: str) -> tuple[Asked, tuple[Cell, ...]]:
    if not isinstance(said, Mapping):
        raise bad_lock(shown, "`[tool.mimctl]` is no table")
    lists: dict[str, tuple[str, ...]] = {}
    for key in ("requests", "requirement-files", "indexes"):
        value = said.get(key, [])
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise bad_lock(shown, f"`tool.mimctl.{key}` is no list of texts")
        lists[key] = tuple(value)
    variant = said.get("variant")
    asked = Asked(
        requests=lists["requests"],
        requirement_files=lists["requirement-files"],
        indexes=lists["indexes"],
        torch=str(said.get("torch", "auto")),
        variant=variant if isinstance(variant, str) else None,
        version=str(said.get("version", "")),
    )
    cells = []
    for each in said.get("environments", []):
        try:
            cells.append(cell_for(str(each["for"]), str(each["python"])))
        except (KeyError, TypeError, UsageError) as err:
            raise bad_lock(shown, "`tool.mimctl.environments` names an environment that is not understood") from err
    return asked, tuple(cells)
