"""One HTTP exchange: redirects followed with care, the answer read as it comes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mimctl.transfer.address import Zone, check_not_nearer, check_remote, redact, zone_limit
from mimctl.transfer.http.connection import Line, StoppedError
from mimctl.transfer.http.faults import PassingError, faults
from mimctl.transfer.http.head import bad_redirect, check_status, follow
from mimctl.transfer.login import place_of, without_login

if TYPE_CHECKING:
    import requests

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_UNAUTHORISED = 401
_MAX_DIGITS = 19


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
        with faults(self.url, self._line):
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
                onward = follow(url, target, location)
                if not stays or place_of(onward) == place_of(target):
                    limit = zone_limit(onward, than=target)
                    target = onward
                    continue
            else:
                check_status(url, target, response)
            yield Reply(
                status=response.status_code,
                headers=response.headers,
                url=without_login(target),
                _response=response,
                _line=opened,
            )
            return
    raise bad_redirect(url, f"more than {opened.settings.max_redirects} redirects, the last to `{redact(target)}`")


def _get(
    opened: Line, target: str, headers: Mapping[str, str], *, is_redirected: bool, limit: Zone | None, method: str
) -> requests.Response:
    """Send the request, once more with what the keyring knows where the server answers 401."""
    logins = opened.settings.logins
    bare = without_login(target)
    login = logins.before(target, is_redirected=is_redirected)
    if opened.is_cut:
        raise StoppedError
    with faults(target, opened):
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
