"""One HTTP exchange: redirects followed with care, every fault told apart as passing or final, in plain words."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from mimctl.errors import MimctlError, NetworkError
from mimctl.transfer.address import Zone, check_not_nearer, check_remote, has_secret, redact, zone_limit
from mimctl.transfer.connection import HeadTooSlowError, Line, StoppedError
from mimctl.transfer.login import place_of, without_login

if TYPE_CHECKING:
    import requests

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_UNAUTHORISED = 401
_MAX_DIGITS = 19
_BUSY = (429, 503)
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})


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


@dataclass(slots=True, kw_only=True)
class Reply:
    """An answer whose body has not been read yet. Header names are case-insensitive."""

    status: int
    headers: Mapping[str, str]
    url: str
    """Where it came from in the end, without user and password."""
    _response: requests.Response
    _line: Line
    _since_s: float = field(default_factory=time.monotonic)
    _num_since: int = 0

    def read(self, num_bytes: int) -> bytes:
        """Return up to `num_bytes` as sent (not decoded), as soon as there are any; empty at the end.

        Raises PassingError where it breaks off, or where fewer than `least_rate` bytes a second come.
        """
        with _faults(self.url, self._line):
            chunk = _read_some(self._response.raw, num_bytes)
        if self._line.is_cut:
            raise StoppedError
        self._check_rate(len(chunk))
        return chunk

    def number(self, name: str) -> int | None:
        """Return a header that holds a number of bytes, or None."""
        text = self.headers.get(name, "").strip()
        return int(text) if text.isascii() and text.isdecimal() and len(text) < _MAX_DIGITS else None

    def _check_rate(self, num_bytes: int) -> None:
        self._num_since += num_bytes
        settings, now = self._line.settings, time.monotonic()
        elapsed_s = now - self._since_s
        if num_bytes and elapsed_s >= settings.timeout_s:
            if self._num_since < settings.least_rate * elapsed_s:
                raise PassingError(f"too slow: {self._num_since} bytes in {elapsed_s:.0f} s", is_hopeless=True)
            self._since_s, self._num_since = now, 0


@contextmanager
def exchange(
    opened: Line,
    url: str,
    *,
    headers: Mapping[str, str],
    named_by: str | None = None,
    method: str = "GET",
    stays: bool = False,
) -> Iterator[Reply]:
    """GET `url` and yield its answer of status 200, 206, 304 or 416.

    With `stays` no redirect to another server is followed: its own answer is yielded.
    `named_by` is the document that names the address where no person typed it: then neither it nor what it leads to
    may be nearer to this machine than that document is.
    Raises PassingError, or MimctlError: `http-status`, `bad-redirect`, `unsafe-address`, `network` (certificates);
    StoppedError where the line was cut.
    """
    check_remote(url)
    limit: Zone | None = None
    if named_by is not None:
        check_not_nearer(url, than=named_by)
        limit = zone_limit(url, than=named_by)
    target = url
    for _ in range(opened.settings.max_redirects + 1):
        answer = _get(opened, target, headers, is_redirected=target is not url, limit=limit, method=method)
        with _closing(opened, answer) as response:
            location = response.headers.get("Location")
            if response.status_code in _REDIRECTS and location:
                onward = _follow(url, target, location)
                if not stays or place_of(onward) == place_of(target):
                    limit = zone_limit(onward, than=target)
                    target = onward
                    continue
            else:
                _check_status(url, target, response)
            yield Reply(
                status=response.status_code,
                headers=response.headers,
                url=without_login(target),
                _response=response,
                _line=opened,
            )
            return
    raise _bad_redirect(url, f"more than {opened.settings.max_redirects} redirects, the last to `{redact(target)}`")


def _get(
    opened: Line, target: str, headers: Mapping[str, str], *, is_redirected: bool, limit: Zone | None, method: str
) -> requests.Response:
    """Send the request, once more with what the keyring knows where the server answers 401."""
    logins = opened.settings.logins
    bare = without_login(target)
    login = logins.before(target, is_redirected=is_redirected)
    if opened.is_cut:
        raise StoppedError
    with _faults(target, opened):
        response = opened.ask(bare, method=method, headers=dict(headers), login=login, limit=limit)
        if response.status_code != _UNAUTHORISED or is_redirected:
            return response
        found = logins.after_refusal(target)
        if found is None or found == login:
            return response
        with _closing(opened, response):
            pass
        return opened.ask(bare, method=method, headers=dict(headers), login=found, limit=limit)


@contextmanager
def _closing(opened: Line, response: requests.Response) -> Iterator[requests.Response]:
    """Close an answer, and its connection where that serves no further request: the line's own hold would keep it open,
    and a server would wait to send the rest.
    """
    try:
        yield response
    finally:
        raw = response.raw
        body = getattr(raw, "_original_response", None)
        is_whole = body is not None and body.isclosed()
        is_last = getattr(raw, "version", 11) == 10 or response.headers.get("Connection", "").lower() == "close"
        response.close()
        if is_last or not is_whole:
            opened.shut()


def _read_some(raw: Any, num_bytes: int) -> bytes:
    """Return what has come, not waiting for all of `num_bytes`, so that slowness is seen."""
    if hasattr(raw, "read1"):
        return bytes(raw.read1(num_bytes, decode_content=False))
    return bytes(raw._fp.read1(num_bytes))  # urllib3 1


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
    """Return where a redirect leads, or raise: only http(s), never from https to http, never nearer to this machine.

    Its own user and password are dropped: they are the server's words, not a person's.
    """
    try:
        found = without_login(urljoin(target, location))
    except ValueError:
        raise _bad_redirect(url, f"`{redact(target)}` leads to what is no address") from None
    scheme = found.partition(":")[0].lower()
    if scheme not in ("http", "https"):
        raise _bad_redirect(url, f"`{redact(target)}` leads to `{redact(found)}`, which is not http or https")
    if target.lower().startswith("https:") and scheme == "http":
        raise _bad_redirect(url, f"`{redact(target)}` leads away from https to `{redact(found)}`")
    check_remote(found)
    check_not_nearer(found, than=target)
    return found


def _bad_redirect(url: str, cause: str) -> MimctlError:
    return MimctlError(
        f"cannot fetch `{redact(url)}`",
        code="bad-redirect",
        causes=[cause],
        hints=["give the address of the file itself"],
    )


def _check_status(url: str, target: str, response: requests.Response) -> None:
    status = response.status_code
    if status in (200, 206, 304, 416):
        return
    said = f"the server answered {status} {_plain(response.reason)}".rstrip()
    if status in _PASSING:
        raise PassingError(said, retry_after_s=_retry_after(response.headers), is_busy=status in _BUSY)
    hints = ["check the address"]
    if status in (401, 403, 407):
        hints = ["put the credentials of this host into `~/.netrc` or the keyring, or check that the file is public"]
    where = "" if target is url else f" at `{redact(target)}`"
    raise MimctlError(
        f"cannot fetch `{redact(url)}`",
        code="http-status",
        causes=[said + where],
        hints=hints,
        details={"status": status},
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read `Retry-After` (RFC 9110, 10.2.3): seconds, or a date by the server's clock, where it tells that."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdecimal():
        return float(text)
    from email.utils import parsedate_to_datetime

    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    try:
        now_s = parsedate_to_datetime(headers.get("Date", "")).timestamp()
    except ValueError:
        now_s = time.time()
    return max(0.0, until.timestamp() - now_s)


@contextmanager
def _faults(url: str, opened: Line) -> Iterator[None]:
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
            causes=[f"the server's certificate is not trusted, or the connection is not TLS: {_plain(reason)}"],
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
