"""What a wheel says of itself (core metadata), found without the whole wheel, and held against the wheel's name."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, cast

from mimctl.errors import IntegrityError
from mimctl.index.filenames import normalise
from mimctl.index.model import IndexFile
from mimctl.resolution.model import Metadata
from mimctl.resolution.requirements import is_same_version

MAX_SIZE = 8 << 20
"""Bytes of a METADATA: long descriptions stand in it."""


def parse_metadata(data: bytes, file: IndexFile) -> Metadata:
    """Return core metadata; raise IntegrityError[bad-wheel] where it is none, or is not that of `file`."""
    from email.parser import BytesHeaderParser

    said = BytesHeaderParser().parsebytes(data)
    name, version = str(said.get("Name", "")).strip(), str(said.get("Version", "")).strip()
    if normalise(name) != file.project:
        raise bad_wheel(file, f"its METADATA is of the project {name[:100]!r}")
    if not is_same_version(version, file.version):
        raise bad_wheel(file, f"its METADATA is of version {version[:100]!r}")
    python = said.get("Requires-Python")
    return Metadata(
        name=file.project,
        version=file.version,
        requires_dist=_many(said.get_all("Requires-Dist")),
        requires_python=str(python).strip() if python is not None else file.requires_python,
        extras=tuple(normalise(each) for each in _many(said.get_all("Provides-Extra"))),
    )


def described(file: IndexFile) -> Metadata:
    """Return what the index itself says of a file."""
    return Metadata(
        name=file.project,
        version=file.version,
        requires_dist=file.requires_dist,
        requires_python=file.requires_python,
        extras=tuple(normalise(each) for each in file.provides_extra),
    )


def read_wheel_metadata(source: Path | io.RawIOBase, file: IndexFile) -> bytes:
    """Return the METADATA of a wheel at hand, or of a stream that can seek.

    Raises IntegrityError[bad-wheel] where it is no archive, has none or several, or one beyond all measure.
    """

    def is_metadata(name: str) -> bool:
        folder, _, rest = name.partition("/")
        return (
            rest == "METADATA" and folder.endswith(".dist-info") and normalise(folder.partition("-")[0]) == file.project
        )

    found = _read_members(source, file, is_metadata)
    if len(found) != 1:
        raise bad_wheel(file, f"it holds {len(found)} METADATA of its project")
    return found[0]


def read_wheel_build(source: Path | io.RawIOBase, file: IndexFile) -> bytes:
    """Return the `build.json` of one of our op wheels, nothing where it has none (errors as `read_wheel_metadata`)."""
    package = file.project.replace("-", "_")
    return next(iter(_read_members(source, file, lambda name: name == f"{package}/build.json")), b"")


def _read_members(source: Path | io.RawIOBase, file: IndexFile, is_wanted: Callable[[str], bool]) -> list[bytes]:
    try:
        with zipfile.ZipFile(cast("IO[bytes] | Path", source)) as archive:
            return [_read_member(archive, name, file) for name in archive.namelist() if is_wanted(name)]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as err:
        raise bad_wheel(file, f"it is not a whole archive: {err}") from err


def _read_member(archive: zipfile.ZipFile, name: str, file: IndexFile) -> bytes:
    if archive.getinfo(name).file_size <= MAX_SIZE:
        with archive.open(name) as stream:
            data = stream.read(MAX_SIZE + 1)
        if len(data) <= MAX_SIZE:
            return data
    raise bad_wheel(file, f"its {name.rpartition('/')[2]} is larger than {MAX_SIZE >> 20} MiB")


def bad_wheel(file: IndexFile, cause: str) -> IntegrityError:
    """Return the error for a wheel that is not what its name says."""
    return IntegrityError(f"`{file.filename}` is no usable wheel", code="bad-wheel", causes=[cause])


def _many(values: list[str] | None) -> tuple[str, ...]:
    # A long value may be folded over several lines.
    return tuple(" ".join(str(each).split()) for each in values or ())
