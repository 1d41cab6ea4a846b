"""What an index says: files with their tags, hashes and build facts, toolboxes, the verified torch (`index.json`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload


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
    provides_extra: tuple[str, ...] = ()
    is_described: bool = False
    """Whether the index itself says what METADATA does of its requirements: `requires_dist` and `provides_extra`."""
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
class SourceFile:
    """One source distribution of an index, which is built only where somebody asks for it."""

    filename: str
    url: str = field(repr=False)
    sha256: str | None = None
    requires_python: str | None = None
    yanked: str | None = None


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
    plain: tuple[str, ...] = ()
    """Those of them that are plain package indexes: what these hold is known by asking for a project, and they say
    nothing of torch."""
    files: Sequence[IndexFile] = ()
    """Those of an index of many thousands are read when they are asked for."""
    torch_verified: str | None = None
    """Newest torch that the wheels matrix of the first index that says so verifies."""
    torch_default: str | None = None
    """What that index brings where there is no torch."""
    toolboxes: Mapping[str, Toolbox] = field(default_factory=dict)

    def project(self, name: str) -> tuple[IndexFile, ...]:
        """Return the files of a project from the first index that carries it: a later one never adds to it.

        Raises MimctlError[bad-index] where an entry of it is not as documented.
        """
        if isinstance(self.files, Listing):
            return self.files.project(name)
        files = [file for file in self.files if file.project == name]
        return tuple(file for file in files if file.address == files[0].address)

    @property
    def projects(self) -> frozenset[str]:
        """Return the names of all projects."""
        if isinstance(self.files, Listing):
            return self.files.projects
        return frozenset(file.project for file in self.files)


class Listing(Sequence[IndexFile]):
    """The files of several documents, one after the other, each read when its project is asked for."""

    def __init__(self, parts: Sequence[Mapping[str, Callable[[], tuple[IndexFile, ...]]]], num_files: int) -> None:
        self._parts = parts
        self._num_files = num_files
        self._read: dict[tuple[int, str], tuple[IndexFile, ...]] = {}

    @property
    def projects(self) -> frozenset[str]:
        """Return the names of all projects."""
        return frozenset(name for part in self._parts for name in part)

    def project(self, name: str) -> tuple[IndexFile, ...]:
        """Return the files of a project from the first document that has it."""
        place = next((place for place, part in enumerate(self._parts) if name in part), None)
        return () if place is None else self._files(place, name)

    def __len__(self) -> int:
        return self._num_files

    def __iter__(self) -> Iterator[IndexFile]:
        for place, part in enumerate(self._parts):
            for name in part:
                yield from self._files(place, name)

    @overload
    def __getitem__(self, place: int) -> IndexFile: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[IndexFile]: ...
    def __getitem__(self, place: int | slice) -> IndexFile | Sequence[IndexFile]:
        return tuple(self)[place]

    def _files(self, place: int, name: str) -> tuple[IndexFile, ...]:
        if (place, name) not in self._read:
            self._read[place, name] = self._parts[place][name]()
        return self._read[place, name]
