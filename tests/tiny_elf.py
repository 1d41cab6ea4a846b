"""Make small ELF libraries in memory, with any needs and any GPU code, for tests of what reads and audits them.

Nothing could run them: they hold the tables that a loader reads, and no code.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

MACHINES = {"x86_64": 62, "aarch64": 183}
SHIM = "aoti_torch_get_numel"


def elf_library(
    needed: Sequence[str] = ("libtorch.so", "libc.so.6"),
    *,
    undefined: Mapping[str, str | None] | None = None,
    weak: Sequence[str] = (),
    exports: Sequence[str] = (),
    run_path: str | None = None,
    machine: str = "x86_64",
    stack: int | None = 6,
    text_relocations: bool = False,
    gpu: bytes = b"",
    text: bytes = b"",
) -> bytes:
    """Return a library that needs these libraries and symbols (name → version or None).

    `stack` is the flags of PT_GNU_STACK (7: executable; None: no such header), `gpu` the section .nv_fatbin, `text`
    what stands in its read-only data.
    """
    undefined = {SHIM: None, "memcpy": "GLIBC_2.14"} if undefined is None else undefined
    strings = _Strings()
    versions = sorted({each for each in undefined.values() if each is not None})
    symbols = [(name, 1, 0, undefined[name]) for name in undefined]
    symbols += [(name, 2, 0, None) for name in weak] + [(name, 1, 5, None) for name in exports]
    dynsym, versym = bytes(24), struct.pack("<H", 0)
    for name, binding, index, version in symbols:
        dynsym += struct.pack("<IBBHQQ", strings.add(name), binding << 4, 0, index, 0, 0)
        versym += struct.pack("<H", versions.index(version) + 2 if version else 1)
    verneed = struct.pack("<HHIII", 1, len(versions), strings.add("libc.so.6"), 16, 0) if versions else b""
    for number, version in enumerate(versions):
        following = 16 if number + 1 < len(versions) else 0
        verneed += struct.pack("<IHHII", 0, 0, number + 2, strings.add(version), following)
    entries = [(1, strings.add(name)) for name in needed]
    entries += [(29, strings.add(run_path))] if run_path else []
    entries += [(30, 4)] if text_relocations else []
    dynamic = b"".join(struct.pack("<QQ", *entry) for entry in [*entries, (0, 0)])
    # name, kind, data, link (4 is the section of the strings), info
    sections = [
        ("", 0, b"", 0, 0),
        (".dynsym", 11, dynsym, 4, 1),
        (".gnu.version", 0x6FFFFFFF, versym, 1, 0),
        (".gnu.version_r", 0x6FFFFFFE, verneed, 4, 1 if versions else 0),
        (".dynstr", 3, bytes(strings.data), 0, 0),
        (".dynamic", 6, dynamic, 4, 0),
        (".rodata", 1, text, 0, 0),
        *([(".nv_fatbin", 1, gpu, 0, 0)] if gpu else []),
    ]
    return _assemble(sections, MACHINES[machine], stack)


def fat_binary(*containers: Sequence[str], header: int = 64) -> bytes:
    """Return a section .nv_fatbin: each container lists its code, "9.0", "9.0a" or "PTX 12.0"."""
    section = b""
    for container in containers:
        entries = b""
        for code in container:
            arch = code.removeprefix("PTX ")
            number = round(float(arch.rstrip("af")) * 10)
            flags = 0x11 | (0x100000 if arch.endswith("a") else 0x200000 if arch.endswith("f") else 0)
            kind = 1 if code.startswith("PTX") else 2
            entry = struct.pack("<HHIQ12xI8xQ", kind, 0x101, header, 16, number, flags)
            entries += entry.ljust(header, b"\0") + b"some GPU's code."
        section += struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(entries)) + entries
    return section


class _Strings:
    def __init__(self) -> None:
        self.data = bytearray(b"\0")

    def add(self, text: str) -> int:
        place = len(self.data)
        self.data += text.encode() + b"\0"
        return place


def _assemble(sections: list[tuple[str, int, bytes, int, int]], machine: int, stack: int | None) -> bytes:
    names = _Strings()
    sections = [*sections, (".shstrtab", 3, b"", 0, 0)]
    starts = [names.add(name) for name, *_ in sections]
    sections[-1] = (".shstrtab", 3, bytes(names.data), 0, 0)
    body, table, place = b"", b"", 64 + 56
    for start, (_name, kind, data, link, info) in zip(starts, sections, strict=True):
        table += struct.pack("<IIQQQQIIQQ", start, kind, 0, 0, place + len(body), len(data), link, info, 8, 0)
        body += data + bytes(-len(data) % 8)
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHH", 3, machine, 1, 0, 64, place + len(body), 0, 64, 56, 1 if stack else 0)
    header += struct.pack("<HHH", 64, len(sections), len(sections) - 1)
    program = struct.pack("<IIQQQQQQ", 0x6474E551, stack or 0, 0, 0, 0, 0, 0, 16)
    return header + program + body + table
