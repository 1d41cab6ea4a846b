"""One HTTP transfer of a file while it lasts: what is there is continued where it provably is the same."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

from mimctl.errors import IntegrityError, MimctlError
from mimctl.transfer.address import redact
from mimctl.transfer.answers import (
    PLAIN,
    check_is_file,
    digest_of,
    first_bytes,
    headers_for,
    promised_end,
    validators_of,
)
from mimctl.transfer.connection import Line
from mimctl.transfer.exchange import Reply, exchange
from mimctl.transfer.faults import PassingError
from mimctl.transfer.model import Note, Progress
from mimctl.transfer.pieces.board import Span
from mimctl.transfer.pieces.follower import Follower
from mimctl.transfer.pieces.growing import Growing
from mimctl.transfer.pieces.helpers import Helpers, UnwelcomeError
from mimctl.transfer.retry import with_retries
from mimctl.transfer.storage import Left, Part, Validators, check_room
from mimctl.transfer.verify import Digests, Expected, wrong_length

_CHUNK = 1 << 20
_FOLLOWED = 4 << 20
"""A file of at least so many bytes is hashed while it comes."""
_GONE = (404, 410)
_USELESS = frozenset({"hash-mismatch", "length-mismatch", "disk-full"})


class Fetch:
    """One HTTP transfer while it lasts: what is wanted, and the partial file.

    One connection fetches from the beginning, where a hash follows it. Where that would take long, helpers fetch
    further stretches (`mimctl.transfer.pieces`).
    """

    def __init__(
        self,
        opened: Line,
        url: str,
        dest: Path,
        expected: Expected,
        progress: Progress | None,
        note: Note | None,
        named_by: str | None,
    ) -> None:
        self.opened = opened
        self.url = url
        self.part = Part(dest=dest)
        self.expected = expected
        self.progress = progress
        self.note = note
        self.named_by = named_by
        self._is_joined = False
        """Whether the file comes out of more than one answer."""
        self._is_alone = False
        """Whether it has to come over one connection."""
        self._growing: Growing | None = None
        self._helpers: Helpers | None = None
        self._follower: Follower | None = None
        self._digests: Digests = {}
        self._telling = threading.Lock()

    def run(self) -> Digests:
        """Bring the file, verify it, put it in its place; return the hashes that were computed of it.

        One that was put together from several answers and proves wrong is fetched anew once, in one.
        """
        try:
            problem = self._bring()
            if problem is not None and self._is_joined:
                self.part.discard()
                self._is_alone = True
                problem = self._bring()
            if problem is not None:
                raise problem
            self.part.place()
            return self._digests
        except (MimctlError, OSError) as failure:
            if _is_useless_after(failure):
                self.part.discard()
            raise

    def _bring(self) -> IntegrityError | None:
        """Have all bytes there; return what is wrong with them."""
        known = self._left()
        try:
            if known is not None:
                self._is_joined = True
                self._grow(known.validators, known)
            with_retries(
                self._attempt,
                url=self.url,
                settings=self.opened.settings,
                note=self.note,
                reached=lambda: 0 if self._growing is None else self._growing.board.num_done,
                wait=self.opened.wait,
            )
            self._digests = {} if self._follower is None else self._follower.digests()
            return self.expected.problem(self.part.path, redact(self.url), self._digests)
        finally:
            self._let_go()

    def _left(self) -> Left | None:
        """Return what an earlier transfer left of the same address, where it may be continued."""
        left = self.part.left()
        if left is None or left.validators.address != digest_of(self.url) or not self._may_go_on(left.validators):
            return None
        size = left.validators.size
        is_within = size is None or not left.there or left.there[-1][1] <= size
        return left if left.there and is_within else None

    def _may_go_on(self, validators: Validators) -> bool:
        """Return whether another answer may be joined: the server tells that the file is the same, or a hash will."""
        return validators.if_range is not None or self.expected.has_hash

    def _attempt(self) -> None:
        growing = self._growing
        try:
            if growing is not None and not (growing.board.num_done and self._may_go_on(growing.validators)):
                self._let_go()
            if self._growing is None:
                with exchange(self.opened, self.url, headers=PLAIN, named_by=self.named_by) as reply:
                    self._read_whole(reply)
            while self._growing is not None and not self._growing.board.is_whole:
                self._read_more(self._growing)
        except PassingError as fault:
            if fault.is_busy and self._helpers is not None:
                self._helpers.end()
            raise

    def _read_whole(self, reply: Reply) -> None:
        """Begin anew with an answer that holds the whole file."""
        if reply.status != 200:
            raise PassingError(f"the server answered {reply.status} to a plain request")
        total = reply.number("Content-Length")
        shown = redact(self.url)
        if total is not None and self.expected.size is not None and total != self.expected.size:
            raise wrong_length(shown, expected=self.expected.size, found=total)
        if total is not None:
            check_room(self.part.dest, total)
        first = first_bytes(reply, _CHUNK)
        check_is_file(reply, first, self.url, self.part.dest, self.expected)
        growing = self._grow(
            validators_of(self.url, reply.headers, total), None, says=reply.headers.get("Accept-Ranges")
        )
        span = growing.board.claim()
        if span is None:
            return  # an empty file
        try:
            self._check_not_endless(len(first))
            growing.write(span, first)
            self._pour(reply, span, None, is_own=True)
        finally:
            growing.board.give_back(span)

    def _read_more(self, growing: Growing) -> None:
        """Fetch a stretch that is missing, or wait for those who fetch the last ones."""
        helpers = self._helpers
        if helpers is not None and helpers.failure is not None:
            raise helpers.failure
        span = growing.board.claim()
        if span is None:
            if helpers is not None:
                helpers.await_change()
                self._tell()
            return
        try:
            headers = headers_for(span, growing.validators)
            with exchange(self.opened, self.url, headers=headers, named_by=self.named_by) as reply:
                if reply.status == 200:
                    self._is_alone = True
                    self._read_whole(reply)
                else:
                    self._read_piece(reply, span, growing)
        finally:
            growing.board.give_back(span)

    def _read_piece(self, reply: Reply, span: Span, growing: Growing) -> None:
        end = promised_end(reply, span, growing.validators, has_hash=self.expected.has_hash)
        if end is None:
            self._is_alone = True
            self._let_go()
            self.part.discard()
            raise PassingError("the file changed on the server, or it gave another range than was asked for")
        self._is_joined = True
        if self._helpers is not None:
            self._helpers.is_proven = True
        if growing.board.total is not None:
            check_room(self.part.dest, growing.board.num_missing)
        self._pour(reply, span, end, is_own=True)

    def _help(self, opened: Line, span: Span) -> None:
        """Fetch a stretch over a further connection."""
        growing, helpers = self._growing, self._helpers
        if growing is None or helpers is None:
            raise UnwelcomeError
        span.limit = span.at + growing.board.left(span) if span.is_firm else span.limit
        headers = headers_for(span, growing.validators)
        with exchange(opened, self.url, headers=headers, named_by=self.named_by) as reply:
            end = promised_end(reply, span, growing.validators, has_hash=False)
            if end is None:
                raise UnwelcomeError
            helpers.is_proven = True
            if growing.board.take(span):
                self._is_joined = True
                self._pour(reply, span, end, is_own=False)

    def _pour(self, reply: Reply, span: Span, end: int | None, *, is_own: bool) -> None:
        """Write what an answer brings, up to the offset `end` (None: all of it) or to where another one began."""
        growing, helpers = self._growing, self._helpers
        if growing is None or helpers is None:
            return
        board = growing.board
        self._tell()
        while self._wants(span, end):
            began_s = time.monotonic()
            chunk = reply.read(_CHUNK)
            if not chunk:
                break
            waited_s = time.monotonic() - began_s
            if board.total is None:
                self._check_not_endless(span.at + len(chunk))
            growing.write(span, chunk if end is None else chunk[: end - span.at])
            self._tell()
            if is_own:
                helpers.consider(waited_s)
                if helpers.failure is not None:
                    raise helpers.failure
        if board.total is None:
            board.end_here(span)
        elif self._wants(span, end):
            raise PassingError(f"the connection closed after {board.num_done} of {board.total} bytes")

    def _wants(self, span: Span, end: int | None) -> bool:
        """Return whether an answer that ends at `end` has more that this stretch lacks."""
        return self._growing is not None and (end is None or span.at < end) and self._growing.board.left(span) > 0

    def _grow(self, validators: Validators, left: Left | None, *, says: str | None = None) -> Growing:
        """Open the partial file, with all that goes with it."""
        self._let_go()
        settings = self.opened.settings
        growing = Growing(self.part, validators, left, least=settings.least_piece)
        self._growing = growing
        self._helpers = Helpers(self.opened, growing, self._help, url=self.url, is_proven=says == "bytes")
        if self._is_alone or (says or "").strip().lower() == "none":
            self._helpers.end()
        if self.expected.has_hash and (validators.size is None or validators.size >= _FOLLOWED):
            self._follower = Follower(self.part.path, self.expected.kinds, growing.board.prefix)
        return growing

    def _let_go(self) -> None:
        """End what goes on beside this thread, and remember what is there."""
        if self._helpers is not None:
            self._helpers.end()
        if self._follower is not None:
            self._follower.leave()
        if self._growing is not None:
            with contextlib.suppress(OSError):  # a full disk: what was written down before still holds
                if not self._growing.board.is_whole:
                    self._growing.record()
            self._growing.close()
        self._growing = self._helpers = self._follower = None

    def _check_not_endless(self, done: int) -> None:
        """Refuse a body that goes on beyond the file's known size: a server must not be able to fill the disk."""
        if self.expected.size is not None and done > self.expected.size:
            raise wrong_length(redact(self.url), expected=self.expected.size, found=done)

    def _tell(self) -> None:
        with self._telling:
            if self.progress is not None and self._growing is not None:
                self.progress(self._growing.board.num_done, self._growing.board.total)


def _is_useless_after(failure: MimctlError | OSError) -> bool:
    """Return whether what came before a failure will never become the file."""
    if not isinstance(failure, MimctlError):
        return True
    return failure.code in _USELESS or failure.details.get("status") in _GONE
