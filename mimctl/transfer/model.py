"""What a transfer is told and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Progress: TypeAlias = Callable[[int, int | None], None]
"""Called with bytes done and bytes in all (None: the server does not say)."""

Note: TypeAlias = Callable[[str], None]
"""Called with one line a person may want to read: a retry, a wait for another process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSettings:
    """How patient a transfer is. Proxies, `.netrc` and CA bundles are read from the environment as requests does."""

    offline: bool = False
    timeout_s: float = 30.0
    """Seconds to connect, and seconds without a single byte before a transfer counts as stalled."""
    retries: int = 4
    """Further tries after a passing fault; a try that got further than any before starts the count again."""
    backoff_s: float = 0.5
    """First wait; each further one doubles."""
    max_wait_s: float = 60.0
    """Longest single wait; a server that asks for more (`Retry-After`) ends the transfer."""
    max_redirects: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A small document held in memory. `status` is 200, 304 (unchanged, empty body) or, where allowed, 404."""

    status: int
    body: bytes
    etag: str | None
    url: str = ""
    """Where it was found at last, redirects followed: what its relative links count from."""
    content_type: str = ""
    cache_control: str = ""
