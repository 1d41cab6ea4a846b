"""Unpack archives of data sets: nothing leaves the folder, no link is ever made, no archive fills the disk."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, TypeAlias, cast

from mimctl.errors import IntegrityError, UnsafeFileError

MOST_FILES = 3_000_000
_MOST_TIMES = 20
_LEAST_MOST = 1 << 30
_LONGEST_READ = 64 << 20
"""Bytes that a tar's own records (long names, attributes) may have: they are read into memory."""
_CHUNK = 1 << 20
_TELL_EVERY = 16 << 20
_LEFT_OUT = frozenset({"__MACOSX"})
_DAMAGED = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, tarfile.TarError, gzip.BadGzipFile, lzma.LZMAError, zlib.error),
    *(EOFError, NotImplementedError, RuntimeError, ValueError),
)

Report: TypeAlias = Callable[[int, int], None]
"""Called now and then with the bytes of the archive that were read, and with all it has."""


def unpack(archive: Path, folder: Path, *, shown: str, report: Report | None = None, most_bytes: int) -> None:
    """Write the files of a zip or tar archive below `folder`, which is made.

    Files and folders alone come out, with this user's default permissions; a link to a file of the same archive
    becomes a copy of that file. At most `most_bytes` bytes and three million files are written.
    Raises UnsafeFileError[unsafe-archive] for members that would leave the folder, for links out of it, devices,
    encryption, and for more than that; IntegrityError[bad-archive] for what is damaged or no archive; OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    size = archive.stat().st_size
    try:
        with archive.open("rb") as stream:
            told = None if report is None else lambda: report(stream.tell(), size)
            target = _Target(folder=folder, shown=shown, most_bytes=most_bytes, report=told)
            if archive.name.endswith(".zip"):
                _unpack_zip(stream, target)
            else:
                _unpack_tar(stream, archive.name, target)
    except _DAMAGED as err:
        raise bad_archive(shown, str(err) or type(err).__name__) from err
    except OSError as err:
        if err.errno is not None:
            raise  # the disk's
        raise bad_archive(shown, str(err)) from err  # what bz2 says of wrong bytes


def most_bytes_of(size: int, room: int | None) -> int:
    """Return how many bytes an archive of `size` may unpack to: twenty times as many, a gigabyte at least, or twice
    the `room` that the table speaks of.
    """
    return max(_MOST_TIMES * size, _LEAST_MOST, 2 * (room or 0))


def bad_archive(shown: str, cause: str) -> IntegrityError:
    """Return the error for an archive that cannot be read, or does not hold what it should."""
    return IntegrityError(
        f"`{shown}` cannot be unpacked",
        code="bad-archive",
        causes=[cause],
        hints=["fetch it again; if it stays so, the publisher changed or damaged it"],
    )


@dataclass(slots=True, kw_only=True)
class _Target:
    """The folder that is written to, and how much was."""

    folder: Path
    shown: str
    most_bytes: int
    report: Callable[[], None] | None
    num_bytes: int = 0
    num_told: int = 0
    num_files: int = 0
    links: list[tuple[PurePosixPath, PurePosixPath]] = field(default_factory=list)

    def place(self, name: str) -> PurePosixPath | None:
        """Return a member's path below the folder, None for what is left out; raise for one that would leave it."""
        path = PurePosixPath(name)
        is_outside = path.is_absolute() or ".." in path.parts or "\\" in name
        if is_outside or (path.parts and path.parts[0].endswith(":")):
            raise self.unsafe(f"`{name!a}` leaves its folder")
        if not name.isprintable():
            raise self.unsafe(f"`{name!a}` cannot be shown")
        self.num_files += 1
        if self.num_files > MOST_FILES:
            raise self.unsafe(f"it has more than {MOST_FILES:,} files")
        return None if not path.parts or path.parts[0] in _LEFT_OUT else path

    def make_folder(self, path: PurePosixPath) -> None:
        """Make a folder of the archive."""
        try:
            (self.folder / path).mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as err:
            raise self.unsafe(f"`{path}` is a file and a folder") from err

    def write(self, path: PurePosixPath, source: IO[bytes]) -> None:
        """Write a file of the archive; a second one of its name takes its place, as with tar and unzip."""
        self.make_folder(path.parent)
        dest = self.folder / path
        dest.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(dest, flags, 0o666), "wb") as out:
            while chunk := source.read(_CHUNK):
                self.num_bytes += len(chunk)
                if self.num_bytes > self.most_bytes:
                    raise self.unsafe(f"it unpacks to more than {self.most_bytes / 1e6:,.0f} MB")
                out.write(chunk)
        if self.report is not None and self.num_bytes - self.num_told >= _TELL_EVERY:
            self.num_told = self.num_bytes
            self.report()

    def copy_links(self) -> None:
        """Copy, in place of each link, the file that it leads to; raise where that is no file of the archive."""
        for path, leads_to in self.links:
            source = self.folder / leads_to
            if ".." in leads_to.parts or leads_to.is_absolute() or not source.is_file():
                raise self.unsafe(f"`{path}` is a link to `{leads_to}`, which is no file of the archive")
            with source.open("rb") as stream:
                self.write(path, stream)

    def unsafe(self, cause: str) -> UnsafeFileError:
        """Return the error for this archive."""
        return UnsafeFileError(f"refused to unpack `{self.shown}`", code="unsafe-archive", causes=[cause])


def _unpack_zip(stream: IO[bytes], target: _Target) -> None:
    with zipfile.ZipFile(stream) as archive:
        members = archive.infolist()
        if sum(each.file_size for each in members) > target.most_bytes:
            raise target.unsafe(f"it unpacks to more than {target.most_bytes / 1e6:,.0f} MB")
        for member in members:
            path = target.place(member.filename)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise target.unsafe(f"`{member.filename!a}` is a link or a device")
            if member.flag_bits & 1:
                raise target.unsafe(f"`{member.filename!a}` is encrypted")
            if path is None:
                continue
            if member.is_dir():
                target.make_folder(path)
            else:
                with archive.open(member) as source:
                    target.write(path, source)


def _unpack_tar(stream: IO[bytes], name: str, target: _Target) -> None:
    with _unpacked(stream, name) as opened, tarfile.open(fileobj=_Guarded(opened, target), mode="r:") as archive:
        for member in _members(archive):
            path = target.place(member.name)
            if path is None:
                continue
            if member.isdir():
                target.make_folder(path)
            elif member.isreg():
                source = archive.extractfile(member)
                if source is not None:
                    target.write(path, source)
            elif member.issym():
                inner = os.path.normpath(path.parent / member.linkname)
                target.links.append((path, PurePosixPath(inner)))
            elif member.islnk():
                target.links.append((path, PurePosixPath(os.path.normpath(member.linkname))))
            else:
                raise target.unsafe(f"`{member.name!a}` is a device")
        target.copy_links()


def _unpacked(stream: IO[bytes], name: str) -> IO[bytes]:
    if name.endswith((".gz", ".tgz")):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=stream))
    if name.endswith(".bz2"):
        return bz2.BZ2File(stream)
    return lzma.LZMAFile(stream) if name.endswith(".xz") else stream


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the members one by one; tarfile itself would keep those of the whole archive in memory."""
    while (member := archive.next()) is not None:
        yield member
        archive.members = []  # type: ignore[attr-defined]


class _Guarded(io.RawIOBase):
    """A stream from which nobody reads much at once: tarfile takes the length of some records from the archive."""

    def __init__(self, stream: IO[bytes], target: _Target) -> None:
        self._stream = stream
        self._target = target

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LONGEST_READ:
            raise self._target.unsafe("a record of it is longer than any name")
        return self._stream.read(size)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(place, whence)


def remove_tree(folder: Path) -> None:
    """Remove a folder that was unpacked to, if it is there."""
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
