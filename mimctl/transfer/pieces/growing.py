"""A file while it grows: its bytes on the disk, what the server said of it, and what is remembered for the next run."""

from __future__ import annotations

import os
import threading
import time

from mimctl.transfer.pieces.board import Board, Span
from mimctl.transfer.storage import Left, Part, Validators

_RECORD_S = 1.0
"""After a crash at most what came in this time is fetched again, besides what one sync to the disk takes."""


class Growing:
    """The partial file of one transfer; several threads may write to it.

    While one connection writes it from the beginning, its length tells what is there. Once there are gaps, that is
    written beside it: every second, after a sync, so that what is said to be there is on the disk.
    """

    def __init__(self, part: Part, validators: Validators, left: Left | None, *, least: int) -> None:
        self.validators = validators
        self.has_gaps = left is not None and left.is_recorded
        self._part = part
        self._lock = threading.Lock()
        self._next_record_s = 0.0
        self._stream = part.begin(validators) if left is None else part.reopen()
        self.board = Board(total=validators.size, there=() if left is None else left.there, least=least)

    def write(self, span: Span, chunk: bytes) -> None:
        """Write the next bytes of a stretch, as far as they are still its own."""
        board = self.board
        rest = memoryview(chunk)
        while rest := rest[: board.left(span)]:
            num = os.pwrite(self._stream.fileno(), rest, span.at)
            board.wrote(span, num)
            rest = rest[num:]
        if self.has_gaps and time.monotonic() >= self._next_record_s:
            self.record()

    def allow_gaps(self) -> None:
        """From now on more than one connection may write."""
        self.has_gaps = True
        self.record()

    def record(self) -> None:
        """Remember what is there, unless another thread does so right now."""
        if not self.has_gaps or not self._lock.acquire(blocking=False):
            return
        try:
            there = self.board.extents()
            os.fsync(self._stream.fileno())
            self._part.remember(self.validators, there)
            self._next_record_s = time.monotonic() + _RECORD_S
        finally:
            self._lock.release()

    def close(self) -> None:
        """Let go of the file; who still writes to it then fails."""
        with self._lock:
            self._stream.close()
