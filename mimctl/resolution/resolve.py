"""Find one consistent set of distributions for what is wanted: pure, bounded, the same for every installer."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from resolvelib import BaseReporter, ResolutionImpossible, ResolutionTooDeep
from resolvelib.resolvers import Resolution as Attempt

from mimctl.environment.distributions import normalise
from mimctl.environment.model import Environment
from mimctl.errors import MimctlError
from mimctl.resolution.answer import Found, reached, to_resolution
from mimctl.resolution.candidates import Candidates
from mimctl.resolution.guard import Guard
from mimctl.resolution.model import Catalog, Installed, Provided, Resolution, ResolveOptions, Wanted
from mimctl.resolution.names import CV2_NAMES, OPENCV, OPENCV_CONTRIB, is_own
from mimctl.resolution.needs import DeadEnd, Need
from mimctl.resolution.provider import AgainError, HopelessError, Provider, StepByStep, Watching
from mimctl.resolution.refusals import explain
from mimctl.resolution.requirements import holds, is_same_version, marker_environment, parse_version

MAX_ROUNDS = 20_000
"""A round pins one name or takes one back; real requests need as many as they bring distributions."""
MAX_PATIENT_ROUNDS = 1000
"""For the second look at what seems to have no answer."""


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
    return to_resolution(search.run(), search.requests, candidates)


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
        self.requests = [each for each in (*requests, *given) if holds(each.requirement, "", self._markers)]
        self._requested = frozenset(normalise(each.requirement.name) for each in self.requests)

    def run(self) -> Found:
        """Return the best answer; raise the error for people where there is none."""
        has_installed = any(True for _ in self._candidates.installed.names())
        try:
            if not has_installed:
                return self._attempt(is_frozen=False, is_careful=False)
            return self._with_installed()
        except _NoAnswerError as err:
            raise explain(err.dead_end, self._candidates) from None

    def _with_installed(self) -> Found:
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

    def _frozen(self) -> Found | None:
        """Return an answer that changes nothing of others' that is installed, None where there is none."""
        if self._candidates.options.upgrade_all:
            return None
        try:
            # What others require of each other is read only if something installed changes.
            found = self._attempt(is_frozen=True, is_careful=False)
            return self._attempt(is_frozen=True, is_careful=True) if self._changes_installed(found) else found
        except _NoAnswerError:
            return None

    def _attempt(self, *, is_frozen: bool, is_careful: bool, opencv: str | None = None) -> Found:
        flavour = opencv or self._opencv()
        open_provider = functools.partial(
            Provider,
            self._candidates,
            markers=self._markers,
            requested=self._requested,
            opencv=flavour,
            is_frozen=is_frozen,
            is_careful=is_careful,
            guard=self._guard,
        )
        provider = open_provider()
        needs = [need for wanted in self.requests for need in provider.needs(wanted)]
        try:
            provider.ask(needs)
            state = _state(provider, needs)
        except HopelessError as err:
            raise _NoAnswerError(DeadEnd(identifier=needs[0].identifier, needs=tuple(needs))) from err
        except ResolutionImpossible as err:
            thorough = StepByStep(*open_provider.args, **open_provider.keywords)
            state = _state_step_by_step(thorough, needs)
            if state is None:
                raise _NoAnswerError(_telling(provider.dead_ends, err.causes)) from err
        except ResolutionTooDeep as err:
            raise _too_long(self.requests) from err
        found = reached(state.mapping, state.criteria)
        if opencv is None and flavour == OPENCV and _wants_contrib(found):
            return self._attempt(is_frozen=is_frozen, is_careful=is_careful, opencv=OPENCV_CONTRIB)
        return found

    def _opencv(self) -> str:
        """Return which OpenCV serves all its names where none is there: the one that was asked for, else headless."""
        asked = [*self._candidates.provided, *(normalise(each.requirement.name) for each in self.requests)]
        return next((name for name in asked if name in CV2_NAMES), OPENCV)

    def _changes_installed(self, found: Found) -> bool:
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

    def _may_be_newer(self, found: Found) -> bool:
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

    def _is_newer(self, free: Found, frozen: Found) -> bool:
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


def _state(provider: Provider, needs: Sequence[Need]) -> Any:
    """Return where one attempt ends, begun anew as often as candidates turn out to be none."""
    reporter: BaseReporter[Any, Any, Any] = BaseReporter()
    while True:
        with contextlib.suppress(AgainError):
            return Attempt(provider, reporter).resolve(needs, max_rounds=MAX_ROUNDS)


def _state_step_by_step(provider: StepByStep, needs: Sequence[Need]) -> Any:
    """Return where a search ends that leaps over nothing; None where it finds nothing in so many steps."""
    try:
        provider.ask(needs)
        while True:
            with contextlib.suppress(AgainError):
                return Attempt(provider, Watching(provider)).resolve(needs, max_rounds=MAX_PATIENT_ROUNDS)
    except (HopelessError, ResolutionImpossible, ResolutionTooDeep):
        return None


def _with_names(options: ResolveOptions) -> ResolveOptions:
    return replace(
        options,
        upgrade=frozenset(map(normalise, options.upgrade)),
        reinstall=frozenset(map(normalise, options.reinstall)),
    )


def _wants_contrib(found: Found) -> bool:
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
