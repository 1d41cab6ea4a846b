"""A cache that several users keep: `<folder>/<sha256>/<file name>`; nobody's file in it is believed without its hash.

A file is copied out and hashed as it is copied, so that its owner cannot change it between the look and the use. What
is put in has mode 0664, folders 2775, whatever the user's umask: the group of the folder may add and replace.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
from pathlib import Path
from typing import BinaryIO

FILE_MODE = 0o664
FOLDER_MODE = 0o2775
_CHUNK = 1 << 20


def take(folder: Path, sha256: str, name: str, out: BinaryIO, *, max_size: int | None = None) -> bool | None:
    """Copy a file of the shared cache to `out`; return whether it is the one of that hash, None where it is not there.

    Links, devices and what is longer than `max_size` bytes are taken for another file. What was written to `out` is of
    no use unless the answer is True.
    """
    path = folder / sha256 / name
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError:
        return False
    with os.fdopen(handle, "rb") as stream:
        facts = os.fstat(stream.fileno())
        if not stat.S_ISREG(facts.st_mode) or (max_size is not None and facts.st_size > max_size):
            return False
        digest, num_bytes = hashlib.sha256(), 0
        while chunk := stream.read(_CHUNK):
            num_bytes += len(chunk)
            if max_size is not None and num_bytes > max_size:
                return False
            digest.update(chunk)
            out.write(chunk)
    return digest.hexdigest() == sha256


def give(folder: Path, sha256: str, source: Path) -> bool:
    """Put a verified file into the shared cache, in the place of what is there; return whether that was possible."""
    place = folder / sha256
    temporary = place / f".{source.name}.{secrets.token_hex(4)}"
    try:
        if not folder.is_dir():
            folder.mkdir()
            folder.chmod(FOLDER_MODE)
        _make(place)
        with source.open("rb") as stream:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, FILE_MODE)
            with os.fdopen(handle, "wb") as out:
                os.fchmod(out.fileno(), FILE_MODE)
                while chunk := stream.read(_CHUNK):
                    out.write(chunk)
                os.fsync(out.fileno())
        temporary.replace(place / source.name)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        return False
    return True


def _make(place: Path) -> None:
    """Make the folder of one hash, which the group may write to; raise OSError where something else has its name."""
    try:
        place.mkdir()
    except FileExistsError:
        if place.is_symlink():
            raise
        return
    place.chmod(FOLDER_MODE)
