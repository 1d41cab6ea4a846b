"""What the backtracking resolver asks: who is meant, what may serve, what that needs in turn (resolvelib's words)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from resolvelib.providers import AbstractProvider
from resolvelib.reporters import BaseReporter

from mimctl.environment.distributions import normalise
from mimctl.resolution.ahead import ReadAhead
from mimctl.resolution.candidates import NEVER, PYTHON, Candidate, Candidates
from mimctl.resolution.guard import Guard
from mimctl.resolution.model import Wanted
from mimctl.resolution.names import CV2_NAMES, OPENCV, PREFIX, TORCH_FAMILY, is_own
from mimctl.resolution.needs import DeadEnd, Need, extra_of, name_of, never, python_needed
from mimctl.resolution.requirements import (
    holds,
    is_of_another_extra,
    parse_requirement,
    readable_requirements,
    requirements_of,
    satisfies,
)

ENGINE_EXTRA = "engine"
CV2_REASON = f"{PREFIX}[{ENGINE_EXTRA}]"


class HopelessError(Exception):
    """Something that was asked for cannot be had as things stand."""


class AgainError(Exception):
    """What was pinned before has turned out to be no candidate at all: with that known, begin anew."""


_Key: TypeAlias = tuple[str, object]
"""A candidate: its identifier and its key."""
Information: TypeAlias = Mapping[str, Iterator[Any]]
if TYPE_CHECKING:
    _Base = AbstractProvider[Need, Candidate, str]
    _Reporter = BaseReporter[Need, Candidate, str]
else:
    _Reporter = BaseReporter
    _Base = AbstractProvider  # no generic class in resolvelib 1.0


class Provider(_Base):
    """Serves one attempt.

    With `is_frozen` no installed third-party distribution has another candidate than itself; with `is_careful` what an
    installed one requires goes on to hold, and whoever requires one that changes joins.
    """

    def __init__(
        self,
        candidates: Candidates,
        *,
        markers: Mapping[str, str],
        requested: frozenset[str],
        opencv: str = OPENCV,
        is_frozen: bool = False,
        is_careful: bool = True,
        guard: Guard,
    ) -> None:
        self.candidates = candidates
        self.dead_ends: list[DeadEnd] = []
        self._markers = markers
        self._requested = requested
        self._opencv = opencv
        self._is_frozen = is_frozen
        self._is_careful = is_careful
        self._guard = guard
        self._doomed: set[_Key] = set()
        self._users: dict[str, dict[tuple[_Key | None, str], Need]] = {}
        self._constraints = _by_name(candidates.options.constraints)
        self._ahead = ReadAhead(candidates, needs_of=self._needs_of, specifier=self.specifier, is_frozen=is_frozen)

    def identify(self, requirement_or_candidate: Need | Candidate) -> str:
        """Return the name, with the extra where one is meant."""
        return requirement_or_candidate.identifier

    def get_preference(
        self,
        identifier: str,
        resolutions: Mapping[str, Candidate],
        candidates: Mapping[str, Iterator[Candidate]],
        information: Information,
        backtrack_causes: Sequence[Any],
    ) -> tuple[Any, ...]:
        """Order names: what leaves no choice first, then what was in the way, what is pinned, what was asked for."""
        needs = list(information[identifier])
        name = name_of(identifier)
        specifiers = [each.requirement.specifier for each in needs]
        return (
            name not in (NEVER, PYTHON),
            self.candidates.fixed(name) is None and name not in self.candidates.provided and name != "torch",
            not any(cause.requirement.identifier == identifier for cause in backtrack_causes),
            not any(part.operator in ("==", "===") for specifier in specifiers for part in specifier),
            not any(each.parent is None for each in needs),
            not is_own(name),
            not any(specifiers),
            name,
            identifier,
        )

    def find_matches(
        self,
        identifier: str,
        requirements: Mapping[str, Iterator[Need]],
        incompatibilities: Mapping[str, Iterator[Candidate]],
    ) -> Callable[[], Iterator[Candidate]]:
        """Return what yields the candidates that all requirements on a name leave, the best first."""
        name, extra = name_of(identifier), extra_of(identifier)
        needs = list(requirements[identifier])
        rejected = {each.key for each in incompatibilities[identifier]}
        if extra and name in requirements:
            needs += requirements[name]
        specifier = self.specifier(name, needs)
        bases = {each.base.key for each in needs if each.base is not None}

        def serving() -> Iterator[Candidate]:
            for each in self.candidates.find(name, specifier, is_frozen=self._is_frozen):
                if each.key not in rejected and bases <= {each.key} and (identifier, each.key) not in self._doomed:
                    yield replace(each, extra=extra) if extra else each

        if not rejected and next(serving(), None) is None:
            self.dead_ends.append(DeadEnd(identifier=identifier, needs=tuple(needs)))
        return serving

    def is_satisfied_by(self, requirement: Need, candidate: Candidate) -> bool:
        """Return whether a candidate serves a need."""
        if requirement.base is not None:
            return requirement.base.key == candidate.key
        return candidate.is_absent or satisfies(candidate.version, requirement.specifier)

    def get_dependencies(self, candidate: Candidate) -> Iterator[Need]:
        """Yield what a candidate needs; nothing more is read once one of them cannot be had."""
        if candidate.extra:
            wanted = Wanted(requirement=Requirement(candidate.name), by=candidate.identifier)
            yield Need(name=candidate.name, wanted=wanted, base=replace(candidate, extra=""))
        yield from self._unsaid(candidate)
        if candidate.is_absent or candidate.name == PYTHON:
            return
        if not candidate.is_kept and not candidate.extra:
            yield from self._joining(candidate)
        try:
            needs = self._declared(candidate)
        except InvalidRequirement as err:
            yield never(f"a requirement of {candidate.name} {candidate.version} cannot be read: {err}", candidate)
            return
        self._ahead.read(needs)
        if self._is_frozen and not self._note_needs((candidate.identifier, candidate.key), needs):
            yield never("what is installed is in the way", candidate)
            return
        yield from needs

    def ask(self, needs: Sequence[Need]) -> None:
        """Take what is asked for; raise HopelessError where what is installed is in the way."""
        self._ahead.read(needs)
        if self._is_frozen and not self._note_needs(None, needs):
            raise HopelessError

    def _note_needs(self, user: _Key | None, needs: Sequence[Need]) -> bool:
        """Remember who has these needs; return whether each can be had, and rule the candidate out where one cannot.

        What is installed may rule out a version for good, and with it the versions of others that need just that one.
        To know this at once spares the search the product of all versions of all names that were pinned before.
        """
        for need in needs:
            self._users.setdefault(need.identifier, {})[user, str(need.specifier)] = need
        if all(map(self._can_be_had, needs)):
            return True
        if user is not None:
            self._rule_out(user)
        return False

    def _rule_out(self, candidate: _Key) -> None:
        self._doomed.add(candidate)
        users = self._users.get(candidate[0], {}).items()
        fallen = [user for (user, _), need in users if not self._can_be_had(need)]
        if None in fallen:
            raise HopelessError
        fresh = [user for user in fallen if user is not None and user not in self._doomed]
        for user in fresh:
            self._rule_out(user)
        if fresh:
            raise AgainError

    def _can_be_had(self, need: Need) -> bool:
        """Return whether anything serves a need, whatever is chosen of other names."""
        found = self.candidates.find(need.name, self.specifier(need.name, [need]), is_frozen=self._is_frozen)
        return any((need.identifier, each.key) not in self._doomed for each in found)

    def needs(self, wanted: Wanted) -> Iterator[Need]:
        """Yield a need for the name of a requirement and one for each of its extras."""
        name = normalise(wanted.requirement.name)
        is_known = name in self.candidates.provided or self.candidates.version_there(name) is not None
        if wanted.requirement.url is not None and not is_known:
            yield never(f"{wanted.by} names an address for {name}", None, wanted)
            return
        if name in CV2_NAMES and self.candidates.installed.get(name) is None and name not in self.candidates.provided:
            if self.candidates.has_cv2:
                return
            name = self._opencv
        yield Need(name=name, wanted=wanted)
        for extra in sorted(map(normalise, wanted.requirement.extras)):
            yield Need(name=name, wanted=wanted, extra=extra)

    def specifier(self, name: str, needs: Sequence[Need]) -> SpecifierSet:
        """Return the versions that are left by what is wanted and by constraints."""
        joined = SpecifierSet()
        for need in needs:
            joined &= need.specifier
        for wanted in self._constraints.get(name, ()):
            joined &= wanted.requirement.specifier
        return joined

    def _joining(self, candidate: Candidate) -> Iterator[Need]:
        """Yield a need for everything installed that requires what is about to change."""
        there = self.candidates.version_there(candidate.name)
        if not self._is_careful or there is None or there == candidate.version:
            return
        for name in self._guard.dependents(candidate.name):
            wanted = Wanted(requirement=Requirement(name), by=candidate.name)
            yield Need(name=name, wanted=wanted, goes_with=candidate.name)

    def _needs_of(self, candidate: Candidate) -> list[Need]:
        return [*self._unsaid(candidate), *self._declared(candidate)]

    def _unsaid(self, candidate: Candidate) -> Iterator[Need]:
        """Yield what metadata cannot say: that any OpenCV serves the engine."""
        if candidate.name == PREFIX and candidate.extra == ENGINE_EXTRA:
            yield from self.needs(Wanted(requirement=Requirement(OPENCV), by=CV2_REASON))

    def _declared(self, candidate: Candidate) -> list[Need]:
        return [need for wanted in self._requirements(candidate) for need in self.needs(wanted)]

    def _requirements(self, candidate: Candidate) -> Iterator[Wanted]:
        name, extra = candidate.name, candidate.extra
        if candidate.is_kept:
            yield from self._kept_requirements(name, extra)
            return
        if candidate.file is not None:
            metadata = self.candidates.catalog.metadata(candidate.file)
            if not extra and metadata.requires_python != candidate.file.requires_python:
                yield from python_needed(metadata, candidate)
        else:
            assert candidate.provided is not None
            metadata = candidate.provided.metadata
            if not extra:
                yield from python_needed(metadata, candidate)
        if is_own(name):
            yield from requirements_of(metadata.requires_dist, extra, self._markers, by=name)
            return
        by = f"{name}[{extra}]" if extra else name
        for text in metadata.requires_dist:
            if is_of_another_extra(text, extra):
                continue
            requirement = parse_requirement(text)
            if holds(requirement, extra, self._markers):
                yield Wanted(requirement=requirement, by=by)

    def _kept_requirements(self, name: str, extra: str) -> list[Wanted]:
        """Return all that counts of what stays: of ours and of what was asked for everything, else what holds now."""
        is_followed = name in self._requested or self.candidates.options.follows_kept
        if is_own(name) or (is_followed and name not in TORCH_FAMILY):
            declared = self.candidates.installed.requires_dist(name)
            return readable_requirements(declared, extra, self._markers, by=name)
        return self._guard.holding(name, extra) if self._is_careful else []


def _by_name(constraints: Sequence[Wanted]) -> dict[str, list[Wanted]]:
    found: dict[str, list[Wanted]] = {}
    for each in constraints:
        found.setdefault(normalise(each.requirement.name), []).append(each)
    return found


class StepByStep(Provider):
    """Has the search take back one pin after the other.

    resolvelib leaps over pins whose requirements have nothing to do with the names in conflict, and so over answers as
    well, now and then. It asks for the requirements of a pin once more to see that: it is told a name in conflict.
    """

    conflict: Need | None = None
    """One of the needs in conflict, while pins are taken back."""

    def get_dependencies(self, candidate: Candidate) -> Iterator[Need]:
        """Yield what a candidate needs; of one that is about to be taken back, that it has to do with the conflict."""
        if self.conflict is not None:
            return iter([self.conflict])
        return super().get_dependencies(candidate)


class Watching(_Reporter):
    """Tells a provider when pins are taken back."""

    def __init__(self, provider: StepByStep) -> None:
        self._provider = provider

    def starting_round(self, index: int) -> None:
        """Take note that pins are made again."""
        self._provider.conflict = None

    def resolving_conflicts(self, causes: Collection[Any]) -> None:
        """Take note that pins are about to be taken back."""
        self._provider.conflict = next(iter(causes)).requirement
