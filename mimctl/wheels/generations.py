"""Which glibc a library needs, and which one a manylinux tag promises (PEP 600)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from mimctl.errors import MimctlError

# glibc of a distribution generation → the newest symbol versions of its compiler's libraries (PEP 600 and the
# manylinux policies). A wheel bears the first generation that offers everything it needs.
_GENERATIONS: tuple[tuple[str, str, str, str], ...] = (
    # glibc, GLIBCXX, CXXABI, GCC
    ("2.17", "3.4.19", "1.3.7", "4.8.0"),
    ("2.28", "3.4.24", "1.3.11", "7.0.0"),
    ("2.31", "3.4.28", "1.3.12", "7.0.0"),
    ("2.34", "3.4.29", "1.3.13", "7.0.0"),
    ("2.35", "3.4.30", "1.3.13", "12.0.0"),
    ("2.36", "3.4.30", "1.3.13", "12.0.0"),
    ("2.38", "3.4.30", "1.3.13", "12.0.0"),
    ("2.39", "3.4.33", "1.3.15", "14.0.0"),
    ("2.41", "3.4.33", "1.3.15", "14.0.0"),
)
_FAMILIES = ("GLIBC", "GLIBCXX", "CXXABI", "GCC")
_LEGACY_PLATFORMS = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}


def promise(platform: str) -> tuple[tuple[int, ...], str] | None:
    """Return the glibc version and the machine of a manylinux tag."""
    if found := re.fullmatch(r"manylinux_(\d+)_(\d+)_(\w+)", platform):
        return (int(found[1]), int(found[2])), found[3]
    if found := re.fullmatch(r"(manylinux1|manylinux2010|manylinux2014)_(\w+)", platform):
        return _LEGACY_PLATFORMS[found[1]], found[2]
    return None


def newest_versions(versions: Collection[str]) -> dict[str, tuple[int, ...]]:
    """Return the newest of each family among symbol versions such as GLIBC_2.34; () for a family that is absent."""
    return {family: _newest(family, versions) for family in _FAMILIES}


def _newest(family: str, versions: Iterable[str]) -> tuple[int, ...]:
    pattern = re.compile(rf"{family}_(\d+(?:\.\d+)*)")
    found = [pattern.fullmatch(version) for version in versions]
    return max((numbers(match[1]) for match in found if match), default=())


def needed_glibc(newest: Mapping[str, tuple[int, ...]]) -> str:
    """Return the newest symbol version of glibc itself that is needed, "2.32"."""
    return dotted(newest["GLIBC"]) or "2.17"


def numbers(version: str) -> tuple[int, ...]:
    """Return a version as numbers: "2.34" → (2, 34)."""
    return tuple(map(int, version.split(".")))


def dotted(version: tuple[int, ...]) -> str:
    """Return numbers as a version: (2, 34) → "2.34"."""
    return ".".join(map(str, version))


def generation(newest: Mapping[str, tuple[int, ...]]) -> str:
    """Return the glibc of the oldest generation that offers everything; MimctlError[wheel-audit] where none does."""
    for row in _GENERATIONS:
        if all(newest[family] <= numbers(limit) for family, limit in zip(_FAMILIES, row, strict=True)):
            return row[0]
    facts = ", ".join(f"{family} {dotted(value)}" for family, value in newest.items() if value)
    raise MimctlError(
        "the wheel needs a newer system than any known manylinux generation",
        code="wheel-audit",
        causes=[f"needed: {facts}"],
        hints=["build it on an older distribution, for instance in a manylinux_2_28 container"],
    )
