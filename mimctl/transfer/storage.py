"""The disk's side of a transfer: the partial file and its validators, the lock beside it, the atomic rename."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from mimctl.errors import MimctlError
from mimctl.transfer.exclusive import Lock, holding
from mimctl.transfer.model import Note
from mimctl.transfer.pieces.board import Extent

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_THERE = "there"
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Validators:
    """What the server said of the file whose beginning lies in the partial file."""

    address: str
    """SHA-256 of the address: the address itself may hold a secret."""
    etag: str | None
    last_modified: str | None
    size: int | None

    @property
    def is_strong(self) -> bool:
        """Return whether equal tags mean equal bytes (RFC 9110, 8.8.3)."""
        return self.etag is not None and not self.etag.startswith("W/")

    @property
    def if_range(self) -> str | None:
        """Return the value of `If-Range` (RFC 9110, 13.1.5: a strong entity tag or a date)."""
        return self.etag if self.is_strong else self.last_modified


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What an earlier transfer left of a file."""

    validators: Validators
    there: tuple[Extent, ...]
    """The bytes that are there, in order."""
    is_recorded: bool
    """Whether that was written down, and not told by the length of the partial file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A file that is not whole yet: `<name>.part`, and `<name>.part.json` with its validators.

    Where several connections fetched it, the latter says which bytes are there, else the length of the former does.
    """

    dest: Path

    @property
    def path(self) -> Path:
        """Return where the bytes lie until they are whole."""
        return self.dest.with_name(self.dest.name + ".part")

    @property
    def _sidecar(self) -> Path:
        return self.dest.with_name(self.dest.name + ".part.json")

    @property
    def _new_sidecar(self) -> Path:
        return self.dest.with_name(self.dest.name + ".new.part.json")

    def size(self) -> int:
        """Return the number of bytes that are there (0 if none)."""
        return self.path.stat().st_size if self.path.is_file() and not self.path.is_symlink() else 0

    def validators(self) -> Validators | None:
        """Return what is known of the partial file, or None where that cannot be read."""
        left = self.left()
        return None if left is None else left.validators

    def left(self) -> Left | None:
        """Return what an earlier transfer left, or None where that cannot be known."""
        if not self.path.is_file() or self.path.is_symlink():
            return None
        size = self.path.stat().st_size
        try:
            facts = json.loads(self._sidecar.read_text(encoding="utf-8"))
            recorded = facts.pop(_THERE, None)
            there = [(0, size)] if recorded is None else [(int(start), int(end)) for start, end in recorded]
            validators = Validators(**facts)
        except (OSError, ValueError, TypeError, AttributeError):
            return None
        bounds = [0, *(offset for extent in there for offset in extent), size]
        if bounds != sorted(bounds):
            return None
        return Left(validators=validators, there=tuple(there), is_recorded=recorded is not None)

    def begin(self, validators: Validators) -> BinaryIO:
        """Start anew: remember `validators` and return the empty file."""
        self.discard()
        self._write_facts(asdict(validators))
        return _open(self.path, os.O_CREAT | os.O_EXCL)

    def go_on(self) -> BinaryIO:
        """Return the partial file, positioned at its end, where all is written."""
        return _open(self.path, os.O_APPEND)

    def reopen(self) -> BinaryIO:
        """Return the partial file, to be written at any place."""
        return _open(self.path, 0)

    def remember(self, validators: Validators, there: Sequence[Extent]) -> None:
        """Write down which bytes are there; they have to be on the disk already."""
        self._write_facts({**asdict(validators), _THERE: there})

    def discard(self) -> None:
        """Remove what is there."""
        self.path.unlink(missing_ok=True)
        self._forget()

    def place(self) -> None:
        """Make the partial file the whole one: fsync, rename, fsync of the folder."""
        with self.path.open("rb") as stream:
            os.fsync(stream.fileno())
        self.path.replace(self.dest)
        self._forget()
        folder = os.open(self.dest.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        except OSError:
            pass  # some network file systems refuse this on folders; the file itself is safe
        finally:
            os.close(folder)

    def _write_facts(self, facts: Mapping[str, object]) -> None:
        """Write the file beside the partial one, whole or not at all. Who does holds the lock: one name is enough."""
        self._new_sidecar.unlink(missing_ok=True)
        with _open(self._new_sidecar, os.O_CREAT | os.O_EXCL) as stream:
            stream.write(json.dumps(facts).encode())
        self._new_sidecar.replace(self._sidecar)

    def _forget(self) -> None:
        self._sidecar.unlink(missing_ok=True)
        self._new_sidecar.unlink(missing_ok=True)


def write_file(dest: Path, content: bytes) -> Path:
    """Write a small file whole or not at all, and return it; raise as `disk_errors` says."""
    temporary = dest.with_name(f".{dest.name}.{os.getpid()}-{time.monotonic_ns():x}")
    with disk_errors(dest):
        dest.parent.mkdir(parents=True, exist_ok=True)
        try:
            with _open(temporary, os.O_CREAT | os.O_EXCL) as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(dest)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    return dest


@contextmanager
def disk_errors(dest: Path) -> Iterator[None]:
    """Turn what the operating system says about `dest` into one error for people."""
    try:
        yield
    except OSError as problem:
        if problem.errno in _FULL:
            raise disk_full(dest) from problem
        if problem.errno in _FORBIDDEN:
            raise MimctlError(
                f"no permission to write `{dest}`",
                code="no-permission",
                causes=[f"{os.strerror(problem.errno or 0).lower()}: `{problem.filename or dest.parent}`"],
                hints=["choose a folder of yours"],
            ) from problem
        reason = os.strerror(problem.errno).lower() if problem.errno else type(problem).__name__
        raise MimctlError(
            f"cannot write `{dest}`", code="cannot-write", causes=[f"{reason}: `{problem.filename or dest}`"]
        ) from problem


def check_room(dest: Path, needed: int) -> None:
    """Raise MimctlError[disk-full] where fewer than `needed` bytes are free beside `dest`."""
    free = shutil.disk_usage(dest.parent).free
    if needed > free:
        raise disk_full(dest, f"{needed / 1e6:.1f} MB needed, {free / 1e6:.1f} MB free")


def disk_full(dest: Path, cause: str = "no space left, or a quota is used up") -> MimctlError:
    """Return the error for a file that does not fit."""
    return MimctlError(
        f"the disk is full: `{dest}` was not written",
        code="disk-full",
        causes=[cause],
        hints=["free some space, or choose another folder"],
    )


@contextmanager
def locked(dest: Path, note: Note | None) -> Iterator[None]:
    """Hold the lock beside `dest`; wait, and say so once, while another process writes the same file.

    No flock: the file system may be NFS. Raises MimctlError[file-locked] where the holder is on another host and has
    given no sign of life for long.
    """
    lock = Lock(folder=dest.parent, name=f".{dest.name}.lock", doing=f"which fetches `{dest}`", code="file-locked")
    with ExitStack() as stack:
        with disk_errors(dest):
            stack.enter_context(holding(lock, note or (lambda _line: None)))
        yield


def _open(path: Path, flags: int) -> BinaryIO:
    """Open for writing without following a link that someone laid there."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_NOFOLLOW | flags, 0o666), "wb")
