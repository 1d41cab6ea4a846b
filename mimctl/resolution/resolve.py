"""Find one consistent set of distributions for what is wanted: pure, bounded, the same for every installer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from resolvelib import BaseReporter, ResolutionImpossible, ResolutionTooDeep
from resolvelib.resolvers import Resolution as Attempt

from mimctl.environment.distributions import normalise
from mimctl.environment.model import Environment
from mimctl.errors import MimctlError
from mimctl.resolution.candidates import NEVER, PYTHON, Candidate, Candidates
from mimctl.resolution.guard import Guard
from mimctl.resolution.model import Catalog, Installed, Pick, Provided, Resolution, ResolveOptions, Wanted
from mimctl.resolution.names import CV2_NAMES, OPENCV, OPENCV_CONTRIB, is_own
from mimctl.resolution.provider import AgainError, DeadEnd, HopelessError, Need, Provider, name_of
from mimctl.resolution.refusals import explain
from mimctl.resolution.requirements import holds, is_same_version, marker_environment, parse_version

MAX_ROUNDS = 20_000
"""A round pins one name or takes one back; real requests need as many as they bring distributions."""


def resolve(
    requests: Sequence[Wanted],
    *,
    env: Environment,
    catalog: Catalog,
    installed: Installed,
    provided: Mapping[str, Provided] | None = None,
    options: ResolveOptions | None = None,
) -> Resolution:
    """Return what `requests` need in `env`, all the way down, what is installed and stays among it.

    What is installed is preferred, and what nobody asked to upgrade changes only where a requirement makes it; whoever
    requires something that changes is looked at too, so that nothing that holds now is broken. Raises MimctlError
    [conflicting-requirements | resolution-too-long | not-in-index | only-sdist | hash-changed | torch-present |
    torch-unavailable | torch-too-old], NoCompatibleBuildError where no build fits, and what the catalog raises.
    """
    options = options or ResolveOptions()
    candidates = Candidates(
        env=env, catalog=catalog, installed=installed, provided=provided or {}, options=_with_names(options)
    )
    search = _Search(requests, candidates)
    return search.to_resolution(search.run())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """The answer of one attempt: candidates by identifier, and what was needed of each."""

    mapping: Mapping[str, Candidate]
    needs: Mapping[str, tuple[Need, ...]]


class _NoAnswerError(Exception):
    """An attempt has no answer."""

    def __init__(self, dead_end: DeadEnd) -> None:
        super().__init__(dead_end.identifier)
        self.dead_end = dead_end


class _Search:
    """The attempts at one answer: first one that leaves all that is installed alone."""

    def __init__(self, requests: Sequence[Wanted], candidates: Candidates) -> None:
        self._markers = marker_environment(candidates.env)
        self._candidates = candidates
        self._guard = Guard(candidates, self._markers)
        given = [
            Wanted(requirement=Requirement(name))
            for name in candidates.provided
            if all(normalise(each.requirement.name) != name for each in requests)
        ]
        self._requests = [each for each in (*requests, *given) if holds(each.requirement, "", self._markers)]
        self._requested = frozenset(normalise(each.requirement.name) for each in self._requests)

    def run(self) -> _Found:
        """Return the best answer; raise the error for people where there is none."""
        has_installed = any(True for _ in self._candidates.installed.names())
        try:
            if not has_installed:
                return self._attempt(is_frozen=False, is_careful=False)
            return self._with_installed()
        except _NoAnswerError as err:
            raise explain(err.dead_end, self._candidates) from None

    def _with_installed(self) -> _Found:
        frozen = self._frozen()
        if frozen is not None and not self._may_be_newer(frozen):
            return frozen
        try:
            free = self._attempt(is_frozen=False, is_careful=True)
        except _NoAnswerError:
            if frozen is None:
                raise
            return frozen
        return free if frozen is None or self._is_newer(free, frozen) else frozen

    def _frozen(self) -> _Found | None:
        """Return an answer that changes nothing of others' that is installed, None where there is none."""
        if self._candidates.options.upgrade_all:
            return None
        try:
            # What others require of each other is read only if something installed changes.
            found = self._attempt(is_frozen=True, is_careful=False)
            return self._attempt(is_frozen=True, is_careful=True) if self._changes_installed(found) else found
        except _NoAnswerError:
            return None

    def _attempt(self, *, is_frozen: bool, is_careful: bool, opencv: str | None = None) -> _Found:
        flavour = opencv or self._opencv()
        provider = Provider(
            self._candidates,
            markers=self._markers,
            requested=self._requested,
            opencv=flavour,
            is_frozen=is_frozen,
            is_careful=is_careful,
            guard=self._guard,
        )
        needs = [need for wanted in self._requests for need in provider.needs(wanted)]
        try:
            provider.ask(needs)
            state = _state(provider, needs)
        except HopelessError as err:
            raise _NoAnswerError(DeadEnd(identifier=needs[0].identifier, needs=tuple(needs))) from err
        except ResolutionImpossible as err:
            raise _NoAnswerError(_telling(provider.dead_ends, err.causes)) from err
        except ResolutionTooDeep as err:
            raise _too_long(self._requests) from err
        found = _reached(state.mapping, state.criteria)
        if opencv is None and flavour == OPENCV and _wants_contrib(found):
            return self._attempt(is_frozen=is_frozen, is_careful=is_careful, opencv=OPENCV_CONTRIB)
        return found

    def _opencv(self) -> str:
        """Return which OpenCV serves all its names where none is there: the one that was asked for, else headless."""
        asked = [*self._candidates.provided, *(normalise(each.requirement.name) for each in self._requests)]
        return next((name for name in asked if name in CV2_NAMES), OPENCV)

    def _changes_installed(self, found: _Found) -> bool:
        for each in found.mapping.values():
            there = self._candidates.version_there(each.name)
            if (
                there is not None
                and not each.is_kept
                and not each.is_absent
                and not is_same_version(there, each.version)
            ):
                return True
        return False

    def _may_be_newer(self, found: _Found) -> bool:
        """Return whether something of ours, or asked for, would be newer were it not for what is installed."""
        for name, each in found.mapping.items():
            if each.extra or each.is_absent or not (is_own(name) or name in self._requested):
                continue
            specifier = SpecifierSet()
            for need in found.needs[name]:
                specifier &= need.specifier
            first = next(self._candidates.find(name, specifier), None)
            if first is not None and first.key != each.key:
                return True
        return False

    def _is_newer(self, free: _Found, frozen: _Found) -> bool:
        """Return whether what was asked for is newer in one answer, and nothing of it older."""
        is_any_newer = False
        for name in self._requested | {each for each in frozen.mapping if is_own(each)}:
            one, other = free.mapping.get(name), frozen.mapping.get(name)
            if one is None or other is None or one.key == other.key:
                continue
            version, than = parse_version(one.version), parse_version(other.version)
            if version is None or than is None or version < than:
                return False
            is_any_newer = True
        return is_any_newer

    def to_resolution(self, found: _Found) -> Resolution:
        """Return an answer as picks in the order in which they are reached, with the trace of each."""
        picks: dict[str, Pick] = {}
        decisions = {}
        for name in _in_order(found, self._requests):
            each, needs = found.mapping[name], found.needs[name]
            told = {(str(need.wanted.requirement), need.wanted.by): need for need in needs if _is_told(need)}
            picks[name] = Pick(
                name=name,
                version=each.version,
                needed_by=tuple(need.wanted for need in told.values()),
                file=each.file,
                provided=each.provided,
                metadata=self._candidates.catalog.metadata(each.file) if each.file else None,
                goes_with=tuple(sorted({need.goes_with for need in needs if need.goes_with})),
            )
            if each.file is not None or is_own(name):
                specifier = SpecifierSet()
                for need in told.values():
                    specifier &= need.specifier
                decisions[name] = self._candidates.trace(name, specifier, each.file)
        return Resolution(picks=picks, decisions=decisions)


def _state(provider: Provider, needs: Sequence[Need]) -> Any:
    """Return where one attempt ends, begun anew as often as candidates turn out to be none."""
    reporter: BaseReporter[Any, Any, Any] = BaseReporter()
    while True:
        with contextlib.suppress(AgainError):
            return Attempt(provider, reporter).resolve(needs, max_rounds=MAX_ROUNDS)


def _reached(mapping: Mapping[str, Candidate], criteria: Mapping[str, Any]) -> _Found:
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
    return _Found(
        mapping={identifier: each for identifier, each in mapping.items() if identifier in needs},
        needs={identifier: tuple(each) for identifier, each in needs.items()},
    )


def _with_names(options: ResolveOptions) -> ResolveOptions:
    return replace(
        options,
        upgrade=frozenset(map(normalise, options.upgrade)),
        reinstall=frozenset(map(normalise, options.reinstall)),
    )


def _is_told(need: Need) -> bool:
    return need.base is None and not need.goes_with


def _in_order(found: _Found, requests: Iterable[Wanted]) -> list[str]:
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


def _wants_contrib(found: _Found) -> bool:
    return any("contrib" in need.wanted.requirement.name for need in found.needs.get(OPENCV, ()))


def _telling(dead_ends: Sequence[DeadEnd], causes: Iterable[Any]) -> DeadEnd:
    """Return what to tell of a failure: the first thing that could not be had, if it is about the names in the way."""
    needs: dict[str, list[Need]] = {}
    for cause in causes:
        needs.setdefault(cause.requirement.identifier, []).append(cause.requirement)
    for each in dead_ends:
        if each.identifier in needs:
            return each
    identifier = max(needs, key=lambda each: len(needs[each]))
    return DeadEnd(identifier=identifier, needs=tuple(needs[identifier]))


def _too_long(requests: Iterable[Wanted]) -> MimctlError:
    return MimctlError(
        "no consistent set of versions was found in a reasonable time",
        code="resolution-too-long",
        causes=[
            f"asked for: {', '.join(str(each.requirement) for each in requests)}",
            f"{MAX_ROUNDS} steps were tried",
        ],
        hints=["name versions of some of them: `NAME==VERSION`", "or ask for fewer things at once"],
    )
