"""One HTTP transfer of a file while it lasts: what is there is continued where it provably is the same."""

from __future__ import annotations

from pathlib import Path

from mimctl.errors import IntegrityError, MimctlError
from mimctl.transfer.address import redact
from mimctl.transfer.http.answers import (
    PLAIN,
    check_is_file,
    digest_of,
    first_bytes,
    headers_for,
    promised_end,
    validators_of,
)
from mimctl.transfer.http.connection import Line
from mimctl.transfer.http.exchange import Reply, exchange
from mimctl.transfer.http.faults import PassingError
from mimctl.transfer.http.retry import with_retries
from mimctl.transfer.model import Note, Progress
from mimctl.transfer.pieces.board import Span
from mimctl.transfer.pieces.helpers import UnwelcomeError
from mimctl.transfer.pieces.intake import CHUNK, Intake
from mimctl.transfer.storage import Left, Part, Validators, check_room
from mimctl.transfer.verify import Digests, Expected, wrong_length

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
        self._intake: Intake | None = None
        """What is at work on the partial file now."""
        self._digests: Digests = {}

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
                self._open(known.validators, known)
            with_retries(
                self._attempt,
                url=self.url,
                settings=self.opened.settings,
                note=self.note,
                reached=lambda: 0 if self._intake is None else self._intake.growing.board.num_done,
                wait=self.opened.wait,
            )
            self._digests = {} if self._intake is None else self._intake.digests()
            return self.expected.problem(self.part.path, redact(self.url), self._digests)
        finally:
            self._close()

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
        intake = self._intake
        try:
            if intake is not None and not (intake.growing.board.num_done and self._may_go_on(intake.validators)):
                self._close()
            if self._intake is None:
                with exchange(self.opened, self.url, headers=PLAIN, named_by=self.named_by) as reply:
                    self._read_whole(reply)
            while self._intake is not None and not self._intake.growing.board.is_whole:
                self._read_more(self._intake)
        except PassingError as fault:
            if fault.is_busy and self._intake is not None:
                self._intake.helpers.end()
            raise

    def _read_whole(self, reply: Reply) -> None:
        """Begin anew with an answer that holds the whole file."""
        if reply.status != 200:
            raise PassingError(f"the server answered {reply.status} to a plain request")
        total = reply.number("Content-Length")
        if total is not None and self.expected.size is not None and total != self.expected.size:
            raise wrong_length(redact(self.url), expected=self.expected.size, found=total)
        if total is not None:
            check_room(self.part.dest, total)
        first = first_bytes(reply, CHUNK)
        check_is_file(reply, first, self.url, self.part.dest, self.expected)
        validators = validators_of(self.url, reply.headers, total)
        intake = self._open(validators, None, says=reply.headers.get("Accept-Ranges"))
        span = intake.growing.board.claim()
        if span is not None:  # an empty file has none
            intake.begin(span, reply, first)

    def _read_more(self, intake: Intake) -> None:
        """Fetch a stretch that is missing, or wait for those who fetch the last ones."""
        intake.raise_failure()
        board = intake.growing.board
        span = board.claim()
        if span is None:
            intake.helpers.await_change()
            intake.tell()
            return
        try:
            headers = headers_for(span, intake.validators)
            with exchange(self.opened, self.url, headers=headers, named_by=self.named_by) as reply:
                if reply.status == 200:
                    self._is_alone = True
                    self._read_whole(reply)
                else:
                    self._read_piece(reply, span, intake)
        finally:
            board.give_back(span)

    def _read_piece(self, reply: Reply, span: Span, intake: Intake) -> None:
        end = promised_end(reply, span, intake.validators, has_hash=self.expected.has_hash)
        if end is None:
            self._is_alone = True
            self._close()
            self.part.discard()
            raise PassingError("the file changed on the server, or it gave another range than was asked for")
        self._is_joined = True
        intake.helpers.is_proven = True
        if intake.growing.board.total is not None:
            check_room(self.part.dest, intake.growing.board.num_missing)
        intake.pour(reply, span, end, is_own=True)

    def _help(self, intake: Intake, opened: Line, span: Span) -> None:
        """Fetch a stretch over a further connection."""
        if intake is not self._intake:
            raise UnwelcomeError  # it came too late
        board = intake.growing.board
        span.limit = span.at + board.left(span) if span.is_firm else span.limit
        headers = headers_for(span, intake.validators)
        with exchange(opened, self.url, headers=headers, named_by=self.named_by) as reply:
            end = promised_end(reply, span, intake.validators, has_hash=False)
            if end is None:
                raise UnwelcomeError
            intake.helpers.is_proven = True
            if board.take(span):
                self._is_joined = True
                intake.pour(reply, span, end, is_own=False)

    def _open(self, validators: Validators, left: Left | None, *, says: str | None = None) -> Intake:
        """Open the partial file, with all that goes with it; `says` is the server's word on ranges."""
        self._close()
        self._intake = Intake(
            self.opened,
            self.url,
            self.part,
            validators,
            left,
            expected=self.expected,
            helper=self._help,
            says=says,
            is_alone=self._is_alone,
            progress=self.progress,
        )
        return self._intake

    def _close(self) -> None:
        if self._intake is not None:
            self._intake.close()
        self._intake = None


def _is_useless_after(failure: MimctlError | OSError) -> bool:
    """Return whether what came before a failure will never become the file."""
    if not isinstance(failure, MimctlError):
        return True
    return failure.code in _USELESS or failure.details.get("status") in _GONE
