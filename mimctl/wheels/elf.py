"""Reads off a 64-bit ELF library what it needs from the system: libraries, symbols, versions."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from mimctl.errors import IntegrityError

_SHT_DYNAMIC, _SHT_DYNSYM, _SHT_VERNEED = 6, 11, 0x6FFFFFFE
_DT_NEEDED, _DT_RPATH, _DT_RUNPATH = 1, 15, 29
_MAX_SECTIONS = 4096
_MAX_VERSIONS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a shared library asks of the place it is loaded in."""

    libraries: tuple[str, ...]
    """DT_NEEDED, in order."""
    versions: tuple[str, ...]
    """Symbol versions of other libraries: GLIBC_2.14, GLIBCXX_3.4.21, …, sorted."""
    symbols: tuple[str, ...]
    """Undefined dynamic symbols, sorted."""
    run_paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Section:
    kind: int
    offset: int
    size: int
    link: int
    info: int


def read_needs(data: bytes, name: str) -> Needs:
    """Return what the library `data` needs; raise IntegrityError[bad-wheel] where it is no such ELF file."""
    try:
        return _read(data)
    except (struct.error, ValueError, IndexError, OverflowError) as err:
        raise IntegrityError(f"`{name}` is no readable ELF library", code="bad-wheel", causes=[str(err)]) from err


def _read(data: bytes) -> Needs:
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("no 64-bit little-endian ELF header")
    sections = _sections(data)
    dynamic = _dynamic(data, sections)
    return Needs(
        libraries=tuple(text for tag, text in dynamic if tag == _DT_NEEDED),
        versions=tuple(sorted(_versions(data, sections))),
        symbols=tuple(sorted(_undefined(data, sections))),
        run_paths=tuple(text for tag, text in dynamic if tag in (_DT_RPATH, _DT_RUNPATH)),
    )


def _sections(data: bytes) -> list[_Section]:
    (offset,) = struct.unpack_from("<Q", data, 0x28)
    entry_size, count = struct.unpack_from("<HH", data, 0x3A)
    if entry_size != 64 or not 0 < count <= _MAX_SECTIONS:
        raise ValueError("no section table")
    found = []
    for number in range(count):
        _, kind, _, _, start, size, link, info, _, _ = struct.unpack_from("<IIQQQQIIQQ", data, offset + 64 * number)
        if kind != 8 and start + size > len(data):  # 8: a section without bytes in the file
            raise ValueError(f"section {number} lies outside the file")
        found.append(_Section(kind, start, size, link, info))
    return found


def _one(sections: list[_Section], kind: int) -> _Section | None:
    return next((section for section in sections if section.kind == kind), None)


def _text(data: bytes, strings: _Section, offset: int) -> str:
    start = strings.offset + offset
    end = data.index(b"\0", start, strings.offset + strings.size)
    return data[start:end].decode("ascii")


def _dynamic(data: bytes, sections: list[_Section]) -> list[tuple[int, str]]:
    section = _one(sections, _SHT_DYNAMIC)
    if section is None:
        raise ValueError("not a dynamic library")
    strings = sections[section.link]
    found = []
    for tag, value in struct.iter_unpack("<QQ", data[section.offset : section.offset + section.size // 16 * 16]):
        if tag == 0:
            break
        if tag in (_DT_NEEDED, _DT_RPATH, _DT_RUNPATH):
            found.append((tag, _text(data, strings, value)))
    return found


def _undefined(data: bytes, sections: list[_Section]) -> set[str]:
    section = _one(sections, _SHT_DYNSYM)
    if section is None:
        return set()
    strings = sections[section.link]
    table = data[section.offset : section.offset + section.size // 24 * 24]
    return {
        _text(data, strings, name)
        for name, _info, _other, index, _value, _size in struct.iter_unpack("<IBBHQQ", table)
        if index == 0 and name != 0
    }


def _versions(data: bytes, sections: list[_Section]) -> set[str]:
    section = _one(sections, _SHT_VERNEED)
    if section is None:
        return set()
    strings, found, entry = sections[section.link], [], section.offset
    for _ in range(section.info):
        _version, count, _file, auxiliary, following = struct.unpack_from("<HHIII", data, entry)
        each = entry + auxiliary
        for _ in range(count):
            _hash, _flags, _other, name, next_each = struct.unpack_from("<IHHII", data, each)
            found.append(_text(data, strings, name))
            each += next_each
        entry += following
        if count == 0 or len(found) > _MAX_VERSIONS:
            raise ValueError("its symbol versions are endless")
    return set(found)
