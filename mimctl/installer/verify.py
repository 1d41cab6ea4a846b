"""Check an environment: is every declared requirement of what was installed there, and theirs, all the way down."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mimctl.environment.distributions import normalise
from mimctl.environment.model import Environment
from mimctl.errors import MimctlError
from mimctl.installer.state import read_requires_dist
from mimctl.resolution.names import CV2_NAMES
from mimctl.resolution.requirements import held_requirements, marker_environment, readable_requirements

if TYPE_CHECKING:
    from packaging.requirements import Requirement


def missing_requirements(
    env: Environment,
    roots: Iterable[str],
    *,
    without: frozenset[str] = frozenset(),
    untouched: frozenset[str] = frozenset(),
) -> list[str]:
    """Return one line for each requirement of `roots` that is absent or not satisfied, followed recursively.

    A root is a name, perhaps with extras (`mimctl[engine]`). `without` names what is deliberately absent, `untouched`
    distributions whose own requirements are not looked at. A cv2 module of any origin counts as every OpenCV
    distribution.
    """
    from packaging.requirements import Requirement

    markers = marker_environment(env)
    queue: list[tuple[Requirement, str]] = [(Requirement(root), "") for root in roots]
    done: set[tuple[str, str]] = set()
    problems: list[str] = []
    while queue:
        requirement, by = queue.pop()
        name = normalise(requirement.name)
        problem = None if name in without else _problem(env, requirement, by)
        if problem is not None and problem not in problems:
            problems.append(problem)
        distribution = env.distributions.get(name)
        if distribution is None or name in untouched:
            continue
        todo = [extra for extra in ("", *sorted(requirement.extras)) if (name, extra) not in done]
        if todo:
            done.update((name, extra) for extra in todo)
            declared = read_requires_dist(distribution)
            for extra in todo:
                whose = f"{name}[{extra}]" if extra else name
                queue.extend((each, whose) for each in held_requirements(declared, extra, markers, by=whose))
    return sorted(problems)


def check_complete(
    env: Environment,
    roots: Iterable[str],
    *,
    without: frozenset[str] = frozenset(),
    untouched: frozenset[str] = frozenset(),
) -> None:
    """Raise MimctlError[incomplete-install] where a requirement of `roots` is missing (see `missing_requirements`)."""
    problems = missing_requirements(env, roots, without=without, untouched=untouched)
    if problems:
        raise MimctlError(
            "the installer left requirements out",
            code="incomplete-install",
            causes=problems,
            hints=["the environment is as it was before"],
        )


def check_unbroken(before: Environment, after: Environment) -> None:
    """Raise MimctlError[incomplete-install] where a requirement that held does not hold any more.

    That is what `pip check` would find, without what it would have found before: of distributions that are the same.
    """
    changed = {name for name, each in before.distributions.items() if after.distributions.get(name) != each}
    if not changed:
        return
    markers = marker_environment(after)
    problems = []
    for name, distribution in after.distributions.items():
        if before.distributions.get(name) != distribution:
            continue
        for wanted in readable_requirements(read_requires_dist(distribution), "", markers, by=name):
            if normalise(wanted.requirement.name) not in changed:
                continue
            problem = _problem(after, wanted.requirement, name)
            if problem is not None and _problem(before, wanted.requirement, name) is None:
                problems.append(problem)
    if problems:
        raise MimctlError(
            "the change would break what is installed",
            code="incomplete-install",
            causes=sorted(problems),
            hints=["the environment is as it was before"],
        )


def _problem(env: Environment, requirement: Requirement, by: str) -> str | None:
    from packaging.version import InvalidVersion

    name = normalise(requirement.name)
    whose = f" (for {by})" if by else ""
    distribution = env.distributions.get(name)
    if distribution is None:
        if name in CV2_NAMES and env.cv2.value is not None:
            return None
        return f"{requirement}{whose}: not installed"
    torch = env.torch.value
    version = torch.version if name == "torch" and torch is not None else distribution.version
    try:
        fits = requirement.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return None
    return None if fits else f"{requirement}{whose}: found {version}"
