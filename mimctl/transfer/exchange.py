"""One HTTP exchange: redirects followed with care, every fault told apart as passing or final, in plain words."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from mimctl.errors import MimctlError, NetworkError
from mimctl.transfer.address import check_public, check_remote, has_secret, redact
from mimctl.transfer.model import TransferSettings

if TYPE_CHECKING:
    import requests

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})


class PassingError(Exception):
    """A fault that another try may not meet. `retry_after_s` is the server's wish; `is_remote_silent` means that
    nobody answered at all (no such host, connection refused), where few tries are enough.
    """

    def __init__(self, reason: str, *, retry_after_s: float | None = None, is_remote_silent: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.is_remote_silent = is_remote_silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer whose body has not been read yet. Header names are case-insensitive."""

    status: int
    headers: Mapping[str, str]
    url: str
    _response: requests.Response
    _timeout_s: float

    def read(self, num_bytes: int) -> bytes:
        """Return up to `num_bytes` as sent (not decoded); empty at the end. Raise PassingError where it breaks off."""
        with _faults(self.url, self._timeout_s):
            return bytes(self._response.raw.read(num_bytes, decode_content=False))

    def number(self, name: str) -> int | None:
        """Return a header that holds a number of bytes, or None."""
        text = self.headers.get(name, "").strip()
        return int(text) if text.isdecimal() else None


@contextmanager
def session() -> Iterator[requests.Session]:
    """Open an HTTP session: proxies, netrc and CA bundles from the environment; no retries of its own."""
    import requests

    from mimctl import __version__

    with requests.Session() as opened:
        opened.headers["User-Agent"] = f"mimctl/{__version__}"
        yield opened


@contextmanager
def exchange(
    opened: requests.Session,
    url: str,
    *,
    headers: Mapping[str, str],
    settings: TransferSettings,
    is_guarded: bool = False,
) -> Iterator[Reply]:
    """GET `url` and yield its answer of status 200, 206, 304 or 416.

    With `is_guarded` the address itself, not only where it leads, must not be link-local or a metadata service.
    Raises PassingError, or MimctlError: `http-status`, `bad-redirect`, `unsafe-address`, `network` (certificates).
    """
    check_remote(url)
    if is_guarded:
        check_public(url)
    target = url
    for _ in range(settings.max_redirects + 1):
        with _faults(target, settings.timeout_s):
            response = opened.get(
                target, headers=dict(headers), stream=True, timeout=settings.timeout_s, allow_redirects=False
            )
        with response:
            location = response.headers.get("Location")
            if response.status_code in _REDIRECTS and location:
                target = _follow(url, target, location)
                continue
            _check_status(url, response)
            yield Reply(
                status=response.status_code,
                headers=response.headers,
                url=target,
                _response=response,
                _timeout_s=settings.timeout_s,
            )
            return
    raise _bad_redirect(url, f"more than {settings.max_redirects} redirects, the last to `{redact(target)}`")


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


def _follow(url: str, target: str, location: str) -> str:
    """Return where a redirect leads, or raise: only http(s), never from https to http, never to metadata."""
    found = urljoin(target, location)
    scheme = found.partition(":")[0].lower()
    if scheme not in ("http", "https"):
        raise _bad_redirect(url, f"`{redact(target)}` leads to `{redact(found)}`, which is not http or https")
    if target.lower().startswith("https:") and scheme == "http":
        raise _bad_redirect(url, f"`{redact(target)}` leads away from https to `{redact(found)}`")
    check_remote(found)
    check_public(found)
    return found


def _bad_redirect(url: str, cause: str) -> MimctlError:
    return MimctlError(
        f"cannot fetch `{redact(url)}`",
        code="bad-redirect",
        causes=[cause],
        hints=["give the address of the file itself"],
    )


def _check_status(url: str, response: requests.Response) -> None:
    status = response.status_code
    if status in (200, 206, 304, 416):
        return
    said = f"the server answered {status} {_plain(response.reason)}".rstrip()
    if status in _PASSING:
        raise PassingError(said, retry_after_s=_retry_after(response.headers.get("Retry-After")))
    hints = ["check the address"]
    if status in (401, 403, 407):
        hints = ["put the credentials of this host into `~/.netrc`, or check that the file is public"]
    where = "" if response.url == url else f" at `{redact(response.url)}`"
    raise MimctlError(
        f"cannot fetch `{redact(url)}`",
        code="http-status",
        causes=[said + where],
        hints=hints,
        details={"status": status},
    )


def _retry_after(text: str | None) -> float | None:
    """Read `Retry-After` (RFC 9110, 10.2.3): seconds, or a date."""
    if not text:
        return None
    if text.strip().isdecimal():
        return float(text)
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


@contextmanager
def _faults(url: str, timeout_s: float) -> Iterator[None]:
    """Turn what requests and urllib3 raise into PassingError or MimctlError. Their own texts repeat the whole
    address, secrets included, so they are never shown, nor kept as the cause where there is a secret.
    """
    import requests
    import urllib3

    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as problem:
        error = _explain(problem, url, timeout_s)
        raise error from (None if has_secret(url) else problem)


def _explain(problem: Exception, url: str, timeout_s: float) -> Exception:
    import requests

    chain = list(_chain(problem))
    names = {type(link).__name__ for link in chain}
    if "SSLError" in names or "SSLCertVerificationError" in names:
        reason = next((str(link.verify_message) for link in chain if hasattr(link, "verify_message")), "TLS failed")
        return NetworkError(
            f"cannot fetch `{redact(url)}`",
            code="network",
            causes=[f"the server's certificate is not trusted, or the connection is not TLS: {_plain(reason)}"],
            hints=["behind a company proxy, point `REQUESTS_CA_BUNDLE` at its certificate"],
        )
    if isinstance(problem, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
        return MimctlError(f"`{redact(url)}` is not an address that can be fetched", code="bad-url", exit_code=2)
    if names & {"NameResolutionError", "gaierror"}:
        return PassingError("the host's name cannot be resolved", is_remote_silent=True)
    if names & {"ConnectTimeout", "ConnectTimeoutError"}:
        return PassingError(f"no connection within {timeout_s:g} s", is_remote_silent=True)
    if names & {"ReadTimeout", "ReadTimeoutError", "TimeoutError", "timeout"}:
        return PassingError(f"stalled: not a byte for {timeout_s:g} s")
    if "ProxyError" in names:
        return PassingError("the proxy does not answer", is_remote_silent=True)
    number = next((link.errno for link in chain if isinstance(link, OSError) and isinstance(link.errno, int)), None)
    if number is not None:
        return PassingError(os.strerror(number).lower(), is_remote_silent=number in _SILENT)
    return PassingError("the connection broke off")


_SILENT = frozenset({errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH})


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


def _plain(text: str | None) -> str:
    return re.sub(r"[^\x20-\x7e]", "", text or "")[:80]
