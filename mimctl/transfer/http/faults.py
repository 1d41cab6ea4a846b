"""What goes wrong on the way to a server, in plain words, told apart: passing, or final."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from mimctl.errors import MimctlError, NetworkError
from mimctl.transfer.address import has_secret, redact
from mimctl.transfer.http.connection import HeadTooSlowError, Line, StoppedError

_SILENT = frozenset({errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH})
"""Nobody answers."""


class PassingError(Exception):
    """A fault that another try may not meet. `retry_after_s` is the server's wish; `is_hopeless` means that nobody
    answered at all (no such host, connection refused), or at a crawl: there few tries are enough, whatever came.
    `is_busy` means that the server is asked for too much.
    """

    def __init__(
        self,
        reason: str,
        *,
        retry_after_s: float | None = None,
        is_hopeless: bool = False,
        is_busy: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.is_hopeless = is_hopeless
        self.is_busy = is_busy


@contextmanager
def faults(url: str, opened: Line) -> Iterator[None]:
    """Turn what requests and urllib3 raise into PassingError or MimctlError. Their own texts repeat the whole
    address, secrets included, so they are never shown, nor kept as the cause where there is a secret.
    """
    from http.client import HTTPException

    import requests
    import urllib3

    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError, HTTPException, OSError, ValueError) as problem:
        if opened.is_cut:
            raise StoppedError from None
        error = _explain(problem, url, opened.settings.timeout_s)
        raise error from (None if has_secret(url) else problem)


def unreachable(url: str, reason: str, tries: int) -> NetworkError:
    """Return the error for an address that gave no usable answer after `tries` tries."""
    return NetworkError(
        f"cannot fetch `{redact(url)}`",
        code="network",
        causes=[f"{reason} (after {tries} {'try' if tries == 1 else 'tries'})"],
        hints=["check the connection and the proxy settings (`HTTPS_PROXY`), then run the same command again"],
    )


def offline(url: str) -> NetworkError:
    """Return the error for an address that is needed while offline."""
    return NetworkError(
        f"offline, and `{redact(url)}` is not in the cache",
        code="offline",
        causes=["`--offline` or `MIMCTL_OFFLINE` allows caches only"],
        hints=["run the same command once with the network"],
    )


def plain(text: str | None) -> str:
    """Return words of a server or a library as they may be shown: printable, one line, at most 80 characters."""
    return re.sub(r"[^\x20-\x7e]", "", text or "")[:80]


def _explain(problem: Exception, url: str, timeout_s: float) -> Exception:
    import requests

    if isinstance(problem, HeadTooSlowError):
        return PassingError(f"too slow: no whole head of an answer in {problem.seconds:g} s", is_hopeless=True)
    chain = list(_chain(problem))
    names = {type(link).__name__ for link in chain}
    if "SSLError" in names or "SSLCertVerificationError" in names:
        reason = next((str(link.verify_message) for link in chain if hasattr(link, "verify_message")), "TLS failed")
        return NetworkError(
            f"cannot fetch `{redact(url)}`",
            code="network",
            causes=[f"the server's certificate is not trusted, or the connection is not TLS: {plain(reason)}"],
            hints=["behind a company proxy, point `REQUESTS_CA_BUNDLE` at its certificate"],
        )
    if names & {"InvalidProxyURL", "ProxySchemeUnknown", "ProxySchemeUnsupported"} or "SOCKS" in str(problem):
        return _bad_proxy(url, needs_socks="SOCKS" in str(problem))
    if isinstance(problem, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
        return MimctlError(f"`{redact(url)}` is not an address that can be fetched", code="bad-url", exit_code=2)
    if "ProxyError" in names:
        return PassingError("the proxy does not answer, or its name cannot be resolved", is_hopeless=True)
    if names & {"NameResolutionError", "gaierror"}:
        return PassingError("the host's name cannot be resolved", is_hopeless=True)
    if names & {"ConnectTimeout", "ConnectTimeoutError"}:
        return PassingError(f"no connection within {timeout_s:g} s", is_hopeless=True)
    if names & {"ReadTimeout", "ReadTimeoutError", "TimeoutError", "timeout"}:
        return PassingError(f"stalled: not a byte for {timeout_s:g} s")
    number = next((link.errno for link in chain if isinstance(link, OSError) and isinstance(link.errno, int)), None)
    if number is not None:
        return PassingError(os.strerror(number).lower(), is_hopeless=number in _SILENT)
    if type(problem) is ValueError:
        return PassingError("the answer cannot be understood")
    return PassingError("the connection broke off")


def _bad_proxy(url: str, *, needs_socks: bool) -> NetworkError:
    cause = "a SOCKS proxy needs PySocks beside mimctl" if needs_socks else "the address of the proxy is none"
    return NetworkError(
        f"cannot fetch `{redact(url)}`",
        code="network",
        causes=[cause],
        hints=["look at `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and at pip's setting `proxy`"],
    )


def _chain(problem: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what caused it, in urllib3's spellings too (`args`, `reason`)."""
    seen: set[int] = set()
    waiting: list[BaseException] = [problem]
    while waiting:
        link = waiting.pop(0)
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        inner = [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]
        waiting.extend(item for item in inner if isinstance(item, BaseException))
