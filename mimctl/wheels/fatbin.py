"""Reads off a compiled CUDA library which GPUs it has machine code for, and which PTX (the ELF section .nv_fatbin).

The section is a row of containers, one a translation unit. NVIDIA documents no format; the fields used here are those
that nvcc 11 to 13 write, compressed or not: a header of 16 bytes (magic, version, its own size, size of what follows),
then entries, each with a header (kind, its own size, size of the code, architecture at byte 28, flags at byte 40).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from mimctl.errors import IntegrityError
from mimctl.wheels.elf import read_section

SECTION = ".nv_fatbin"
_MAGIC = 0xBA55ED50
_KIND_PTX, _KIND_ELF = 1, 2
_FLAG_ARCH_SPECIFIC, _FLAG_FAMILY_SPECIFIC = 0x100000, 0x200000
_MAX_ENTRIES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuCode:
    """Which GPUs a library has code for, as compute capabilities: "9.0", "12.0", "9.0a"."""

    archs: tuple[str, ...] = ()
    """Machine code that every part of the library has."""
    ptx: tuple[str, ...] = ()
    """PTX that every part with kernels has."""
    partial: tuple[str, ...] = ()
    """What only some parts have, "9.0" or "PTX 12.0": operators that would fail on these GPUs."""


def read_gpu_code(data: bytes, name: str) -> GpuCode:
    """Return which GPUs the ELF library `data` has code for; IntegrityError[bad-wheel] where that cannot be read."""
    section = read_section(data, SECTION, name)
    if section is None:
        return GpuCode()
    try:
        containers = list(_containers(section))
    except (struct.error, ValueError) as err:
        cause = f"{SECTION}: {err}"
        raise IntegrityError(f"`{name}` has GPU code that cannot be read", code="bad-wheel", causes=[cause]) from err
    codes = [frozenset(each for kind, each in entries if kind == _KIND_ELF) for entries in containers]
    ptxs = [frozenset(each for kind, each in entries if kind == _KIND_PTX) for entries in containers]
    if any(ptxs) and ptxs.count(frozenset()) == 1:
        ptxs.remove(frozenset())  # the stub of nvcc's device link: machine code without kernels
    archs, ptx = _common(codes), _common(ptxs)
    partial = [*_sorted(_union(codes) - archs), *(f"PTX {x}" for x in _sorted(_union(ptxs) - ptx))]
    return GpuCode(archs=_sorted(archs), ptx=_sorted(ptx), partial=tuple(partial))


def _common(sets: list[frozenset[str]]) -> frozenset[str]:
    return frozenset.intersection(*sets) if sets else frozenset()


def _union(sets: list[frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*sets)


def _sorted(archs: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(archs, key=lambda arch: (float(arch.rstrip("af")), arch)))


def _containers(section: bytes) -> Iterator[list[tuple[int, str]]]:
    """Yield each container's entries as (kind, compute capability)."""
    place, seen = 0, 0
    while place < len(section):
        if section[place : place + 8] == bytes(8):  # the linker's padding between two object files
            place += 8
            continue
        magic, _version, header, size = struct.unpack_from("<IHHQ", section, place)
        end = place + header + size
        if magic != _MAGIC or header < 16 or end > len(section):
            raise ValueError(f"no fat binary at byte {place}")
        entries = list(_entries(section, place + header, end))
        seen += len(entries) + 1
        if seen > _MAX_ENTRIES:
            raise ValueError("its parts are endless")
        yield entries
        place = end


def _entries(section: bytes, place: int, end: int) -> Iterator[tuple[int, str]]:
    while place < end:
        kind, _version, header, size = struct.unpack_from("<HHIQ", section, place)
        if header < 48 or place + header + size > end:
            raise ValueError(f"a damaged entry at byte {place}")
        (number,) = struct.unpack_from("<I", section, place + 28)
        (flags,) = struct.unpack_from("<Q", section, place + 40)
        if kind in (_KIND_PTX, _KIND_ELF):
            yield kind, _capability(number, flags)
        place += header + size


def _capability(number: int, flags: int) -> str:
    suffix = "a" if flags & _FLAG_ARCH_SPECIFIC else "f" if flags & _FLAG_FAMILY_SPECIFIC else ""
    return f"{number // 10}.{number % 10}{suffix}"
