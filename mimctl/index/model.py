"""What an index says: files with their tags, hashes and build facts, toolboxes, the verified torch (`index.json`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mimctl.errors import MimctlError

SCHEMA_VERSION = 1

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How an op wheel was built; wheels of a backend other than `python` hold compiled code."""

    backend: str
    """cpu, cu12, cu13, rocm or python."""
    min_torch: str | None = None
    max_torch: str | None = None
    """Newest release line of torch it works with (`2.15`), None where none is known to break it."""
    min_driver: str | None = None
    archs: tuple[str, ...] = ()
    """Compute capabilities with machine code: `9.0`."""
    ptx: tuple[str, ...] = ()
    """Compute capabilities with PTX, which the driver compiles for any later one."""
    ops: tuple[str, ...] = ()
    toolkit: str | None = None

    @property
    def is_compiled(self) -> bool:
        """Return whether the wheel holds compiled code."""
        return self.backend != "python"

    @property
    def cuda_major(self) -> int | None:
        """Return the CUDA major number of the backend: 13 for `cu13`."""
        digits = self.backend.removeprefix("cu")
        return int(digits[:2]) if self.backend.startswith("cu") and digits[:2].isdigit() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFile:
    """One wheel of an index."""

    project: str
    """Normalised (PEP 503)."""
    filename: str
    url: str
    """Whole address, or a path for an index that is a folder."""
    sha256: str | None
    """None where the place it stands in gives none: then it is what the first copy hashes to."""
    size: int | None
    version: str
    tags: tuple[str, ...]
    requires_python: str | None = None
    requires_dist: tuple[str, ...] = ()
    yanked: str | None = None
    build: Build | None = None
    address: str = ""
    """The index it stands in."""
    has_metadata: bool = False
    """Whether its METADATA can be fetched alone: its address with `.metadata` behind it (PEP 658)."""
    metadata_sha256: str | None = None

    @property
    def label(self) -> str:
        """Return version and backend as they are shown: `0.3.0+cu13`; the version alone where there is no build."""
        if self.build is None or "+" in self.version:
            return self.version
        return f"{self.version}+{self.build.backend}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolbox:
    """A plugin as the index lists it."""

    name: str
    distribution: str
    aliases: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    summary: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchVersions:
    """What the wheels matrix behind an index says of torch."""

    verified: str | None = None
    """The newest that it verifies."""
    default: str | None = None
    """What an installation brings where there is none; the newest verified one where the index does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """All that was read from the given indexes, the first address first."""

    addresses: tuple[str, ...]
    files: tuple[IndexFile, ...] = ()
    torch_verified: str | None = None
    """Newest torch that the wheels matrix of the first index that says so verifies."""
    torch_default: str | None = None
    """What that index brings where there is no torch."""
    toolboxes: Mapping[str, Toolbox] = field(default_factory=dict)

    def project(self, name: str) -> tuple[IndexFile, ...]:
        """Return the files of a project from the first index that carries it: a later one never adds to it."""
        files = [file for file in self.files if file.project == name]
        return tuple(file for file in files if file.address == files[0].address)

    @property
    def projects(self) -> frozenset[str]:
        """Return the names of all projects."""
        return frozenset(file.project for file in self.files)


def parse_index(data: object, *, address: str) -> tuple[tuple[IndexFile, ...], TorchVersions]:
    """Return the files of one `index.json`, and what it says of torch.

    Raises MimctlError[bad-index] where it is not as documented, [index-version] where its schema is another one.
    """
    top = _object(data, "the document", address)
    _check_schema(top, address)
    files = tuple(_file(each, address) for each in _take(top, "files", list, address))
    torch = top.get("torch")
    said = {key: value for key, value in torch.items() if isinstance(value, str)} if isinstance(torch, dict) else {}
    return files, TorchVersions(verified=said.get("verified"), default=said.get("default"))


def parse_toolboxes(data: object, *, address: str) -> dict[str, Toolbox]:
    """Return the toolboxes of one `toolboxes.json` by name (errors as `parse_index`)."""
    top = _object(data, "the document", address)
    _check_schema(top, address)
    found = {}
    for name, raw in _take(top, "toolboxes", dict, address).items():
        entry = _object(raw, f"toolbox `{name}`", address)
        found[name] = Toolbox(
            name=name,
            distribution=_take(entry, "distribution", str, address),
            aliases=_texts(entry, "aliases", address),
            scopes=_texts(entry, "scopes", address),
            summary=_optional(entry, "summary", str, address) or "",
        )
    return found


def bad_index(address: str, cause: str) -> MimctlError:
    """Return the error for an index that does not hold what an index holds."""
    return MimctlError(
        f"`{address}` is not a usable mimctl index",
        code="bad-index",
        causes=[cause],
        hints=["build it again: `mimctl index build --wheels DIR --out DIR`", "or name another: `--index ADDRESS`"],
    )


def _check_schema(top: Mapping[str, Any], address: str) -> None:
    found = top.get("schema_version")
    if found == SCHEMA_VERSION:
        return
    if not isinstance(found, int):
        raise bad_index(address, "it has no `schema_version`")
    raise MimctlError(
        f"`{address}` is written in schema {found}, this mimctl reads schema {SCHEMA_VERSION}",
        code="index-version",
        causes=[f"written by {top.get('generator', 'an unknown generator')}"],
        hints=["upgrade mimctl" if found > SCHEMA_VERSION else "build the index again with a newer mimctl"],
    )


def _file(raw: object, address: str) -> IndexFile:
    entry = _object(raw, "an entry of `files`", address)
    filename = _take(entry, "filename", str, address)
    if not filename.endswith(".whl") or "/" in filename or "\\" in filename:
        raise bad_index(address, f"`{filename}` is not the name of a wheel")
    sha256 = _take(entry, "sha256", str, address).lower()
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise bad_index(address, f"`{filename}` has no valid sha256")
    build = entry.get("build")
    return IndexFile(
        project=_take(entry, "project", str, address),
        filename=filename,
        url=_take(entry, "url", str, address),
        sha256=sha256,
        size=_optional(entry, "size", int, address),
        version=_take(entry, "version", str, address),
        tags=_texts(entry, "tags", address),
        requires_python=_optional(entry, "requires_python", str, address),
        requires_dist=_texts(entry, "requires_dist", address),
        yanked=_yanked(entry.get("yanked")),
        build=None if build is None else _build(_object(build, f"`build` of {filename}", address), address),
        address=address,
    )


def _build(entry: Mapping[str, Any], address: str) -> Build:
    return Build(
        backend=_take(entry, "backend", str, address),
        min_torch=_optional(entry, "min_torch", str, address),
        max_torch=_optional(entry, "max_torch", str, address),
        min_driver=_optional(entry, "min_driver", str, address),
        archs=_texts(entry, "archs", address),
        ptx=_texts(entry, "ptx", address),
        ops=_texts(entry, "ops", address),
        toolkit=_optional(entry, "toolkit", str, address),
    )


def _yanked(raw: object) -> str | None:
    if isinstance(raw, str):
        return raw or "no reason given"
    return "no reason given" if raw is True else None


def _object(raw: object, what: str, address: str) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise bad_index(address, f"{what} is not a JSON object")
    return raw


def _take(entry: Mapping[str, Any], key: str, kind: type[T], address: str) -> T:
    value = entry.get(key)
    if not isinstance(value, kind):
        raise bad_index(address, f"`{key}` is missing or no {_KIND_WORDS[kind]}")
    return value


def _optional(entry: Mapping[str, Any], key: str, kind: type[T], address: str) -> T | None:
    return None if entry.get(key) is None else _take(entry, key, kind, address)


def _texts(entry: Mapping[str, Any], key: str, address: str) -> tuple[str, ...]:
    values = entry.get(key) or []
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise bad_index(address, f"`{key}` is not a list of texts")
    return tuple(values)


_KIND_WORDS: Mapping[type, str] = {str: "text", int: "number", list: "list", dict: "JSON object"}
