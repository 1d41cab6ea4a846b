"""A need for a name as the resolver handles it: whose requirement it is, of which extra, and what cannot be had."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from mimctl.resolution.candidates import NEVER, PYTHON, Candidate
from mimctl.resolution.model import Metadata, Wanted


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Need:
    """A requirement on one name, or on what one of its extras adds."""

    name: str
    wanted: Wanted
    extra: str = ""
    base: Candidate | None = None
    """The one candidate that serves: the distribution that the extra belongs to."""
    goes_with: str = ""
    """A distribution that changes and that `name` requires: that must go on to hold."""
    why: str = ""
    """What cannot be had, in words, for a need that nothing serves."""

    @property
    def identifier(self) -> str:
        """Return what the resolver calls its name."""
        return f"{self.name}[{self.extra}]" if self.extra else self.name

    @property
    def specifier(self) -> SpecifierSet:
        """Return the versions that serve."""
        return self.wanted.requirement.specifier


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadEnd:
    """A name that nothing serves for all that is wanted of it, whatever was chosen of other names."""

    identifier: str
    needs: tuple[Need, ...]

    @property
    def name(self) -> str:
        """Return the name without the extra."""
        return name_of(self.identifier)


def name_of(identifier: str) -> str:
    """Return the name of what the resolver calls `name[extra]`."""
    return identifier.partition("[")[0]


def extra_of(identifier: str) -> str:
    """Return the extra of what the resolver calls `name[extra]`, the empty text where there is none."""
    return identifier.partition("[")[2].removesuffix("]")


def python_needed(metadata: Metadata, candidate: Candidate) -> Iterator[Wanted]:
    """Yield the requirement on the interpreter, which the page of an index may have left out."""
    if metadata.requires_python is None:
        return
    requirement = Requirement("python")
    try:
        requirement.specifier = SpecifierSet(metadata.requires_python)
    except InvalidSpecifier:
        return
    requirement.name = PYTHON
    yield Wanted(requirement=requirement, by=f"{candidate.name} {candidate.version}")


def never(why: str, candidate: Candidate | None, wanted: Wanted | None = None) -> Need:
    by = f"{candidate.name} {candidate.version}" if candidate else ""
    return Need(name=NEVER, wanted=wanted or Wanted(requirement=Requirement("nothing"), by=by), why=why)
