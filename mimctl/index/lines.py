"""Connections to index servers that stay open for the length of a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from mimctl.transfer import TransferSettings
from mimctl.transfer.http.connection import Line


class Lines:
    """As many lines as are used at once; a line is lent to one thread at a time."""

    def __init__(self, settings: TransferSettings) -> None:
        self._settings = settings
        self._idle: SimpleQueue[Line] = SimpleQueue()

    @contextmanager
    def lend(self) -> Iterator[Line]:
        """Lend a line that nobody uses now; one whose exchange failed is not lent again."""
        try:
            opened = self._idle.get_nowait()
        except Empty:
            opened = Line(self._settings)
        try:
            yield opened
        except BaseException:
            opened.close()
            raise
        self._idle.put(opened)
