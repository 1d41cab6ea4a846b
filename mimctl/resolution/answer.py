"""What a search has found: who needs what of it, in which order it is told, and as a resolution."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.specifiers import SpecifierSet

from mimctl.environment.distributions import normalise
from mimctl.resolution.candidates import NEVER, PYTHON, Candidate, Candidates
from mimctl.resolution.model import Pick, Resolution, Wanted
from mimctl.resolution.names import is_own
from mimctl.resolution.needs import Need, name_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The answer of one attempt: candidates by identifier, and what was needed of each."""

    mapping: Mapping[str, Candidate]
    needs: Mapping[str, tuple[Need, ...]]


def reached(mapping: Mapping[str, Candidate], criteria: Mapping[str, Any]) -> Found:
    """Return what of an attempt's last state is needed: what was tried and taken back may have left something."""
    needed: dict[str, list[tuple[str, Need]]] = {}
    for identifier in mapping:
        for requirement, parent in criteria[identifier].information:
            if parent is None or mapping.get(parent.identifier) is parent:
                needed.setdefault(parent.identifier if parent else "", []).append((identifier, requirement))
    needs: dict[str, list[Need]] = {}
    done, queue = set(), [""]
    while queue:
        parent = queue.pop()
        if parent not in done:
            done.add(parent)
            for identifier, need in needed.get(parent, ()):
                needs.setdefault(identifier, []).append(need)
                queue.append(identifier)
    return Found(
        mapping={identifier: each for identifier, each in mapping.items() if identifier in needs},
        needs={identifier: tuple(each) for identifier, each in needs.items()},
    )


def to_resolution(found: Found, requests: Iterable[Wanted], candidates: Candidates) -> Resolution:
    """Return an answer as picks in the order in which they are reached, with the trace of each."""
    picks: dict[str, Pick] = {}
    decisions = {}
    for name in _in_order(found, requests):
        each, needs = found.mapping[name], found.needs[name]
        told = {(str(need.wanted.requirement), need.wanted.by): need for need in needs if _is_told(need)}
        picks[name] = Pick(
            name=name,
            version=each.version,
            needed_by=tuple(need.wanted for need in told.values()),
            file=each.file,
            provided=each.provided,
            metadata=candidates.catalog.metadata(each.file) if each.file else None,
            goes_with=tuple(sorted({need.goes_with for need in needs if need.goes_with})),
        )
        if each.file is not None or is_own(name):
            specifier = SpecifierSet()
            for need in told.values():
                specifier &= need.specifier
            decisions[name] = candidates.trace(name, specifier, each.file)
    return Resolution(picks=picks, decisions=decisions)


def _is_told(need: Need) -> bool:
    return need.base is None and not need.goes_with


def _in_order(found: Found, requests: Iterable[Wanted]) -> list[str]:
    """Return the names of an answer breadth first from the requests, those of one step by name."""
    names = {name for name, each in found.mapping.items() if _is_distribution(each)}
    needed_by: dict[str, set[str]] = {}
    for identifier, needs in found.needs.items():
        for need in needs:
            needed_by.setdefault(name_of(need.wanted.by), set()).add(name_of(identifier))
    order: list[str] = []
    # What was asked for may have another name in the answer (OpenCV), and lines of files are people too.
    level = list(dict.fromkeys(normalise(each.requirement.name) for each in requests))
    level += sorted(name for name in needed_by.get("", ()) if name not in level)
    while level:
        fresh = [name for name in dict.fromkeys(level) if name in names and name not in order]
        order += fresh
        level = sorted({each for name in fresh for each in needed_by.get(name, ())} - set(order))
    return [*order, *sorted(names - set(order))]


def _is_distribution(candidate: Candidate) -> bool:
    return not candidate.extra and not candidate.is_absent and candidate.name not in (PYTHON, NEVER)
