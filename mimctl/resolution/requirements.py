"""Requirements of distributions: which of them hold in a target, and whether a version satisfies them (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from mimctl.environment.model import Environment
from mimctl.errors import MimctlError

if TYPE_CHECKING:
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    from mimctl.resolution.model import Wanted

_EXTRA = re.compile(r"""\bextra\s*==\s*['"]""")


def requirements_of(requires_dist: Iterable[str], extra: str, markers: Mapping[str, str], *, by: str) -> list[Wanted]:
    """Return the requirements that hold: those without an extra (the empty text), or what `extra` adds to them.

    Raises MimctlError[bad-index] where one cannot be read.
    """
    from mimctl.resolution.model import Wanted

    by = f"{by}[{extra}]" if extra else by
    return [Wanted(requirement=each, by=by) for each in held_requirements(requires_dist, extra, markers, by=by)]


def held_requirements(
    requires_dist: Iterable[str], extra: str, markers: Mapping[str, str], *, by: str
) -> list[Requirement]:
    """Return what `requirements_of` does, without who has it."""
    from packaging.requirements import InvalidRequirement

    found = []
    for text in requires_dist:
        if is_of_another_extra(text, extra):
            continue
        try:
            requirement = parse_requirement(text)
        except InvalidRequirement as err:
            raise MimctlError(
                f"a requirement of `{by}` cannot be read: `{text}`", code="bad-index", causes=[str(err).splitlines()[0]]
            ) from err
        if holds(requirement, extra, markers):
            found.append(requirement)
    return found


def readable_requirements(
    requires_dist: Iterable[str], extra: str, markers: Mapping[str, str], *, by: str
) -> list[Wanted]:
    """Return what `requirements_of` does, without those that cannot be read: an installed distribution's own affair."""
    from packaging.requirements import InvalidRequirement

    readable = []
    for text in requires_dist:
        try:
            parse_requirement(text)
        except InvalidRequirement:
            continue
        readable.append(text)
    return requirements_of(readable, extra, markers, by=by)


def is_of_another_extra(text: str, extra: str) -> bool:
    """Return whether a glance at a requirement tells that it does not hold: most of what is declared is optional, and
    parsing takes a hundred times as long."""
    marker = text.partition(";")[2]
    if extra:
        return _plain(extra) not in _plain(marker)
    return _EXTRA.search(marker) is not None and " or " not in marker and marker.count("extra") == 1


def _plain(text: str) -> str:
    return text.lower().replace("_", "-").replace(".", "-")


@lru_cache(maxsize=4096)
def parse_requirement(text: str) -> Requirement:
    """Return a requirement, parsed once; nobody changes it. Raises packaging's InvalidRequirement."""
    from packaging.requirements import Requirement

    return Requirement(text)


def holds(requirement: Requirement, extra: str, markers: Mapping[str, str]) -> bool:
    """Return whether a requirement holds without an extra (the empty text), or with `extra` and not without it."""
    if requirement.marker is None:
        return not extra
    holds_anyway = requirement.marker.evaluate({**markers, "extra": ""})
    if not extra or holds_anyway:
        return holds_anyway and not extra
    return requirement.marker.evaluate({**markers, "extra": extra})


def satisfies(version: str, specifier: SpecifierSet) -> bool:
    """Return whether a version is among those of a specifier, pre-releases too; what is no version is taken to be."""
    if not specifier:
        return True
    parsed = parse_version(version)
    return True if parsed is None else specifier.contains(parsed, prereleases=True)


@lru_cache(maxsize=65536)
def parse_version(text: str) -> Version | None:
    """Return a version (PEP 440), None where the text is none."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(text)
    except InvalidVersion:
        return None


def is_same_version(one: str, other: str) -> bool:
    """Return whether two texts name one version: `1.0` and `1.0.0` do."""
    return one == other or (parse_version(one) is not None and parse_version(one) == parse_version(other))


def marker_environment(env: Environment) -> dict[str, str]:
    """Return the values of environment markers (PEP 508) in the target."""
    platform = env.platform.value
    major, minor = env.python_release
    names = {"linux": ("Linux", "posix"), "darwin": ("Darwin", "posix"), "win32": ("Windows", "nt")}
    system, os_name = names.get(platform.system, ("", "posix"))
    return {
        "implementation_name": "cpython",
        "implementation_version": env.python.value,
        "os_name": os_name,
        "platform_machine": platform.machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": system,
        "platform_version": "",
        "python_full_version": env.python.value,
        "python_version": f"{major}.{minor}",
        "sys_platform": platform.system,
    }
