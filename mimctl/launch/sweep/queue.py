"""Trials side by side, so many at a time; one that fails stops no other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol


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
    trials: Iterator[Going],
    *,
    most: int,
    told: Callable[[int], None],
    is_worse: Callable[[int], bool] | None = None,
    pause_s: float = 0.1,
) -> None:
    """Run trials, at most `most` at once, and tell of each that has ended; the next one is asked for when it starts.

    A trial of which `is_worse` says so is given up. Where this is left by an exception (KeyboardInterrupt), those
    that run are left first.
    """
    running: list[Going] = []
    try:
        while True:
            while len(running) < most and (started := next(trials, None)) is not None:
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
        if running:
            _leave(running)


def _leave(running: Sequence[Going]) -> None:
    """Leave all at once: each may take seconds to save its state."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(running)) as pool:
        list(pool.map(lambda each: each.leave(), running))
