"""What several environments resolve to ↔ one `pylock.toml` (PEP 751); pure, save that packaging reads the format.

A package that differs between environments has an entry for each, with a marker; `[tool.mimctl]` says what was asked
for, and which environments were. Everything else any installer of PEP 751 reads as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit, urlunsplit

from mimctl.errors import MimctlError
from mimctl.index.model import Build, IndexFile
from mimctl.installer.locking.cells import Cell
from mimctl.installer.locking.markers import DEFAULT_GROUP, environment_markers, groups_of, marker_for
from mimctl.installer.locking.toml_text import to_toml
from mimctl.selection.tags import tag_ranks
from mimctl.transfer import is_remote, local_path, redact

if TYPE_CHECKING:
    from packaging.pylock import Pylock

LOCK_NAME = "pylock.toml"
TOOL = "mimctl"
Contents: TypeAlias = Mapping[Cell, Mapping[str, IndexFile]]
"""Environment → name → the wheel it gets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a lock was made for: enough to make it again."""

    requests: tuple[str, ...] = ()
    """What was typed, without secrets."""
    requirement_files: tuple[str, ...] = ()
    """Paths of `-r` files, from the lock's folder."""
    indexes: tuple[str, ...] = ()
    """Addresses without secrets; folders as paths from the lock's folder."""
    torch: str = "auto"
    variant: str | None = None
    version: str = ""
    """Of the mimctl that wrote it; no difference by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One package of the file: a version, its wheels, and the environments that it is for."""

    name: str
    version: str
    build: Build | None
    wheels: Mapping[str, IndexFile] = field(default_factory=dict)
    cells: tuple[Cell, ...] = ()


def write_lock(contents: Contents, asked: Asked, *, folder: Path) -> str:
    """Return the text of a lock file that is to lie in `folder`; the same input gives the same bytes.

    Every file has a hash. Raises MimctlError[packaging-too-old] where packaging cannot check what was written.
    """
    cells = list(contents)
    groups = groups_of(cells)
    document = {
        "lock-version": "1.0",
        "environments": environment_markers(cells),
        "requires-python": f">={min((cell.minor for cell in cells), key=_release)}",
        "dependency-groups": groups or None,
        "default-groups": [DEFAULT_GROUP] if groups else None,
        "created-by": TOOL,
        "packages": [_plain_entry(entry, cells, folder) for entry in _entries(contents)],
        "tool": {TOOL: _plain_asked(asked, contents)},
    }
    document = {key: value for key, value in document.items() if value is not None}
    check_document(document, LOCK_NAME)
    return to_toml(document)


def check_document(document: Mapping[str, Any], shown: str) -> Pylock:
    """Return a document as packaging reads it.

    Raises MimctlError[packaging-too-old] where packaging knows no lock files, [bad-lock] where it is none.
    """
    try:
        from packaging.pylock import Pylock, PylockValidationError
    except ImportError as err:
        raise _packaging_too_old() from err
    try:
        return Pylock.from_dict(document)
    except PylockValidationError as err:
        raise bad_lock(shown, str(err)) from err


def bad_lock(shown: str, *causes: str) -> MimctlError:
    """Return the error for a file that is no lock file, or none that is safe to follow."""
    return MimctlError(
        f"`{shown}` is no lock file that can be followed",
        code="bad-lock",
        causes=causes,
        hints=["make it again: `mimctl lock`"],
    )


def _entries(contents: Contents) -> list[_Entry]:
    found: dict[tuple[object, ...], _Entry] = {}
    for cell, files in contents.items():
        for file in files.values():
            key = _key(file, contents)
            there = found.get(key) or _Entry(name=file.project, version=file.version, build=file.build)
            found[key] = _Entry(
                name=there.name,
                version=there.version,
                build=there.build,
                wheels={**there.wheels, file.filename: file},
                cells=(*there.cells, cell),
            )
    return sorted(found.values(), key=lambda entry: (entry.name, entry.version, sorted(entry.wheels)))


def _key(file: IndexFile, contents: Contents) -> tuple[object, ...]:
    """Return what makes an entry: version and build, or the very file where tags would not tell an installer which."""
    build = (file.project, file.version, file.build.backend if file.build else None)
    fellows = {
        cell: each
        for cell, files in contents.items()
        if (each := files.get(file.project)) is not None and each.version == file.version and each.build == file.build
    }
    by_name = {each.filename: each.sha256 for each in fellows.values()}
    is_one = all(each.sha256 == by_name[each.filename] for each in fellows.values())
    if is_one and all(_best(cell, fellows.values()) == each.filename for cell, each in fellows.items()):
        return build
    return (*build, file.filename, file.sha256)


def _best(cell: Cell, files: Iterable[IndexFile]) -> str | None:
    """Return the name of the wheel that an installer would take in an environment, by tags alone."""
    ranks = tag_ranks(cell.environment)
    fitting = []
    for each in files:
        own = [ranks[tag] for tag in each.tags if tag in ranks]
        fitting += [(min(own), each.filename)] if own else []
    return min(fitting, default=(0, None))[1]


def _plain_entry(entry: _Entry, cells: Sequence[Cell], folder: Path) -> dict[str, Any]:
    plain: dict[str, Any] = {"name": entry.name, "version": entry.version}
    marker = marker_for(entry.cells, cells)
    if marker is not None:
        plain["marker"] = marker
    plain["wheels"] = [_plain_wheel(file, folder) for _, file in sorted(entry.wheels.items())]
    if entry.build is not None:
        plain["tool"] = {TOOL: {"build": _plain_build(entry.build)}}
    return plain


def _plain_wheel(file: IndexFile, folder: Path) -> dict[str, Any]:
    if file.sha256 is None:
        raise ValueError(f"a lock needs the hash of {file.filename}")
    plain: dict[str, Any] = {"name": file.filename}
    if is_remote(file.url):
        plain["url"] = without_secrets(file.url)
    else:
        plain["path"] = relative_path(local_path(file.url), folder)
    if file.size is not None:
        plain["size"] = file.size
    return {**plain, "hashes": {"sha256": file.sha256}}


def _plain_build(build: Build) -> dict[str, Any]:
    values = {
        "backend": build.backend,
        "min-torch": build.min_torch,
        "max-torch": build.max_torch,
        "min-driver": build.min_driver,
        "toolkit": build.toolkit,
        "archs": list(build.archs) or None,
        "ptx": list(build.ptx) or None,
    }
    return {key: value for key, value in values.items() if value is not None}


def _plain_asked(asked: Asked, contents: Contents) -> dict[str, Any]:
    cells = []
    for cell, files in contents.items():
        torch = files.get("torch")
        plain = {"for": cell.words, "python": cell.python, "group": cell.group}
        cells.append({**plain, "torch": torch.version} if torch else plain)
    values: dict[str, Any] = {
        "version": asked.version,
        "requests": list(asked.requests),
        "requirement-files": list(asked.requirement_files) or None,
        "indexes": list(asked.indexes),
        "torch": asked.torch,
        "variant": asked.variant,
        "environments": cells,
    }
    return {key: value for key, value in values.items() if value is not None}


def without_secrets(url: str) -> str:
    """Return an address without user, password, query and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def relative_path(path: Path, folder: Path) -> str:
    """Return where a path lies from `folder`, with slashes; both are absolute."""
    return Path(os.path.relpath(path, folder)).as_posix()


def plain_index(address: str, folder: Path) -> str:
    """Return the address of an index as a lock names it."""
    return redact(address) if is_remote(address) else relative_path(local_path(address).absolute(), folder)


def _release(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _packaging_too_old() -> MimctlError:
    import packaging

    return MimctlError(
        f"packaging {getattr(packaging, '__version__', '')} knows no lock files".replace("  ", " "),
        code="packaging-too-old",
        causes=["`mimctl lock` and `mimctl sync` need packaging >= 26 beside mimctl; nothing else of it does"],
        hints=[
            "`python -m pip install --upgrade 'packaging>=26'`",
            "or run mimctl from an environment of its own: `uvx mimctl lock …`",
        ],
    )
