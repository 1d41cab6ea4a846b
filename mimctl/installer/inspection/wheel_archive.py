"""Looks at a wheel's archive before anyone unpacks it: its directory, its members' names, kinds and sizes."""

from __future__ import annotations

import re
import stat
import struct
import unicodedata
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mimctl.errors import IntegrityError, UnsafeFileError

MAX_MEMBERS = 200_000
MAX_DIRECTORY_BYTES = 64 << 20
MAX_UNPACKED_BYTES = 32 << 30
MAX_RATIO = 200
"""How many times its packed size a wheel may unpack to, beyond `FREE_BYTES`."""
FREE_BYTES = 64 << 20

_USUAL_NAME = re.compile(r"(?:[\w+=@~-][\w.+=@~-]*/)*[\w+=@~-][\w.+=@~-]*", re.ASCII)
_LOCAL = struct.Struct("<4s5H3I2H")
_END = struct.Struct("<4s4H2IH")
_END64_LOCATOR = struct.Struct("<4sIQI")
_END64 = struct.Struct("<4sQ2H2I4Q")
_DAMAGE = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, RuntimeError),
    *(struct.error, ValueError, OverflowError, OSError),
)
"""What zipfile raises, as trials with changed bytes have shown."""
_ENCRYPTED, _HAS_DESCRIPTOR = 0x1, 0x8


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a wheel whose archive has passed: bounded, one meaning for every reader, nothing outside its place.

    Raises IntegrityError[bad-wheel | zip-bomb] and UnsafeFileError[unsafe-wheel].
    """
    try:
        with path.open("rb") as stream:
            _check_directory(path, stream)
            with zipfile.ZipFile(stream) as archive:
                _check_members(path, archive.infolist())
                _check_layout(path, stream, archive.infolist())
                yield archive
    except _DAMAGE as err:
        raise bad_wheel(path, f"its archive is damaged: {printable(str(err))}") from err


def read_member(archive: zipfile.ZipFile, path: Path, name: str, limit: int) -> bytes:
    """Return one member of at most `limit` bytes; raise IntegrityError[bad-wheel] where it is larger or not there."""
    import zlib

    try:
        with archive.open(name) as stream:
            data = stream.read(limit + 1)
    except KeyError as err:
        raise bad_wheel(path, f"it holds no `{printable(name)}`") from err
    except zlib.error as err:
        raise bad_wheel(path, f"`{printable(name)}` cannot be unpacked: {err}") from err
    if len(data) > limit:
        raise bad_wheel(path, f"`{printable(name)}` is larger than {limit} bytes")
    return data


def bad_wheel(path: Path, cause: str) -> IntegrityError:
    """Return the error for a file that is no wheel, or not the one that its name says."""
    return IntegrityError(
        f"`{printable(path.name)}` is no usable wheel",
        code="bad-wheel",
        causes=[cause],
        hints=["nothing was installed; tell whoever publishes the wheel"],
    )


def unsafe_wheel(path: Path, cause: str) -> UnsafeFileError:
    """Return the error for a wheel that would write where no wheel may."""
    return UnsafeFileError(
        f"refused to install `{printable(path.name)}`",
        code="unsafe-wheel",
        causes=[cause],
        hints=["nothing was installed; no published wheel does this by mistake alone"],
    )


def printable(text: str) -> str:
    """Return `text` without characters that a terminal would obey, or that are not seen."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)[:200]


def _check_directory(path: Path, stream: BinaryIO) -> None:
    """Bound the archive's directory before it is read into memory."""
    num_members, num_bytes = _directory_size(path, stream)
    if num_members > MAX_MEMBERS or num_bytes > MAX_DIRECTORY_BYTES:
        raise _bomb(path, f"its directory lists {num_members} files in {num_bytes} bytes")


def _directory_size(path: Path, stream: BinaryIO) -> tuple[int, int]:
    size = stream.seek(0, 2)
    tail_start = max(0, size - 65_535 - _END.size)
    stream.seek(tail_start)
    tail = stream.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise bad_wheel(path, "it is not a zip archive")
    *_, num_members, num_bytes, offset, comment = _END.unpack_from(tail, at)
    if tail_start + at + _END.size + comment != size:
        raise bad_wheel(path, "something follows the end of its archive")
    locator = tail_start + at - _END64_LOCATOR.size
    if 0xFFFF in (num_members,) or 0xFFFFFFFF in (num_bytes, offset):
        stream.seek(max(0, locator))
        magic, _disk, end64, _disks = _END64_LOCATOR.unpack(stream.read(_END64_LOCATOR.size))
        if magic == b"PK\x06\x07":
            stream.seek(min(end64, size))
            *_, num_members, num_bytes, offset = _END64.unpack(stream.read(_END64.size))
    return num_members, num_bytes


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    unpacked = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    if unpacked > MAX_UNPACKED_BYTES or unpacked > FREE_BYTES + MAX_RATIO * packed:
        raise _bomb(path, f"{packed / 1e6:.1f} MB would unpack to {unpacked / 1e6:,.0f} MB")
    seen: set[str] = set()
    for member in members:
        _check_name(path, member)
        if member.filename in seen:
            raise bad_wheel(path, f"two of its files are called `{printable(member.filename)}`")
        seen.add(member.filename)
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise unsafe_wheel(path, f"`{printable(member.filename)}` is a link or a device, not a file")
        if member.flag_bits & _ENCRYPTED or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise bad_wheel(path, f"`{printable(member.filename)}` is packed in a way that wheels do not use")


def _check_name(path: Path, member: zipfile.ZipInfo) -> None:
    # `orig_filename` is the name before zipfile cuts it at a NUL and turns the system's separators.
    if member.filename == member.orig_filename and _USUAL_NAME.fullmatch(member.filename):
        return
    for name in (member.filename, member.orig_filename):
        parts = name.removesuffix("/").split("/")
        has_odd_part = any(part in ("", ".", "..") for part in parts)
        if has_odd_part or "\\" in name or (len(parts[0]) > 1 and parts[0][1] == ":"):
            raise unsafe_wheel(path, f"`{printable(name)}` would be written outside its place")
        if any(unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") for letter in name):
            raise unsafe_wheel(path, f"`{printable(name)}` has control characters in its name")


def _check_layout(path: Path, stream: BinaryIO, members: list[zipfile.ZipInfo]) -> None:
    """Refuse an archive that readers could understand differently: members that overlap, or whose own headers say
    something else than the directory does.
    """
    end = 0
    for member in sorted(members, key=lambda each: each.header_offset):
        if member.header_offset < end:
            raise bad_wheel(path, f"`{printable(member.filename)}` overlaps another of its files")
        if end == 0 and member.header_offset:
            raise bad_wheel(path, "something precedes its archive")
        stream.seek(member.header_offset)
        magic, _, flags, method, _, _, _, packed, unpacked, num_name, num_extra = _LOCAL.unpack(
            stream.read(_LOCAL.size)
        )
        encoding = "utf-8" if flags & 0x800 else "cp437"
        name = stream.read(num_name).decode(encoding, "replace")
        says_sizes = not flags & _HAS_DESCRIPTOR and 0xFFFFFFFF not in (packed, unpacked)
        is_same = magic == b"PK\x03\x04" and name == member.orig_filename and method == member.compress_type
        if not is_same or (says_sizes and (packed, unpacked) != (member.compress_size, member.file_size)):
            raise bad_wheel(path, f"`{printable(member.filename)}` is described in two ways")
        end = member.header_offset + _LOCAL.size + num_name + num_extra + member.compress_size


def _bomb(path: Path, cause: str) -> IntegrityError:
    return IntegrityError(
        f"`{printable(path.name)}` would unpack to more than a wheel can hold",
        code="zip-bomb",
        causes=[cause],
        hints=["nothing was installed; tell whoever publishes the wheel"],
    )
