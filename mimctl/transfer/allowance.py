"""How many connections transfers may have at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

MOST = 4
"""Connections at once where nobody says otherwise: as many as files are fetched at once, fewer than browsers open."""


class Allowance:
    """The connections of one command, counted; may be used by several threads.

    Each file has one, however many files there are. Further ones for the same file are given only while there are fewer
    than `most` in all.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._lock = threading.Lock()
        self._num = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count a file's own connection for as long as it lasts."""
        with self._lock:
            self._num += 1
        try:
            yield
        finally:
            self.give_back()

    def take(self) -> bool:
        """Count a further connection and return True, or return False where there are enough."""
        with self._lock:
            if self._num >= self.most:
                return False
            self._num += 1
            return True

    def give_back(self) -> None:
        """Count one connection less."""
        with self._lock:
            self._num -= 1
