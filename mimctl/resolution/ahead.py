"""Have what the search will most probably ask for read at once, level by level: pages, metadata, what that needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from packaging.requirements import InvalidRequirement
from packaging.specifiers import SpecifierSet

from mimctl.errors import MimctlError
from mimctl.index.model import IndexFile
from mimctl.resolution.candidates import Candidate, Candidates
from mimctl.resolution.names import is_own
from mimctl.resolution.needs import Need
from mimctl.resolution.requirements import satisfies

_MOST_NAMES = 400
"""Where an index invents ever more names, nobody runs further ahead of the search than this."""


class ReadAhead:
    """Serves one attempt; it decides nothing, and a fault is left to whoever asks for the thing itself.

    On a slow index a search that asks for one thing after the other waits as often as there are projects; this waits
    as often as requirements are nested. `needs_of` tells what a candidate needs, `specifier` which versions are left.
    """

    def __init__(
        self,
        candidates: Candidates,
        *,
        needs_of: Callable[[Candidate], Iterable[Need]],
        specifier: Callable[[str, Sequence[Need]], SpecifierSet],
        is_frozen: bool,
    ) -> None:
        self._candidates = candidates
        self._needs_of = needs_of
        self._specifier = specifier
        self._is_frozen = is_frozen
        self._seen: set[str] = set()

    def read(self, needs: Iterable[Need]) -> None:
        """Read what several needs lead to; a single one waits no longer when the search comes to it."""
        level = self._unseen(needs)
        while len({need.name for need in level}) > 1:
            self._candidates.catalog.prefetch(sorted({need.name for need in level}))
            firsts = list(self._firsts(level))
            known = set(self._candidates.catalog.prefetch_metadata([file for _, file in firsts]))
            if len(self._seen) > _MOST_NAMES:
                return
            level = self._unseen(need for each, file in firsts if file in known for need in self._quietly(each))

    def _unseen(self, needs: Iterable[Need]) -> list[Need]:
        """Return the needs that indexes are asked about, of those identifiers that come up for the first time."""
        fresh = [each for each in needs if each.identifier not in self._seen and not self._is_settled(each)]
        self._seen.update(each.identifier for each in fresh)
        return fresh

    def _is_settled(self, need: Need) -> bool:
        """Return whether nothing is asked of indexes for this need, most likely."""
        name = need.name
        if name.startswith("<") or self._candidates.fixed(name) is not None or name in self._candidates.provided:
            return True
        there = self._candidates.version_there(name)
        if there is None or is_own(name) or self._candidates.is_upgraded(name):
            return False
        return satisfies(there, need.specifier)

    def _firsts(self, level: Sequence[Need]) -> Iterator[tuple[Candidate, IndexFile]]:
        """Yield what will most probably be chosen for each identifier, where that is a file of an index."""
        groups: dict[str, list[Need]] = {}
        for need in level:
            groups.setdefault(need.name, []).append(need)
        for name, needs in groups.items():
            try:
                found = self._candidates.find(name, self._specifier(name, needs), is_frozen=self._is_frozen)
                first = next(found, None)
            except MimctlError:
                continue
            if first is not None and first.file is not None:
                for extra in dict.fromkeys(need.extra for need in needs):
                    yield replace(first, extra=extra), first.file

    def _quietly(self, candidate: Candidate) -> list[Need]:
        try:
            return list(self._needs_of(candidate))
        except (InvalidRequirement, MimctlError):
            return []
