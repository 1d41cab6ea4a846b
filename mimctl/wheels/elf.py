"""Reads off a 64-bit ELF library what it needs from the system: libraries, symbols, versions."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from mimctl.errors import IntegrityError

_SHT_DYNAMIC, _SHT_NOBITS, _SHT_DYNSYM, _SHT_VERNEED, _SHT_VERSYM = 6, 8, 11, 0x6FFFFFFE, 0x6FFFFFFF
_DT_NEEDED, _DT_RPATH, _DT_TEXTREL, _DT_RUNPATH, _DT_FLAGS = 1, 15, 22, 29, 30
_DF_TEXTREL = 4
_PT_GNU_STACK, _PF_X = 0x6474E551, 1
_STB_GLOBAL, _STB_WEAK = 1, 2
_MACHINES = {62: "x86_64", 183: "aarch64"}
_MAX_SECTIONS = 4096
_MAX_VERSIONS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    """A symbol that another library has to bring."""

    name: str
    version: str | None
    """The version it is bound to, GLIBC_2.14; None for libraries without versions, as torch's are."""
    is_weak: bool
    """Whether the library loads without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a shared library asks of the place it is loaded in."""

    machine: str
    """x86_64, aarch64, or the ELF number of another."""
    libraries: tuple[str, ...]
    """DT_NEEDED, in order."""
    versions: tuple[str, ...]
    """Symbol versions of other libraries: GLIBC_2.14, GLIBCXX_3.4.21, …, sorted."""
    undefined: tuple[Symbol, ...]
    """Undefined dynamic symbols, sorted by name."""
    exports: tuple[str, ...]
    """Dynamic symbols that it defines, sorted."""
    run_paths: tuple[str, ...]
    has_executable_stack: bool
    has_text_relocations: bool


@dataclass(frozen=True, slots=True)
class _Section:
    name: int
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
        raise _unreadable(name, err) from err


def read_section(data: bytes, section: str, name: str) -> bytes | None:
    """Return the bytes of a section such as `.nv_fatbin`, None where there is none; IntegrityError[bad-wheel]."""
    try:
        sections = _sections(data)
        (names,) = struct.unpack_from("<H", data, 0x3E)
        for each in sections:
            if each.kind != _SHT_NOBITS and _text(data, sections[names], each.name) == section:
                return data[each.offset : each.offset + each.size]
    except (struct.error, ValueError, IndexError, OverflowError) as err:
        raise _unreadable(name, err) from err
    return None


def _unreadable(name: str, err: Exception) -> IntegrityError:
    return IntegrityError(f"`{name}` is no readable ELF library", code="bad-wheel", causes=[str(err)])


def _read(data: bytes) -> Needs:
    sections = _sections(data)
    dynamic = list(_dynamic(data, sections))
    strings = sections[_the(sections, _SHT_DYNAMIC).link]
    versions = _versions(data, sections)
    symbols = list(_symbols(data, sections, versions))
    (machine,) = struct.unpack_from("<H", data, 0x12)
    return Needs(
        machine=_MACHINES.get(machine, f"ELF machine {machine}"),
        libraries=tuple(_text(data, strings, value) for tag, value in dynamic if tag == _DT_NEEDED),
        versions=tuple(sorted(set(versions.values()))),
        undefined=tuple(sorted((each for each in symbols if isinstance(each, Symbol)), key=lambda each: each.name)),
        exports=tuple(sorted(each for each in symbols if isinstance(each, str))),
        run_paths=tuple(_text(data, strings, value) for tag, value in dynamic if tag in (_DT_RPATH, _DT_RUNPATH)),
        has_executable_stack=_has_executable_stack(data),
        has_text_relocations=any(
            tag == _DT_TEXTREL or (tag == _DT_FLAGS and value & _DF_TEXTREL) for tag, value in dynamic
        ),
    )


def _sections(data: bytes) -> list[_Section]:
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("no 64-bit little-endian ELF header")
    (offset,) = struct.unpack_from("<Q", data, 0x28)
    entry_size, count = struct.unpack_from("<HH", data, 0x3A)
    if entry_size != 64 or not 0 < count <= _MAX_SECTIONS:
        raise ValueError("no section table")
    found = []
    for number in range(count):
        name, kind, _, _, start, size, link, info, _, _ = struct.unpack_from("<IIQQQQIIQQ", data, offset + 64 * number)
        if kind != _SHT_NOBITS and start + size > len(data):
            raise ValueError(f"section {number} lies outside the file")
        found.append(_Section(name, kind, start, size, link, info))
    return found


def _one(sections: list[_Section], kind: int) -> _Section | None:
    return next((section for section in sections if section.kind == kind), None)


def _the(sections: list[_Section], kind: int) -> _Section:
    section = _one(sections, kind)
    if section is None:
        raise ValueError("not a dynamic library")
    return section


def _text(data: bytes, strings: _Section, offset: int) -> str:
    start = strings.offset + offset
    end = data.index(b"\0", start, strings.offset + strings.size)
    return data[start:end].decode("ascii")


def _has_executable_stack(data: bytes) -> bool:
    """Return whether the program headers ask for it, or leave the choice to the system, which then grants it."""
    (offset,) = struct.unpack_from("<Q", data, 0x20)
    size, count = struct.unpack_from("<HH", data, 0x36)
    for number in range(count):
        kind, flags = struct.unpack_from("<II", data, offset + size * number)
        if kind == _PT_GNU_STACK:
            return bool(flags & _PF_X)
    return True


def _dynamic(data: bytes, sections: list[_Section]) -> Iterator[tuple[int, int]]:
    section = _the(sections, _SHT_DYNAMIC)
    for tag, value in struct.iter_unpack("<QQ", data[section.offset : section.offset + section.size // 16 * 16]):
        if tag == 0:
            return
        yield tag, value


def _symbols(data: bytes, sections: list[_Section], versions: dict[int, str]) -> Iterator[Symbol | str]:
    """Yield undefined symbols as Symbol and defined ones that others can see by their name."""
    section = _one(sections, _SHT_DYNSYM)
    if section is None:
        return
    strings, count = sections[section.link], section.size // 24
    numbers = _one(sections, _SHT_VERSYM)
    table = data[section.offset : section.offset + count * 24]
    for place, (name, info, _other, index, _value, _size) in enumerate(struct.iter_unpack("<IBBHQQ", table)):
        if name == 0 or info >> 4 not in (_STB_GLOBAL, _STB_WEAK):
            continue
        text = _text(data, strings, name)
        if index != 0:
            yield text
            continue
        number = struct.unpack_from("<H", data, numbers.offset + 2 * place)[0] & 0x7FFF if numbers else 0
        yield Symbol(name=text, version=versions.get(number), is_weak=info >> 4 == _STB_WEAK)


def _versions(data: bytes, sections: list[_Section]) -> dict[int, str]:
    """Return the symbol versions that other libraries must have, by the number that .gnu.version uses."""
    section = _one(sections, _SHT_VERNEED)
    found: dict[int, str] = {}
    if section is None:
        return found
    strings, entry, seen = sections[section.link], section.offset, 0
    for _ in range(section.info):
        _version, count, _file, auxiliary, following = struct.unpack_from("<HHIII", data, entry)
        each = entry + auxiliary
        for _ in range(count):
            _hash, _flags, other, name, next_each = struct.unpack_from("<IHHII", data, each)
            found[other] = _text(data, strings, name)
            each += next_each
        entry += following
        seen += count
        if count == 0 or seen > _MAX_VERSIONS:
            raise ValueError("its symbol versions are endless")
    return found
