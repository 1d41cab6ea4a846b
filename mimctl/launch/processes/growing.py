"""A file that another process appends to, read from where the last look ended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mimctl.launch.runs.files import names_in


class GrowingFile:
    """Whole lines of a file, each handed out once, from byte `skip` on.

    The file is opened anew at each look: network file systems promise what others wrote to whoever opens it, not to
    whoever has it open. Where it is not there its folder is opened first, or such a file system says so for a minute.
    """

    def __init__(self, path: Path, *, skip: int = 0) -> None:
        self.path = path
        self._at = skip
        self._rest = b""

    def lines(self) -> Iterator[bytes]:
        """Yield the lines that came whole since the last look, without their line ends; none where there is no file."""
        try:
            with self._opened() as stream:
                if os.fstat(stream.fileno()).st_size < self._at:
                    self._at, self._rest = 0, b""  # it was written anew
                stream.seek(self._at)
                added = stream.read()
        except OSError:
            return
        self._at += len(added)
        *whole, self._rest = (self._rest + added).split(b"\n")
        yield from whole

    def _opened(self) -> BinaryIO:
        try:
            return self.path.open("rb")
        except FileNotFoundError:
            names_in(self.path.parent)
            return self.path.open("rb")

    def rest(self) -> bytes:
        """Return what stands behind the last line end."""
        return self._rest


def shown_line(raw: bytes) -> str:
    """Return a line as text; of one that was drawn over itself (a progress bar) the last state."""
    return raw.decode("utf-8", "replace").rstrip("\r\n").rpartition("\r")[2]


def size_of(path: Path | None) -> int:
    """Return how many bytes a file has now, 0 where there is none."""
    try:
        return path.stat().st_size if path is not None else 0
    except OSError:
        return 0
