"""A question that is asked now and then while other things go on: its answer may take a minute."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from mimctl.errors import MimctlError

ASK_S = 1.0
"""Seconds between two questions to a cluster's controller at first, …"""
ASK_MOST_S = 10.0
"""… and after a while: it has many to answer."""
GROWTH = 1.2

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What came back: a value, or why there is none."""

    value: T | None = None
    error: MimctlError | None = None


class Inquiry(Generic[T]):
    """Asks in a thread of its own, less and less often; nobody waits for it, at the end of the program neither."""

    def __init__(self, question: Callable[[], T]) -> None:
        self._question = question
        self._thread: threading.Thread | None = None
        self._answer: Answer[T] | None = None
        self._bug: Exception | None = None
        self._next = 0.0
        self.pause_s = ASK_S

    def poll(self) -> Answer[T] | None:
        """Return the answer that has come since the last call, None where none has; ask again when it is time."""
        if self._thread is not None and not self._thread.is_alive():
            self._thread = None
            if self._bug is not None:
                raise self._bug
            self._next = time.monotonic() + self.pause_s
            self.pause_s = min(self.pause_s * GROWTH, ASK_MOST_S)
            return self._answer
        if self._thread is None and time.monotonic() >= self._next:
            self._thread = threading.Thread(target=self._ask, daemon=True)
            self._thread.start()
        return None

    def hasten(self) -> None:
        """Ask often again: something has changed."""
        self.pause_s = ASK_S

    def _ask(self) -> None:
        try:
            self._answer = Answer(value=self._question())
        except MimctlError as err:
            self._answer = Answer(error=err)
        except Exception as err:  # a bug: told where it is seen
            self._bug = err
