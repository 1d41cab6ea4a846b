"""Files written whole or not at all: beside their place, synced, renamed."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from mimctl.files import sync_folder, umask

_LEFTOVER = re.compile(r"\..+\.[a-z0-9_]{8}\.tmp")
_PROBE = bytes(1 << 20)


def atomic_write(path: Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill a temporary file beside `path`, sync it and rename it to `path`.

    Whatever interrupts this, `path` holds the whole new content or what it held before. Raises OSError, with `path` as
    its file, where the system refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_beside(path) as temporary:
        write(temporary)
        put_in_place(temporary, path)
    return path


@contextlib.contextmanager
def temporary_beside(path: Path) -> Iterator[Path]:
    """Give a new file beside `path`, removed afterwards if it is still there; it is locked, so `clean` leaves it."""
    with _naming(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        _lock(handle)
        with _naming(path):
            yield temporary
    except OSError:
        raise
    except Exception as err:
        # torch and safetensors tell neither that the disk is full nor which file it was.
        if (cause := _refusal(temporary, path)) is not None:
            raise cause from err
        raise
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def put_in_place(temporary: Path, path: Path) -> None:
    """Sync a finished temporary file and rename it to `path`, with the permissions of any new file."""
    with temporary.open("rb+") as stream:
        os.fsync(stream.fileno())
    temporary.chmod(0o666 & ~umask())
    temporary.replace(path)
    sync_folder(path.parent)


def name_by_hash(path: Path, stem: str) -> tuple[str, str]:
    """Return `<stem>-<first 8 hex digits of the file's sha256>` and that hash as a whole, in hex."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return f"{stem}-{digest[:8]}", digest


def clean_leftovers(folder: Path) -> list[Path]:
    """Remove the temporary files of saves that were killed and return them; those being written now are left."""
    removed: list[Path] = []
    for path in folder.iterdir() if folder.is_dir() else ():
        if not _LEFTOVER.fullmatch(path.name) or path.is_symlink() or not path.is_file():
            continue
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
                removed.append(path)
            finally:
                os.close(handle)
    return removed


def _lock(handle: int) -> None:
    with contextlib.suppress(OSError):  # some network file systems have no locks
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let errors of the system name `path`, not its temporary twin."""
    try:
        yield
    except OSError as err:
        if err.errno is None:
            raise
        raise OSError(err.errno, err.strerror, str(path)) from err


def _refusal(temporary: Path, path: Path) -> OSError | None:
    """Return what the system says to more content in a file that could not be written; None if it takes it."""
    try:
        with temporary.open("ab") as stream:
            stream.write(_PROBE)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as err:
        return OSError(err.errno, err.strerror, str(path))
    return None
