"""Trials side by side, so many at a time; one that fails stops no other."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Protocol

from mimctl.errors import MimctlError


class Going(Protocol):
    """A trial that was started."""

    number: int

    def is_over(self) -> bool:
        """Return whether it has ended; how is in its folder then."""

    def give_up(self) -> None:
        """Stop it, as others do better."""

    def leave(self) -> None:
        """Stop looking after it: end what would not go on without its sweep."""


def run_all(
    following: Callable[[], Going | None],
    *,
    most: int,
    told: Callable[[int], None],
    is_worse: Callable[[int], bool] | None = None,
    pause_s: float = 0.1,
) -> None:
    """Run what `following` starts (None: nothing is left), at most `most` at once, and tell of each that has ended.

    A trial of which `is_worse` says so is given up. Where this is left by an exception (KeyboardInterrupt), those
    that run are left first.
    """
    running: list[Going] = []
    try:
        while True:
            while len(running) < most and (started := following()) is not None:
                running.append(started)
            if not running:
                return
            for each in list(running):
                if each.is_over():
                    running.remove(each)
                    told(each.number)
                elif is_worse is not None and is_worse(each.number):
                    each.give_up()
            time.sleep(pause_s)
    finally:
        for each in running:
            each.leave()


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Leave the block at SIGTERM and SIGHUP by MimctlError[terminated], so that no process stays behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGHUP)
    held = {number: signal.signal(number, _end) for number in numbers}
    try:
        yield
    except _Ended as ended:
        raise MimctlError(
            f"the sweep was stopped by {ended.signal.name}",
            code="terminated",
            hints=["the same line goes on with it"],
            exit_code=128 + ended.signal,
        ) from None
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)


class _Ended(BaseException):
    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number)
        self.signal = number


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # one is enough: what comes now is stopping the trials
    raise _Ended(signal.Signals(number))
