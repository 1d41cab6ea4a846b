"""All that is at work on one partial file: its bytes, connections beside the own one, the hash that follows."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import TypeAlias

from mimctl.transfer.address import redact
from mimctl.transfer.http.connection import Line
from mimctl.transfer.http.exchange import Reply
from mimctl.transfer.http.faults import PassingError
from mimctl.transfer.model import Progress
from mimctl.transfer.pieces.board import Span
from mimctl.transfer.pieces.follower import Follower
from mimctl.transfer.pieces.growing import Growing
from mimctl.transfer.pieces.helpers import Helpers
from mimctl.transfer.storage import Left, Part, Validators
from mimctl.transfer.verify import Digests, Expected, wrong_length

CHUNK = 1 << 20
_FOLLOWED = 4 << 20
"""A file of at least so many bytes is hashed while it comes."""

Help: TypeAlias = Callable[["Intake", Line, Span], None]
"""Fetches one stretch over a further connection (see `Helpers`)."""


class Intake:
    """A partial file while it grows out of answers."""

    def __init__(
        self,
        opened: Line,
        url: str,
        part: Part,
        validators: Validators,
        left: Left | None,
        *,
        expected: Expected,
        helper: Help,
        says: str | None,
        is_alone: bool,
        progress: Progress | None,
    ) -> None:
        self.growing = Growing(part, validators, left, least=opened.settings.least_piece)
        self.helpers = Helpers(
            opened, self.growing, lambda line, span: helper(self, line, span), url=url, is_proven=says == "bytes"
        )
        if is_alone or (says or "").strip().lower() == "none":
            self.helpers.end()
        self._follower: Follower | None = None
        if expected.has_hash and (validators.size is None or validators.size >= _FOLLOWED):
            self._follower = Follower(part.path, expected.kinds, self.growing.board.prefix)
        self._url = url
        self._size = expected.size
        self._progress = progress
        self._telling = threading.Lock()

    @property
    def validators(self) -> Validators:
        """Return what the server said of the file."""
        return self.growing.validators

    def begin(self, span: Span, reply: Reply, first: bytes) -> None:
        """Take in an answer that holds the whole file, of which `first` was read already."""
        try:
            self._check_not_endless(len(first))
            self.growing.write(span, first)
            self.pour(reply, span, None, is_own=True)
        finally:
            self.growing.board.give_back(span)

    def pour(self, reply: Reply, span: Span, end: int | None, *, is_own: bool) -> None:
        """Write what an answer brings, up to the offset `end` (None: all of it) or to where another one began.

        `is_own`: over the file's own connection, which looks after the others.
        """
        board = self.growing.board
        self.tell()
        while self._wants(span, end):
            began_s = time.monotonic()
            chunk = reply.read(CHUNK)
            if not chunk:
                break
            waited_s = time.monotonic() - began_s
            if board.total is None:
                self._check_not_endless(span.at + len(chunk))
            self.growing.write(span, chunk if end is None else chunk[: end - span.at])
            self.tell()
            if is_own:
                self.helpers.consider(waited_s)
                self.raise_failure()
        if board.total is None:
            board.end_here(span)
        elif self._wants(span, end):
            raise PassingError(f"the connection closed after {board.num_done} of {board.total} bytes")

    def raise_failure(self) -> None:
        """Raise what went wrong at a further connection and ends the transfer, if anything did."""
        if self.helpers.failure is not None:
            raise self.helpers.failure

    def tell(self) -> None:
        """Tell how far it is."""
        with self._telling:
            if self._progress is not None:
                self._progress(self.growing.board.num_done, self.growing.board.total)

    def digests(self) -> Digests:
        """Return the hashes of the file, which is whole now, as far as they followed it."""
        return {} if self._follower is None else self._follower.digests()

    def close(self) -> None:
        """End what goes on beside this thread, and remember what is there."""
        self.helpers.end()
        if self._follower is not None:
            self._follower.leave()
        with contextlib.suppress(OSError):  # a full disk: what was written down before still holds
            if not self.growing.board.is_whole:
                self.growing.record()
        self.growing.close()

    def _wants(self, span: Span, end: int | None) -> bool:
        """Return whether an answer that ends at `end` has more that this stretch lacks."""
        return (end is None or span.at < end) and self.growing.board.left(span) > 0

    def _check_not_endless(self, done: int) -> None:
        """Refuse a body that goes on beyond the file's known size: a server must not be able to fill the disk."""
        if self._size is not None and done > self._size:
            raise wrong_length(redact(self._url), expected=self._size, found=done)
