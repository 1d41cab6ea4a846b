"""What a transfer is told and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from mimctl.transfer.allowance import Allowance
from mimctl.transfer.login import Logins

Progress: TypeAlias = Callable[[int, int | None], None]
"""Called with bytes done and bytes in all (None: the server does not say)."""

FileProgress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with a file's name, and its bytes as `Progress` is."""

Note: TypeAlias = Callable[[str], None]
"""Called with one line a person may want to read: a retry, a wait for another process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Which way servers are reached."""

    proxy: str | None = field(default=None, repr=False)
    """Address of the proxy for http and https, before those of the environment."""
    http_proxy: str | None = field(default=None, repr=False)
    """That for http alone, where there is none for both."""
    https_proxy: str | None = field(default=None, repr=False)
    """That for https alone."""
    no_proxy: tuple[str, ...] = ()
    """Hosts, domains and networks that are not reached by `http_proxy` and `https_proxy`."""
    cert: Path | None = None
    """File (or folder) of the certificate authorities that are trusted in place of the usual ones."""
    client_cert: Path | None = None
    """PEM file with this side's certificate and key."""
    trusted_hosts: tuple[str, ...] = ()
    """`host` or `host:port` whose certificate is not verified; nobody else's is spared."""

    def joined(self, other: Way) -> Way:
        """Return this way with what only the other says."""
        return Way(
            proxy=self.proxy or other.proxy,
            http_proxy=self.http_proxy or other.http_proxy,
            https_proxy=self.https_proxy or other.https_proxy,
            no_proxy=tuple(dict.fromkeys((*self.no_proxy, *other.no_proxy))),
            cert=self.cert or other.cert,
            client_cert=self.client_cert or other.client_cert,
            trusted_hosts=tuple(dict.fromkeys((*self.trusted_hosts, *other.trusted_hosts))),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSettings:
    """How patient a transfer is, and which way it takes. What is not said here (proxies, `.netrc`, CA bundles) is read
    from the environment as requests does.
    """

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
    least_rate: float = 256.0
    """Bytes per second, measured over `timeout_s`, below which a server is given up."""
    patience_s: float = 2.0
    """A file that one connection brings within this time gets no further ones."""
    least_piece: int = 1 << 18
    """Bytes below which nothing is worth a connection of its own."""
    allowance: Allowance = field(default_factory=Allowance, repr=False, compare=False)
    """How many connections there may be at once, counted over all transfers with these settings."""
    way: Way = field(default_factory=Way)
    configured_way: Callable[[], Way] | None = field(default=None, repr=False, compare=False)
    """Tells what `way` leaves open; called when something is really fetched, as files have to be read for it."""
    shared_cache: Path | None = None
    """Folder of files by their hashes that several users keep (`mimctl.transfer.shared`)."""
    logins: Logins = field(default_factory=Logins, repr=False, compare=False)
    """Who we are where a server asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One file that is to be fetched, as `download` is told of it."""

    url: str = field(repr=False)
    dest: Path
    sha256: str | None = None
    size: int | None = None
    named_by: str | None = field(default=None, repr=False)
    """Address of the document that names `url`; None where a person typed it."""
