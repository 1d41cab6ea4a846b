"""Judges a compiled wheel by what its libraries need: the manylinux tag it may bear, whether its ABI is stable."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mimctl.errors import MimctlError
from mimctl.wheels.elf import Needs, read_needs

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

_LIBC = ("libc.so.6", "libm.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0")
_LOADERS = ("ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1")
_SYSTEM_LIBRARIES = frozenset((*_LIBC, *_LOADERS, "libgcc_s.so.1", "libstdc++.so.6"))
_TORCH_LIBRARIES = frozenset(("libtorch.so",))
_UNSTABLE_SYMBOL = re.compile(r"_ZN?K?[A-Z]*(?:2at|3c10|5torch|5caffe)|Py[A-Z_]|_Py")
"""Names of torch's C++ interface and of Python's: neither is promised to stay from one release to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What a compiled wheel needs, and so which platform tag it may bear."""

    glibc: str
    """The oldest distribution generation that serves, "2.34"."""
    needed_glibc: str
    """The newest symbol version of glibc itself that is needed, "2.32"."""
    libraries: tuple[str, ...]


def audit_libraries(libraries: Iterable[tuple[str, bytes]], *, own: Iterable[str] = ()) -> Audit:
    """Audit shared libraries given as (name, bytes); `own` are names of libraries that lie in the same wheel.

    Raises MimctlError[wheel-audit] for a library that no manylinux system offers, a path of the build machine in it,
    or a symbol that torch or Python does not keep stable.
    """
    needs = [(name, read_needs(data, name)) for name, data in libraries]
    causes = [cause for name, each in needs for cause in _faults(name, each, frozenset(own))]
    if causes:
        raise MimctlError(
            "the wheel would not load on other machines",
            code="wheel-audit",
            causes=causes,
            hints=["build operators on the LibTorch stable ABI only: docs/how-to/add-an-op.md"],
        )
    newest = {family: _newest(family, needs) for family in _FAMILIES}
    return Audit(
        glibc=_generation(newest),
        needed_glibc=".".join(map(str, newest["GLIBC"])) or "2.17",
        libraries=tuple(sorted({library for _, each in needs for library in each.libraries})),
    )


def _faults(name: str, needs: Needs, own: frozenset[str]) -> list[str]:
    known = _SYSTEM_LIBRARIES | _TORCH_LIBRARIES | own
    faults = [f"{name} needs the library {each}" for each in needs.libraries if each not in known]
    faults += [f"{name} looks for libraries in {each}" for each in needs.run_paths if not each.startswith("$ORIGIN")]
    unstable = [symbol for symbol in needs.symbols if _UNSTABLE_SYMBOL.match(symbol)]
    faults += [f"{name} needs the unstable symbol {symbol}" for symbol in unstable[:5]]
    return faults


def _newest(family: str, needs: Iterable[tuple[str, Needs]]) -> tuple[int, ...]:
    pattern = re.compile(rf"{family}_(\d+(?:\.\d+)*)")
    found = [pattern.fullmatch(version) for _, each in needs for version in each.versions]
    return max((_numbers(match[1]) for match in found if match), default=())


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _generation(newest: dict[str, tuple[int, ...]]) -> str:
    for row in _GENERATIONS:
        if all(newest[family] <= _numbers(limit) for family, limit in zip(_FAMILIES, row, strict=True)):
            return row[0]
    facts = ", ".join(f"{family} {'.'.join(map(str, value))}" for family, value in newest.items() if value)
    raise MimctlError(
        "the wheel needs a newer system than any known manylinux generation",
        code="wheel-audit",
        causes=[f"needed: {facts}"],
        hints=["build it on an older distribution, for instance in a manylinux_2_28 container"],
    )
