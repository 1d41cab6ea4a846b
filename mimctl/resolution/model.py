"""What the resolver asks for and what it answers; nothing here touches disk or network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mimctl.index.model import IndexFile, SourceFile

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from mimctl.selection.choose import Selection
    from mimctl.selection.torch_build import TorchBuild


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a distribution says of itself (core metadata), as far as resolving needs it."""

    name: str
    """Normalised (PEP 503)."""
    version: str
    requires_dist: tuple[str, ...] = ()
    requires_python: str | None = None
    extras: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """All that the places which may serve a project hold of it."""

    name: str
    """Normalised (PEP 503)."""
    files: tuple[IndexFile, ...] = ()
    """Its wheels, in any order, whatever they are for."""
    sdists: tuple[str, ...] = ()
    """File names of its source distributions, which are never built unasked."""
    sources: tuple[SourceFile, ...] = ()
    """The same with their addresses, where the place tells."""
    looked_in: tuple[str, ...] = ()
    """The addresses that were asked, without secrets."""


class Catalog(Protocol):
    """Who knows what indexes hold; a project comes from the first place that has it, never from a mixture."""

    def prefetch(self, names: Iterable[str]) -> None:
        """Read the pages of several projects at once: they will be asked for."""

    def prefetch_metadata(self, files: Iterable[IndexFile]) -> Iterable[IndexFile]:
        """Read the metadata of several wheels at once, where that takes no whole wheel; return those that are read.

        They will most probably be asked for; a fault of one is raised when it is.
        """

    def project(self, name: str) -> Project:
        """Return what there is of a project, with no files where no place has it.

        Raises NetworkError[network | offline] and MimctlError[bad-index] as `mimctl.transfer` and the pages do.
        """

    def metadata(self, file: IndexFile) -> Metadata:
        """Return the core metadata of a wheel, read from the index or the archive's own folder, never the whole wheel.

        Raises MimctlError[bad-wheel] where it contradicts the file's name, and as `project` does.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A requirement and who has it: a distribution, a line of a file, or the empty text for the person."""

    requirement: Requirement
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provided:
    """A distribution that a person names by its place: a wheel, a folder, a repository, an address.

    It is the only candidate of its name. `wheel` is at hand, verified or built; a folder that is to stay editable has
    none.
    """

    metadata: Metadata
    origin: str
    """What was typed, without secrets."""
    wheel: Path | None = None
    sha256: str | None = None
    editable: Path | None = None
    record: str | None = None
    """What is to be recorded of its place (PEP 610), where `wheel` is not that place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """An installed distribution."""

    name: str
    """Normalised (PEP 503)."""
    version: str
    sha256: str | None = None
    """Hash of the wheel it was installed from, where the installer recorded it (PEP 610)."""
    is_from_source: bool = False
    """Installed from a folder or repository, perhaps editable: never replaced by the same version."""
    backend: str | None = None
    """Backend of an op package's build, from its `build.json`."""


class Installed(Protocol):
    """What is installed in a target; core metadata is read where it is asked for, and never for all without need."""

    def names(self) -> Iterable[str]:
        """Return the normalised names of all that is installed."""

    def get(self, name: str) -> Present | None:
        """Return what is installed of that name."""

    def requires_dist(self, name: str) -> tuple[str, ...]:
        """Return the declared requirements of an installed distribution, none where they cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveOptions:
    """The choices of one resolution."""

    variant: str | None = None
    """A build of the op packages by its backend's name (`cpu`, `cu13`, `python`)."""
    upgrade: frozenset[str] = frozenset()
    """Names whose newest version is wanted though another is installed."""
    upgrade_all: bool = False
    """The newest version of everything that the requests need; torch's family stays all the same."""
    reinstall: frozenset[str] = frozenset()
    """Names that are installed anew, though the same version is there; another hash of it is accepted."""
    verified: str | None = None
    """Newest torch that builds were verified with: with a newer one they are accepted with a warning."""
    pre: bool = False
    """Pre-releases are as good as finished releases."""
    torch: TorchBuild | None = None
    """Where no torch is installed: the build that wheels are chosen for, and that joins; None: nobody says which."""
    leaves_torch_out: bool = False
    """Whether that torch is brought by somebody else: it does not join."""
    follows_kept: bool = False
    """What stays is followed all the way down, as what comes is: for an answer that has to be whole by itself."""
    constraints: tuple[Wanted, ...] = ()
    """Requirements on what is needed anyway; they bring nothing by themselves."""
    hashes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By name: the sha256 of which a file must have one."""
    typed: str = ""
    """What the person asked for, for hints that can be typed: `det`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """The answer for one distribution: a file of an index, something provided, or (neither) what is installed stays."""

    name: str
    version: str
    needed_by: tuple[Wanted, ...] = ()
    file: IndexFile | None = None
    provided: Provided | None = None
    metadata: Metadata | None = None
    """Of a file: what it was resolved by."""
    goes_with: tuple[str, ...] = ()
    """Distributions that it requires and that change: why it was looked at, and perhaps changes too."""

    @property
    def is_kept(self) -> bool:
        """Return whether what is installed stays."""
        return self.file is None and self.provided is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """One consistent set: everything that the requests need, directly or not."""

    picks: Mapping[str, Pick] = field(default_factory=dict)
    decisions: Mapping[str, Selection] = field(default_factory=dict)
    """The trace of each project that a file was chosen for."""
