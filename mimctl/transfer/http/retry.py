"""How often and how long to try again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from mimctl.transfer.http.faults import PassingError, unreachable
from mimctl.transfer.model import Note, TransferSettings

T = TypeVar("T")
_TRIES_WHEN_HOPELESS = 2


def with_retries(
    attempt: Callable[[], T],
    *,
    url: str,
    settings: TransferSettings,
    note: Note | None,
    reached: Callable[[], int] = lambda: 0,
    wait: Callable[[float], object] = time.sleep,
) -> T:
    """Call `attempt` until it returns; PassingError means once more, after a wait that doubles.

    `reached()` tells how many bytes are safe: a try that got further than all before it starts the count again, so
    a bad line still ends well, and a server that never gets further is given up. `wait` waits for some seconds.
    Raises NetworkError[network] when the tries are used up or the server wants a longer wait than allowed.
    """
    failures, tries, best = 0, 0, reached()
    while True:
        tries += 1
        try:
            return attempt()
        except PassingError as fault:
            if reached() > best and not fault.is_hopeless:
                failures, best = 0, reached()
            failures += 1
            allowed = min(settings.retries, _TRIES_WHEN_HOPELESS) if fault.is_hopeless else settings.retries
            wait_s = _wait_s(fault, failures, settings)
            if failures > allowed:
                raise unreachable(url, fault.reason, tries) from fault
            if wait_s > settings.max_wait_s:
                reason = f"{fault.reason} and asks to wait {wait_s:.0f} s"
                raise unreachable(url, reason, tries) from fault
            if note is not None:
                note(f"{fault.reason}; trying again in {wait_s:.1f} s")
            wait(wait_s)


def _wait_s(fault: PassingError, failures: int, settings: TransferSettings) -> float:
    """Return the server's wish, else the doubled wait with up to a quarter of jitter."""
    if fault.retry_after_s is not None:
        return fault.retry_after_s
    import random

    doubled = float(settings.backoff_s * 2 ** (failures - 1))
    return min(doubled, settings.max_wait_s / 2) * (1 + random.random() / 4)
