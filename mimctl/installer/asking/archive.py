"""Unpack a source archive into a folder: nothing of it leaves that folder."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from mimctl.errors import IntegrityError, UnsafeFileError


def unpack(archive: Path, folder: Path, *, shown: str) -> Path:
    """Unpack a zip or tar archive and return the folder that holds the project: the only one inside, or all of it.

    Raises UnsafeFileError[unsafe-archive] for members that leave the folder, IntegrityError[bad-wheel] for what is no
    archive.
    """
    folder.mkdir(parents=True)
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                _check(opened.namelist(), shown)
                opened.extractall(folder)
        else:
            with tarfile.open(archive) as tar:
                _unpack_tar(tar, folder, shown)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError) as err:
        raise IntegrityError(f"`{shown}` is no whole archive", code="bad-wheel", causes=[str(err)]) from err
    inside = [path for path in folder.iterdir() if path.name != "pax_global_header"]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def _unpack_tar(tar: tarfile.TarFile, folder: Path, shown: str) -> None:
    members = tar.getmembers()
    _check((each.name for each in members), shown)
    if hasattr(tarfile, "data_filter"):
        try:
            tar.extractall(folder, filter="data")
        except tarfile.FilterError as err:
            raise _unsafe(shown, str(err)) from err
        return
    odd = next((each for each in members if not (each.isfile() or each.isdir())), None)  # Python < 3.11.4
    if odd is not None:
        raise _unsafe(shown, f"`{odd.name!a}` is a link or a device")
    tar.extractall(folder)


def _check(names: Iterable[str], shown: str) -> None:
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or (path.parts and path.parts[0].endswith(":")):
            raise _unsafe(shown, f"`{name!a}` leaves its folder")


def _unsafe(shown: str, cause: str) -> UnsafeFileError:
    return UnsafeFileError(f"refused to unpack `{shown}`", code="unsafe-archive", causes=[cause])
