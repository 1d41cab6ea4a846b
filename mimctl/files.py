"""Files that outlive a power cut: written beside their place, flushed, renamed. For both halves."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def write_text(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a file through a temporary one beside it, flushed to the disk and renamed: never half-written.

    `mode` are its permissions, as far as the umask leaves them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, text.encode("utf-8"), mode=mode & ~umask())


def write_bytes(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write bytes as `write_text` does; `mode` are the permissions of the file.

    Raises OSError that names `path`: of the file beside it nobody knows.
    """
    try:
        _write_beside(path, data, mode)
    except OSError as err:
        raise OSError(err.errno, err.strerror or str(err), str(path)) from err


def _write_beside(path: Path, data: bytes, mode: int) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if mode != 0o600:
            Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Have the names in a folder flushed to the disk, where the system can: a rename then outlives a power cut."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def umask() -> int:
    """Return the umask, which cannot be read without setting it but where Linux tells it."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition("Umask:")[2].split()[0], 8)
    except (OSError, IndexError, ValueError):
        found = os.umask(0o077)
        os.umask(found)
        return found
