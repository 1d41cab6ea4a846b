"""Further connections for one file: opened where one alone would take long, given up where the server minds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from mimctl.errors import MimctlError
from mimctl.transfer.http.connection import Line, StoppedError
from mimctl.transfer.http.faults import PassingError
from mimctl.transfer.http.retry import with_retries
from mimctl.transfer.pieces.board import Span
from mimctl.transfer.pieces.growing import Growing

_JOIN_S = 1.0
_WAIT_S = 0.05
_TIMES_PATIENCE = 10
_FAST = 100e6
"""Bytes a second (most of a gigabit line), beyond which no server limits a single connection."""
_MOSTLY = 0.5
"""The part of the time that has to be spent waiting for the server."""


class UnwelcomeError(Exception):
    """The server does not give pieces of just this file, or has no time for a further connection."""


class Helpers:
    """The connections beside a file's own one, each with a thread.

    `fetch` brings one stretch over one line. It raises UnwelcomeError where there is no sense in going on; that ends
    all hope for further connections, and leaves the rest to those that are there.
    """

    def __init__(
        self, own: Line, growing: Growing, fetch: Callable[[Line, Span], None], *, url: str, is_proven: bool
    ) -> None:
        self.is_proven = is_proven
        """Whether the server is known to give pieces of files; while it is not, one connection tries."""
        self.failure: BaseException | None = None
        """What went wrong here, at the disk, and ends the transfer."""
        self._own = own
        self._settings = own.settings
        self._growing = growing
        self._fetch = fetch
        self._url = url
        self._is_refused = not growing.validators.is_strong
        self._lines: dict[threading.Thread, Line] = {}
        self._spans: dict[threading.Thread, Span] = {}
        self._since_s = time.monotonic()
        self._num_since = growing.board.num_done
        self._waited_s = 0.0

    def consider(self, waited_s: float) -> None:
        """Open further connections where the file would come too slowly; cheap enough to be asked at each chunk.

        `waited_s` is how long the file's own connection waited for the chunk: where it is the disk or this machine that
        takes the time, others are of no use, nor beside one that is as fast as whole lines are.
        """
        now, board = time.monotonic(), self._growing.board
        elapsed_s = now - self._since_s
        self._waited_s += waited_s
        if self._is_refused or elapsed_s < self._settings.patience_s / 4:
            return
        rate, waited = (board.num_done - self._num_since) / elapsed_s, self._waited_s / elapsed_s
        self._since_s, self._num_since, self._waited_s = now, board.num_done, 0.0
        if board.num_missing <= rate * self._settings.patience_s or rate > _FAST or waited < _MOSTLY:
            return
        while self._is_more_welcome() and self._settings.allowance.take():
            span = board.claim(is_firm=False)
            if span is None:
                self._settings.allowance.give_back()
                return
            self._start(span)

    def await_change(self) -> None:
        """Wait until there is something to fetch again, or all is there.

        A helper that would need far too long for the little that is left is cut off. Raises StoppedError.
        """
        board = self._growing.board
        until = time.monotonic() + self._settings.patience_s
        before = {thread: span.at for thread, span in self._spans.items()}
        while not board.is_whole and not board.is_idle and time.monotonic() < until and self.failure is None:
            self._own.wait(_WAIT_S)
        for thread in self._alive():
            span = self._spans[thread]
            moved = span.at - before.get(thread, span.at)
            if board.left(span) > moved * _TIMES_PATIENCE:
                self._is_refused = True
                self._lines[thread].hang_up()

    def end(self) -> None:
        """End them all for good; what they had is kept."""
        self._is_refused = True
        for each in list(self._lines.values()):
            each.hang_up()
        for thread in list(self._lines):
            thread.join(_JOIN_S)  # one that still connects ends by itself, and writes nothing then

    def _is_more_welcome(self) -> bool:
        return not self._is_refused and (self.is_proven or not self._alive())

    def _alive(self) -> list[threading.Thread]:
        return [thread for thread in list(self._lines) if thread.is_alive()]

    def _start(self, span: Span) -> None:
        if not self._growing.has_gaps:
            self._growing.allow_gaps()
        opened = self._own.another()
        thread = threading.Thread(target=self._work, args=(opened, span), name="mimctl-piece", daemon=True)
        self._lines[thread], self._spans[thread] = opened, span
        thread.start()

    def _work(self, opened: Line, first: Span) -> None:
        board, span = self._growing.board, first
        try:
            while True:
                self._spans[threading.current_thread()] = span
                try:
                    self._bring(opened, span)
                finally:
                    board.give_back(span)
                following = board.claim(is_firm=False)
                if following is None:
                    return
                span = following
        except StoppedError:
            pass
        except (UnwelcomeError, MimctlError):
            self._is_refused = True
        except BaseException as failure:  # carried to the thread of the transfer
            self.failure = failure
        finally:
            opened.close()
            self._settings.allowance.give_back()

    def _bring(self, opened: Line, span: Span) -> None:
        """Fetch one stretch; tried again where something came of it, once more where nothing did."""

        def attempt() -> None:
            try:
                if self._growing.board.left(span):
                    self._fetch(opened, span)
            except PassingError as fault:
                if fault.is_busy:
                    raise UnwelcomeError from fault
                raise

        few = replace(self._settings, retries=min(1, self._settings.retries))
        with_retries(attempt, url=self._url, settings=few, note=None, reached=lambda: span.at, wait=opened.wait)
