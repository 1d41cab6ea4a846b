"""Which of our own distributions are needed and at which versions, from requirements alone (pure)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mimctl.environment.distributions import normalise
from mimctl.environment.model import Environment
from mimctl.errors import MimctlError
from mimctl.index.model import IndexFile
from mimctl.installer.names import is_own
from mimctl.resolution.model import Wanted as Wanted
from mimctl.resolution.requirements import marker_environment, requirements_of

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_MAX_PASSES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """The answer for one of our distributions: a file to install, or (file None) what is installed stays."""

    name: str
    version: str
    requires_dist: tuple[str, ...]
    file: IndexFile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """All that the requests need: our own picks, and the requirements on everything else."""

    picks: Mapping[str, Pick] = field(default_factory=dict)
    others: tuple[Wanted, ...] = ()
    needed_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Who requires each of the picks; the empty text is the person."""


Chooser = Callable[[str, Sequence[Wanted]], Pick]


def close(requests: Iterable[Requirement], env: Environment, pick: Chooser) -> Closure:
    """Follow requirements from `requests` through our own distributions.

    `pick` answers for one of them given all that is wanted of it. Each pass asks again with what the last one
    learned, until nothing changes. Raises MimctlError[conflicting-requirements] where that never happens.
    """
    first = tuple(Wanted(requirement=each) for each in requests)
    known: dict[str, list[Wanted]] = {}
    for _ in range(_MAX_PASSES):
        closure, seen = _pass(first, known, marker_environment(env), pick)
        if _texts(seen) == _texts(known):
            return closure
        known = seen
    raise MimctlError(
        "the requirements of these distributions contradict each other",
        code="conflicting-requirements",
        causes=[f"{name}: {', '.join(sorted(texts))}" for name, texts in sorted(_texts(known).items())],
    )


def _pass(
    first: tuple[Wanted, ...], known: Mapping[str, list[Wanted]], markers: Mapping[str, str], pick: Chooser
) -> tuple[Closure, dict[str, list[Wanted]]]:
    picks: dict[str, Pick] = {}
    seen: dict[str, list[Wanted]] = {}
    others: list[Wanted] = []
    done: set[tuple[str, str]] = set()
    queue = list(first)
    while queue:
        wanted = queue.pop(0)
        name = normalise(wanted.requirement.name)
        if not is_own(name):
            others.append(wanted)
            continue
        seen.setdefault(name, []).append(wanted)
        if name not in picks:
            picks[name] = pick(name, [*known.get(name, []), *seen[name]])
        for extra in ("", *sorted(wanted.requirement.extras)):
            if (name, extra) not in done:
                done.add((name, extra))
                queue.extend(requirements_of(picks[name].requires_dist, extra, markers, by=name))
    needed_by = {name: tuple(sorted({each.by for each in wanted})) for name, wanted in seen.items()}
    return Closure(picks=picks, others=tuple(others), needed_by=needed_by), seen


def _texts(wanted: Mapping[str, Sequence[Wanted]]) -> dict[str, frozenset[str]]:
    return {name: frozenset(str(each.requirement) for each in entries) for name, entries in wanted.items()}
