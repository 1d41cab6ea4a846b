"""What a wheel says of itself: in its name, its build.json and its requirements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mimctl.wheels.wheelfile import WheelFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What a wheel says of itself, and what is wrong with how it says it."""

    platforms: tuple[str, ...]
    abis: frozenset[str]
    backend: str | None
    toolkit: str | None
    min_driver: str | None
    min_torch: str | None
    required_torch: str | None
    archs: tuple[str, ...]
    ptx: tuple[str, ...]
    wrong: tuple[str, ...]

    @classmethod
    def of(cls, facts: WheelFacts) -> Stated:
        """Read the statements of a wheel."""
        build: Mapping[str, Any] = facts.build or {}
        wrong: list[str] = []

        def text(key: str) -> str | None:
            value = build.get(key)
            if value is None or isinstance(value, str):
                return value
            wrong.append(f"its build.json has a wrong `{key}`")
            return None

        def texts(key: str) -> tuple[str, ...]:
            value = build.get(key) or []
            if isinstance(value, list) and all(isinstance(each, str) for each in value):
                return tuple(value)
            wrong.append(f"its build.json has a wrong `{key}`")
            return ()

        tags = [tag.split("-") for tag in facts.tags]
        return cls(
            platforms=tuple(sorted({tag[2] for tag in tags})),
            abis=frozenset(tag[1] for tag in tags),
            backend=text("backend"),
            toolkit=text("toolkit"),
            min_driver=text("min_driver"),
            min_torch=text("min_torch"),
            required_torch=_required_torch(facts.requires_dist),
            archs=texts("archs"),
            ptx=texts("ptx"),
            wrong=tuple(wrong),
        )


def _required_torch(requirements: Iterable[str]) -> str | None:
    """Return the oldest torch that the requirements let in, None where none says so."""
    from packaging.requirements import InvalidRequirement, Requirement

    for text in requirements:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.name.lower() == "torch" and requirement.marker is None:
            return next((each.version for each in requirement.specifier if each.operator in (">=", "~=", "==")), None)
    return None


def same_release(first: str, second: str | None) -> bool:
    """Return whether two versions are one, however they are written."""
    from packaging.version import InvalidVersion, Version

    try:
        return second is not None and Version(first) == Version(second)
    except InvalidVersion:
        return False
