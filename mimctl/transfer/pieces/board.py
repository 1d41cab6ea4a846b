"""Which bytes of a file are there, and who fetches the others."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

Extent: TypeAlias = tuple[int, int]
"""Bytes that are there: the offset of the first, and of the one behind the last."""

_ENDLESS = 1 << 62


@dataclass(slots=True, kw_only=True, eq=False)
class Span:
    """A stretch that one connection fetches, as far as where another begins. Its board changes it."""

    start: int
    at: int
    """Up to here (exclusive) its bytes are there."""
    limit: int
    """Offset behind the last byte to ask for; past every file while nobody knows the length."""
    is_firm: bool
    """Whether it is fetched. While a connection only asks for it, who fetches what is before it goes on into it."""


class Board:
    """Shares a file out to connections; may be used by several threads.

    `total` is the length in bytes (None: unknown, then there is one span), `there` what an earlier run left, and
    nothing smaller than `least` bytes becomes a span of its own by division.
    """

    def __init__(self, *, total: int | None, there: Iterable[Extent] = (), least: int) -> None:
        self._lock = threading.Lock()
        self._total = total
        self._there = _joined(there)
        self._least = least
        self._spans: list[Span] = []
        self._num_done = sum(end - start for start, end in self._there)

    @property
    def total(self) -> int | None:
        """Return the length of the file in bytes, where it is known."""
        return self._total

    @property
    def num_done(self) -> int:
        """Return how many bytes are there."""
        return self._num_done

    @property
    def num_missing(self) -> int:
        """Return how many bytes are not there yet; 0 where nobody knows the length."""
        return 0 if self._total is None else self._total - self._num_done

    @property
    def is_whole(self) -> bool:
        """Return whether all bytes are there."""
        return self._total is not None and self._num_done == self._total

    @property
    def is_idle(self) -> bool:
        """Return whether nobody fetches anything."""
        return not self._spans

    def claim(self, *, is_firm: bool = True) -> Span | None:
        """Give out a stretch: the first that nobody fetches, else the upper half of the longest that somebody does.

        None where all is there, or what is left is too little to divide. Half of another's stretch that is not firm is
        the other's until `take` says otherwise.
        """
        with self._lock:
            span = self._free() or self._half(is_firm=is_firm)
            if span is not None:
                self._spans.append(span)
            return span

    def take(self, span: Span) -> bool:
        """Make a stretch firm; return False where the other connection has come past its beginning meanwhile."""
        with self._lock:
            others = [(each.start, max(each.at, each.start + 1)) for each in self._spans if each.is_firm]
            if not span.is_firm:
                span.is_firm = not any(start <= span.start < end for start, end in [*self._there, *others])
            return span.is_firm

    def give_back(self, span: Span) -> None:
        """Take a stretch back: what came of it is there, the rest is free, or theirs who fetch what is before it."""
        with self._lock:
            if span in self._spans:
                self._spans.remove(span)
                self._there = _joined([*self._there, (span.start, span.at)])

    def left(self, span: Span) -> int:
        """Return how many bytes a stretch lacks up to where another begins."""
        with self._lock:
            return self._end(span.at, span) - span.at

    def wrote(self, span: Span, num_bytes: int) -> None:
        """Note that so many further bytes of a stretch are there.

        Its upper half may have been taken meanwhile; what lies beyond is the other's, who writes the same bytes.
        """
        with self._lock:
            num = min(num_bytes, self._end(span.at, span) - span.at)
            span.at += num
            self._num_done += num

    def end_here(self, span: Span) -> None:
        """Note that a file of unknown length ends where its only stretch does."""
        with self._lock:
            self._total = span.at

    def extents(self) -> list[Extent]:
        """Return what is there, in order."""
        with self._lock:
            return self._extents()

    def prefix(self) -> int:
        """Return how many bytes are there from the beginning without a gap."""
        found = self.extents()
        return found[0][1] if found and found[0][0] == 0 else 0

    def _extents(self) -> list[Extent]:
        return _joined([*self._there, *((span.start, span.at) for span in self._spans)])

    def _end(self, offset: int, own: Span | None = None, *, counts_all: bool = False) -> int:
        """Return where what begins at `offset` ends: where another stretch or extent begins, or the file ends."""
        others = [each for each in self._spans if each is not own and (each.is_firm or counts_all)]
        starts = [*(each.start for each in others), *(start for start, _ in self._there)]
        whole = _ENDLESS if self._total is None else self._total
        return min((start for start in starts if start >= offset), default=whole)

    def _free(self) -> Span | None:
        """Return the first stretch that nobody has."""
        fetched = {span.at for span in self._spans if span.is_firm}
        for offset in sorted({0, *(end for _, end in self._extents())}):
            is_there = any(start <= offset < end for start, end in self._extents())
            end = self._end(offset)
            if not is_there and offset not in fetched and offset < end:
                return Span(start=offset, at=offset, limit=end, is_firm=True)
        return None

    def _half(self, *, is_firm: bool) -> Span | None:
        """Return the upper half of the longest stretch; those that are only asked for count where this one is too."""
        if self._total is None:
            return None
        there = self._extents()
        pool = [
            each
            for each in self._spans
            if each.is_firm or not (is_firm or any(start <= each.at < end for start, end in there))
        ]
        planned = [(self._end(each.at, each, counts_all=not is_firm) - each.at, each.at) for each in pool]
        length, at = max(planned, default=(0, 0))
        if length < 2 * self._least:
            return None
        middle = at + (length + 1) // 2
        return Span(start=middle, at=middle, limit=at + length, is_firm=is_firm)


def _joined(extents: Iterable[Extent]) -> list[Extent]:
    """Return extents in order, those that touch or overlap joined, empty ones left out."""
    found: list[Extent] = []
    for start, end in sorted(extents):
        if start >= end:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found
