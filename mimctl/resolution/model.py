"""What the resolver asks for and what it answers; nothing here touches disk or network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mimctl.index.model import IndexFile

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from mimctl.selection.choose import Selection


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
    looked_in: tuple[str, ...] = ()
    """The addresses that were asked, without secrets."""


class Catalog(Protocol):
    """Who knows what indexes hold; a project comes from the first place that has it, never from a mixture."""

    def prefetch(self, names: Iterable[str]) -> None:
        """Read the pages of several projects at once: they will be asked for."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """The answer for one distribution: a file of an index, something provided, or (neither) what is installed stays."""

    name: str
    version: str
    needed_by: tuple[Wanted, ...] = ()
    file: IndexFile | None = None
    provided: Provided | None = None

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
