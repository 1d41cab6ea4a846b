"""What holds among the installed distributions now, so that no change breaks it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from mimctl.environment.distributions import normalise
from mimctl.resolution.candidates import Candidates
from mimctl.resolution.model import Installed, Wanted
from mimctl.resolution.requirements import readable_requirements, satisfies


class Guard:
    """Reads the requirements of all that is installed, once and only when a change is thought of."""

    def __init__(self, candidates: Candidates, markers: Mapping[str, str]) -> None:
        self._candidates = candidates
        self._markers = markers

    @property
    def _installed(self) -> Installed:
        return self._candidates.installed

    def holding(self, name: str, extra: str = "") -> list[Wanted]:
        """Return the requirements of an installed distribution that what is there satisfies."""
        declared = readable_requirements(self._installed.requires_dist(name), extra, self._markers, by=name)
        return [each for each in declared if self._holds(each)]

    def dependents(self, name: str) -> list[str]:
        """Return the installed distributions whose requirement of `name` holds, by name."""
        return self._dependents.get(name, [])

    @cached_property
    def _dependents(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in sorted(self._installed.names()):
            for needed in {normalise(each.requirement.name) for each in self.holding(name)}:
                found.setdefault(needed, []).append(name)
        return found

    def _holds(self, wanted: Wanted) -> bool:
        there = self._candidates.version_there(normalise(wanted.requirement.name))
        return there is not None and satisfies(there, wanted.requirement.specifier)
